// Deletes what nobody needs any more, by rules: ended instances by age and by number, executions that continued as new.
// Neighbours: runtime.ts starts and stops it, options.ts reads the rules.
//
// V1. Off the way of work: one small batch at a time, with a pause after each, and a bounded number of them in a sweep.
// V2. All runtimes with rules sweep: what one has deleted another does not find. Nothing depends on a sweep: a failed one is logged.
// V3. Living instances stay, and so does what a living parent waits for.
import type { OrchestrationAck, Provider } from '../provider/provider.ts';
import type { InstanceList, InstanceQuery, ListPosition } from '../provider/management.ts';
import type { Clock } from '../types/clock.ts';
import type { InstanceRecord, InstanceStatus } from '../types/instance.ts';
import type { Logger } from '../types/logger.ts';

/** What stays of the instances of an orchestration. */
export type RetentionRule = {
  /** Name of the orchestration; null: all that have no rule of their own. */
  readonly name: string | null;
  /** How long ended ones stay, in milliseconds; null: as long as the other limits let them. */
  readonly keepMs: number | null;
  /** How long those that Failed or were Terminated stay, whatever their number; null: as the others. */
  readonly keepFailedMs: number | null;
  /** How many ended ones stay, the newest; null: any number. */
  readonly keepLast: number | null;
  /** How many executions of an instance stay, the current one included; null: all. */
  readonly keepExecutions: number | null;
};

/** When what goes. */
export type Retention = { readonly everyMs: number; readonly rules: readonly RetentionRule[] };

/** How many go at a time. Reason: a batch is one transaction, in front of the turns that wait for the next. */
const BATCH = 50;
/** Pause after a batch, in milliseconds: at 50 instances a batch about 1,000 a second. */
const PAUSE_MS = 50;
/** Batches of a sweep for each name. The next sweep goes on. */
const MAX_BATCHES = 1_000;
/** Instances whose executions wait to be pruned. Reason: bounds memory; an instance that is left out is noted at its next execution. */
const MAX_NOTED = 10_000;
const FAILED: readonly InstanceStatus[] = ['Failed', 'Terminated'];
const OTHERS: readonly InstanceStatus[] = ['Completed', 'Cancelled'];

/** Sweeps until it is stopped. */
export class RetentionSweeper {
  readonly #provider: Provider;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #retention: Retention;
  /** Instances that continued as new here since the last sweep, with the name that they had. */
  readonly #continued = new Map<string, string>();
  #registered: readonly string[] = [];
  #stopTimer: (() => void) | null = null;
  #sweep: Promise<void> = Promise.resolve();
  #endPause: () => void = () => undefined;
  #isStopped = false;

  constructor(parts: { readonly provider: Provider; readonly clock: Clock; readonly logger: Logger; readonly retention: Retention }) {
    this.#provider = parts.provider;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#retention = parts.retention;
  }

  /**
   * @param registered - names of the orchestrations that this runtime has
   */
  start(registered: readonly string[]): void {
    this.#registered = registered;
    const { everyMs } = this.#retention;
    // Not all runtimes of a fleet at once.
    this.#schedule(everyMs * (0.5 + Math.random() / 2));
  }

