// Deletes what nobody needs any more, by rules: ended instances by age and by number, executions that continued as new.
// Neighbours: runtime.ts starts and stops it, options.ts reads the rules.
//
// V1. Off the way of work: one small batch at a time, with a pause after each, and a bounded number of them in a sweep; the next one goes on there.
// V2. All runtimes with rules sweep: what one has deleted another does not find. Nothing depends on a sweep: what fails is logged, and keeps nothing
//     else from being deleted.
// V3. Living instances stay, and so does what a living parent waits for. What got the id of something old meanwhile is not deleted for it.
// V4. A store deletes a family in one transaction, or nothing of it when one of it lives. So a family that fits in a batch is left to the store. Of a
//     larger one children go first, a batch at a time, once it is known that none lives.
import type { OrchestrationAck, Provider } from '../provider/provider.ts';
import type { InstanceList, InstanceQuery, ListPosition } from '../provider/management.ts';
import type { Clock } from '../types/clock.ts';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../types/instance.ts';
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
/** Batches of a sweep for each list. Reason: one list must not keep the others waiting. */
const MAX_BATCHES = 1_000;
/** Instances of a page of those that stay. Reason: pages are read at once, and hold results. */
const PAGE = 200;
/** Instances whose executions wait to be pruned. Reason: bounds memory; an instance that is left out is noted at its next execution. */
const MAX_NOTED = 10_000;
const FAILED: readonly InstanceStatus[] = ['Failed', 'Terminated'];
const OTHERS: readonly InstanceStatus[] = ['Completed', 'Cancelled'];

/** A part of a list: behind which place, and behind which nothing of it comes any more. */
type Range = { readonly after: ListPosition | null; readonly isOver: (next: ListPosition) => boolean };

/** What a sweeper needs. */
export type RetentionParts = {
  readonly provider: Provider;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retention: Retention;
  /** Batches of a sweep for each list. */
  readonly maxBatches?: number;
};

/** Sweeps until it is stopped. */
export class RetentionSweeper {
  readonly #provider: Provider;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #retention: Retention;
  readonly #maxBatches: number;
  /** Instances that continued as new here since the last sweep, with the name that they had. */
  readonly #continued = new Map<string, string>();
  /** Where the next sweep goes on in a list that was too long for the last one. */
  readonly #places = new Map<string, ListPosition>();
  #registered: readonly string[] = [];
  #stopTimer: (() => void) | null = null;
  #sweep: Promise<void> = Promise.resolve();
  #endPause: () => void = () => undefined;
  #isStopped = false;

  constructor(parts: RetentionParts) {
    this.#provider = parts.provider;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#retention = parts.retention;
    this.#maxBatches = parts.maxBatches ?? MAX_BATCHES;
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

  /** Never rejects. */
  async #run(): Promise<void> {
    await this.#try({}, () => this.#prune());
    await this.#try({}, async () => {
      for (const name of await this.#names()) {
        const rule = this.#ruleOf(name);
        if (rule !== undefined) await this.#try({ orchestration: name }, () => this.#tidy(name, rule));
      }
    });
  }

  async #try(about: Readonly<Record<string, unknown>>, step: () => Promise<void>): Promise<void> {
    if (this.#isStopped) return;
    try {
      await step();
    } catch (error) {
      this.#logger.warn({ ...about, err: error }, 'a part of a sweep of retention failed; the next sweep follows in time');
    }
  }

  /** Names with a rule, those that this runtime has, and those of some that have ended, which no runtime may have any more. */
  async #names(): Promise<ReadonlySet<string>> {
    const names = new Set(this.#retention.rules.flatMap(({ name }) => (name === null ? [] : [name])));
    if (names.size === this.#retention.rules.length) return names;
    for (const name of this.#registered) names.add(name);
    const query = { filter: {}, orderBy: 'endedAt' } as const;
    const newest = await this.#find({ ...query, descending: true, after: null, limit: BATCH });
    // Those that stay are no reason not to see what is behind them: a page further each time.
    const older = await this.#find({ ...query, descending: false, after: this.#places.get('') ?? null, limit: PAGE });
    this.#goOn('', older.next);
    for (const { name } of [...newest.records, ...older.records]) names.add(name);
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
    const query = { filter: { name, statuses, updatedBeforeMs: beforeMs }, orderBy: 'endedAt', descending: false } as const;
    // In the order of ends: what comes behind is younger.
    await this.#deleteFrom(`${name} ${statuses.join(' ')}`, query, { after: null, isOver: (next) => next.at >= beforeMs });
  }

  async #deleteBeyond(name: string, statuses: readonly InstanceStatus[], keepLast: number): Promise<void> {
    const query = { filter: { name, statuses }, orderBy: 'endedAt', descending: true } as const;
    let after: ListPosition | null = null;
    for (let left = keepLast; left > 0 && !this.#isStopped;) {
      const { records, next } = await this.#find({ ...query, after, limit: Math.min(left, PAGE) });
      if (next === null) return;
      left -= records.length;
      after = next;
      await this.#giveWay();
    }
    await this.#deleteFrom(`${name} last`, query, { after, isOver: () => false });
  }

  /** Deletes a list from where it begins, or from where the last sweep ended, which is never before. */
  async #deleteFrom(list: string, query: Omit<InstanceQuery, 'after' | 'limit'>, range: Range): Promise<void> {
    const place = this.#places.get(list) ?? null;
    const { isOver } = range;
    // Those that begin it may have been deleted by hand since: then others do.
    const isBefore = range.after !== null && place !== null && place.at >= range.after.at;
    let after = place === null || isBefore ? range.after : place;
    for (let batch = 0; batch < this.#maxBatches && !this.#isStopped; batch += 1) {
      const { records, next } = await this.#find({ ...query, after, limit: BATCH });
      await this.#delete(records);
      const isEnd = next === null || isOver(next);
      this.#goOn(list, isEnd ? null : next);
      if (isEnd) return;
      after = next;
    }
  }

  #goOn(list: string, place: ListPosition | null): void {
    if (place === null) this.#places.delete(list);
    else this.#places.set(list, place);
  }

  /** With a type of its own, because the place where a page ends is where the next begins. */
  #find(query: InstanceQuery): Promise<InstanceList> {
    return this.#provider.listInstances(query);
  }

  async #delete(records: readonly InstanceRecord[]): Promise<void> {
    const waitedFor = await this.#waitedFor(records);
    let batch: InstanceRecord[] = [];
    let size = 0;
    const add = async (record: InstanceRecord, members: number): Promise<void> => {
      if (size + members > BATCH) {
        await this.#deleteAtOnce(batch);
        batch = [];
        size = 0;
      }
      batch.push(record);
      size += members;
    };
    for (const record of records) {
      const { members, isAlive } = waitedFor.has(record.instanceId) ? { members: 1, isAlive: false } : await this.#lookAt(record);
      if (members <= BATCH) await add(record, members);
      else if (!isAlive) for await (const member of this.#familyOf(record)) if (isEnded(member.status)) await add(member, 1);
    }
    await this.#deleteAtOnce(batch);
  }

  async #deleteAtOnce(records: readonly InstanceRecord[]): Promise<void> {
    if (records.length === 0 || this.#isStopped) return;
    await this.#provider.deleteInstances(
      // V3: what runs, or has just ended, under the id of one of them is another instance.
      records.map(({ instanceId, endedAtMs }) => ({ instanceId, isForced: false, ...(endedAtMs !== null && { endedAtMs }) })),
    );
    await this.#pause();
  }

  /** How many would go with an instance, and whether one of its family lives, so that it has to stay. */
  async #lookAt(record: InstanceRecord): Promise<{ readonly members: number; readonly isAlive: boolean }> {
    let members = 0;
    let isAlive = false;
    for await (const { status, onParentClose } of this.#familyOf(record)) {
      if (isEnded(status)) members += 1;
      else if (onParentClose !== 'abandon') isAlive = true;
    }
    return { members, isAlive };
  }

  /** An instance behind its descendants, each behind its own: a chain of them may be deeper than the stack. Of living ones nothing is looked at. */
  async *#familyOf(root: InstanceRecord): AsyncGenerator<InstanceRecord> {
    const seen = new Set([root.instanceId]);
    const path = [{ record: root, children: this.#childrenOf(root) }];
    for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
      const next = await last.children.next();
      if (next.done === true) {
        path.pop();
        yield last.record;
      } else if (!isEnded(next.value.status)) {
        yield next.value;
      } else if (!seen.has(next.value.instanceId)) {
        seen.add(next.value.instanceId);
        path.push({ record: next.value, children: this.#childrenOf(next.value) });
      }
    }
  }

  async *#childrenOf({ instanceId, executionId, createdAtMs, endedAtMs }: InstanceRecord): AsyncGenerator<InstanceRecord, void> {
    // Older and younger ones are of other instances that had its id, or have it now.
    const lived = { createdFromMs: createdAtMs, ...(endedAtMs !== null && { createdBeforeMs: endedAtMs + 1 }) };
    const query = { filter: { parentInstanceId: instanceId, ...lived }, orderBy: 'createdAt', descending: false, limit: BATCH } as const;
    let after: ListPosition | null = null;
    do {
      const page: InstanceList = await this.#find({ ...query, after });
      for (const child of page.records) if ((child.parent?.executionId ?? 0) <= executionId) yield child;
      after = page.next;
    } while (after !== null && !this.#isStopped);
  }

  /** Those whose parent lives, as it seems. They are tried by themselves: another instance may have the id of their parent. */
  async #waitedFor(records: readonly InstanceRecord[]): Promise<ReadonlySet<string>> {
    const children = records.filter(({ parent }) => parent !== null);
    if (children.length === 0) return new Set();
    const parents = await this.#provider.readInstances(children.map(({ parent }) => parent?.instanceId ?? ''));
    return new Set(
      children.flatMap(({ instanceId }, index) => {
        const parent = parents[index] ?? null;
        return parent !== null && !isEnded(parent.status) ? [instanceId] : [];
      }),
    );
  }

  async #prune(): Promise<void> {
    const noted = [...this.#continued];
    for (let first = 0; first < noted.length && !this.#isStopped; first += BATCH) {
      const batch = noted.slice(first, first + BATCH);
      for (const [instanceId] of batch) this.#continued.delete(instanceId);
      const requests = batch.flatMap(([instanceId, name]) => {
        const keepLast = this.#ruleOf(name)?.keepExecutions ?? null;
        return keepLast === null ? [] : [{ instanceId, keepLast, endedBeforeMs: null }];
      });
      if (requests.length === 0) continue;
      try {
        await this.#provider.pruneExecutions(requests);
      } catch (error) {
        for (const [instanceId, name] of batch) if (!this.#continued.has(instanceId)) this.#continued.set(instanceId, name);
        throw error;
      }
      await this.#pause();
    }
  }

  /** Lets the event loop do something else. */
  #giveWay(): Promise<void> {
    return new Promise((resolve) => this.#clock.defer(resolve));
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