  /** Resolves when no sweep runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopTimer?.();
    this.#endPause();
    await this.#sweep;
  }

  /** Makes a provider that notes which turns continue as new: their instances have an execution more. */
  watch(provider: Provider): Provider {
    if (!this.#retention.rules.some(({ keepExecutions }) => keepExecutions !== null)) return provider;
    return {
      ...provider,
      ackOrchestrationItems: (acks) => {
        this.#note(acks);
        return provider.ackOrchestrationItems(acks);
      },
    };
  }

  #note(acks: readonly OrchestrationAck[]): void {
    for (const { instanceId, next } of acks) {
      if (next !== null && this.#continued.size < MAX_NOTED) this.#continued.set(instanceId, next.name);
    }
  }

  #schedule(delayMs: number): void {
    this.#stopTimer = this.#clock.setTimer(
      delayMs,
      () => {
        this.#sweep = this.#run().finally(() => {
          if (!this.#isStopped) this.#schedule(this.#retention.everyMs);
        });
      },
      true,
    );
  }

  async #run(): Promise<void> {
    try {
      await this.#prune();
      for (const name of await this.#names()) {
        const rule = this.#ruleOf(name);
        if (rule !== undefined) await this.#tidy(name, rule);
      }
    } catch (error) {
      this.#logger.warn({ error }, 'a sweep of retention failed; the next one follows in time');
    }
  }

  /** Names with a rule, and those that living runtimes have. */
  async #names(): Promise<ReadonlySet<string>> {
    const names = new Set(this.#retention.rules.flatMap(({ name }) => (name === null ? [] : [name])));
    if (names.size === this.#retention.rules.length) return names;
    // Whatever has ended: a page of each end of the list names what no runtime has any more.
    for (const descending of [false, true]) {
      const page = await this.#provider.listInstances({ filter: {}, orderBy: 'endedAt', descending, after: null, limit: BATCH });
      for (const { name } of page.records) names.add(name);
    }
    for (const name of this.#registered) names.add(name);
    return names;
  }

  #ruleOf(name: string): RetentionRule | undefined {
    const { rules } = this.#retention;
    return rules.find((rule) => rule.name === name) ?? rules.find((rule) => rule.name === null);
  }

  async #tidy(name: string, { keepMs, keepFailedMs, keepLast }: RetentionRule): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const failedMs = keepFailedMs ?? keepMs;
    if (keepMs !== null) await this.#deleteOld(name, OTHERS, nowMs - keepMs);
    if (failedMs !== null) await this.#deleteOld(name, FAILED, nowMs - failedMs);
    // Those that are kept longer for their failure do not count, and are not counted out.
    if (keepLast !== null) await this.#deleteBeyond(name, keepFailedMs === null ? [...OTHERS, ...FAILED] : OTHERS, keepLast);
  }

  async #deleteOld(name: string, statuses: readonly InstanceStatus[], beforeMs: number): Promise<void> {
    const query = { filter: { name, statuses, updatedBeforeMs: beforeMs }, orderBy: 'endedAt', descending: false, limit: BATCH } as const;
    let after: ListPosition | null = null;
    for (let batch = 0; batch < MAX_BATCHES && !this.#isStopped; batch += 1) {
      const { records, next } = await this.#find({ ...query, after });
      await this.#delete(records);
      // In the order of ends: what comes behind is younger.
      if (next === null || next.at >= beforeMs) return;
      after = next;
    }
  }

  async #deleteBeyond(name: string, statuses: readonly InstanceStatus[], keepLast: number): Promise<void> {
    let left = keepLast;
    let after: ListPosition | null = null;
    for (let batch = 0; batch < MAX_BATCHES && !this.#isStopped; batch += 1) {
      const limit = left > 0 ? Math.min(left, 1_000) : BATCH;
      const { records, next } = await this.#find({ filter: { name, statuses }, orderBy: 'endedAt', descending: true, after, limit });
      if (left > 0) left -= records.length;
      else await this.#delete(records);
      if (next === null) return;
      after = next;
    }
  }

  /** With a type of its own, because the place where a page ends is where the next begins. */
  #find(query: InstanceQuery): Promise<InstanceList> {
    return this.#provider.listInstances(query);
  }

  async #delete(records: readonly InstanceRecord[]): Promise<void> {
    if (records.length === 0) return;
    await this.#provider.deleteInstances(records.map(({ instanceId }) => ({ instanceId, isForced: false })));
    await this.#pause();
  }

  async #prune(): Promise<void> {
    const noted = [...this.#continued];
    this.#continued.clear();
    for (let first = 0; first < noted.length && !this.#isStopped; first += BATCH) {
      const requests = noted.slice(first, first + BATCH).flatMap(([instanceId, name]) => {
        const keepLast = this.#ruleOf(name)?.keepExecutions ?? null;
        return keepLast === null ? [] : [{ instanceId, keepLast, endedBeforeMs: null }];
      });
      if (requests.length === 0) continue;
      await this.#provider.pruneExecutions(requests);
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(PAUSE_MS, resolve, true);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }
}
