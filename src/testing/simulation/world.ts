// One simulated world from a seed: a store, processes on it, what the outside does, and everything that goes wrong. Neighbours: scheduler.ts
// (time and order), process.ts, troubles.ts, observer.ts, checks.ts; simulate.ts is what users call.
//
// The way of a world: open the store → start the processes, the workload and the troubles → when the troubles are over, calm everything and
// have every process run → rest (nothing happens any more) → end the processes → collect what is in the store → check it.
import { faulty, type FaultyProvider } from '../faulty.ts';
import { Client } from '../../client/client.ts';
import type { Provider } from '../../provider/provider.ts';
import { SeededRandom } from '../../replay/random.ts';
import type { InstanceList, ListPosition } from '../../provider/management.ts';
import type { InstanceRecord } from '../../types/instance.ts';
import { emptyRecord, observed, type Committed } from './observer.ts';
import { checkRest, runKey, type ReadExecution, type StoredExecution } from './checks.ts';
import { SimulatedProcess } from './process.ts';
import { Scheduler, type Lane } from './scheduler.ts';
import type { SimulatedOutside, SimulationOptions } from './simulate.ts';
import { Troubles, type TroubleCounts } from './troubles.ts';

/** Instances that are read with one call. */
const PAGE = 1000;
/** Callbacks while the store is opened, read and closed. */
const HOUSEKEEPING_STEPS = 1_000_000;

/** What a world was when it came to its end. */
export type WorldEnd = {
  readonly violations: readonly string[];
  readonly instances: readonly InstanceRecord[];
  readonly executions: readonly ReadExecution[];
  readonly troubles: TroubleCounts;
  readonly steps: number;
  readonly elapsedMs: number;
  readonly trace: readonly string[];
};

/** A world. */
export class World {
  readonly #options: Required<SimulationOptions>;
  readonly #random: SeededRandom;
  readonly #scheduler: Scheduler;
  readonly #lane: Lane;
  readonly #committed: Committed = emptyRecord();
  readonly #runs = new Map<string, number>();
  readonly #violations: string[] = [];
  readonly #lines: string[] = [];
  readonly #trace: ((line: string) => void) | null;
  readonly #processes: readonly SimulatedProcess[];
  readonly #troubles: Troubles;
  #store: Provider | null = null;
  /** Connection of the client that suffers as the processes do. */
  #shaky: FaultyProvider | null = null;

  constructor(options: Required<SimulationOptions>) {
    this.#options = options;
    this.#random = new SeededRandom(`world ${options.seed}`);
    this.#scheduler = new Scheduler(this.#random, options);
    this.#lane = this.#scheduler.lane('outside');
    this.#trace = options.trace ? (line) => void this.#lines.push(`${this.#scheduler.elapsedMs} ${line}`) : null;
    const shared = { scheduler: this.#scheduler, random: this.#random, trace: this.#trace };
    this.#troubles = new Troubles(options.troubles, { ...shared, lane: this.#lane });
    this.#processes = Array.from({ length: options.processes }, (_, index) => {
      const name = `host${index + 1}`;
      return new SimulatedProcess({
        ...shared,
        name,
        connect: () => this.#connect(name),
        faults: options.faults,
        orchestrations: options.orchestrations,
        activities: options.activities,
        runtime: options.runtime,
        activityMs: options.activityMs,
        onRun: ({ instanceId, executionId, name: activity }) => {
          const key = runKey(instanceId, executionId, activity);
          this.#runs.set(key, (this.#runs.get(key) ?? 0) + 1);
        },
      });
    });
  }

  /** Lets the world run to its end. */
  async run(): Promise<WorldEnd> {
    this.#store = await this.#finish(this.#options.openStore(this.#lane));
    this.#lane.defer(() => this.#begin());
    if ((await this.#scheduler.run(this.#options.maxSteps)) === 'limit') {
      this.#violations.push(`there was no rest after ${this.#options.maxSteps} callbacks`);
    } else this.#tell();
    const { steps, elapsedMs } = this.#scheduler;
    await this.#finish(Promise.all(this.#processes.map((process) => endOf(process))));
    const { instances, executions } = await this.#finish(this.#check());
    await this.#finish(this.#store.close());
    return { violations: this.#violations, instances, executions, troubles: this.#troubles.counts, steps, elapsedMs, trace: this.#lines };
  }

  #connect(name: string): Provider {
    if (this.#store === null) throw new TypeError('the store is opened before anybody connects to it');
    return observed(this.#store, this.#committed, this.#trace === null ? null : (line) => this.#trace?.(`${name} ${line}`));
  }

  /** What was begun and has not ended, by name. */
  readonly #open = new Set<string>();

  #begin(): void {
    for (const process of this.#processes) process.start();
    this.#keep('the workload', this.#options.workload(this.#makeOutside()));
    this.#keep(
      'the trouble',
      this.#troubles.run(this.#processes).then(() => this.#calm()),
    );
  }

  #keep(name: string, promise: Promise<void>): void {
    this.#open.add(name);
    promise.then(
      () => this.#open.delete(name),
      (error: unknown) => {
        this.#open.delete(name);
        this.#violations.push(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      },
    );
  }

  /** Everything works from now on, and everybody is there. */
  #calm(): void {
    this.#trace?.('calm');
    this.#shaky?.calm();
    this.#scheduler.slowMs = 0;
    for (const process of this.#processes) {
      process.calm();
      process.start();
    }
  }

  #tell(): void {
    for (const name of this.#open) this.#violations.push(`nothing happens any more, and ${name} has not ended`);
  }

  #makeOutside(): SimulatedOutside {
    const lane = this.#lane;
    const plan = { ...this.#options.faults, seed: this.#random.nextUint32() };
    this.#shaky = faulty(this.#connect('client'), plan, { clock: lane });
    return {
      client: new Client(this.#connect('outside'), { clock: lane }),
      shakyClient: new Client(this.#shaky, { clock: lane }),
      clock: lane,
      random: () => this.#random.nextFloat(),
      sleep: (ms) => lane.sleep(ms),
    };
  }

  async #check(): Promise<{ readonly instances: readonly InstanceRecord[]; readonly executions: readonly ReadExecution[] }> {
    const store = this.#connect('check');
    const instances: InstanceRecord[] = [];
    let after: ListPosition | null = null;
    do {
      const page: InstanceList = await store.listInstances({ filter: {}, orderBy: 'id', descending: false, after, limit: PAGE });
      instances.push(...page.records);
      after = page.next;
    } while (after !== null);
    const requests = instances.flatMap(({ instanceId, executionId }) =>
      Array.from({ length: executionId }, (_, index) => ({ instanceId, executionId: index + 1, afterEventId: 0 })),
    );
    const histories = await store.readHistory(requests);
    const stored = requests.map(({ instanceId, executionId }, index): StoredExecution => ({
      instanceId,
      executionId,
      pages: (histories[index] ?? []).map(({ events }) => events),
    }));
    const { violations, executions } = checkRest({
      instances,
      executions: stored.filter(({ pages }) => pages.length > 0),
      depths: await store.readQueueDepths(),
      committed: this.#committed,
      runs: this.#runs,
    });
    this.#violations.push(...violations);
    return { instances, executions };
  }

  /** Runs the world until something has ended. */
  async #finish<Value>(promise: Promise<Value>): Promise<Value> {
    const state = { isOver: false };
    const result = promise.finally(() => {
      state.isOver = true;
    });
    const [value] = await Promise.all([result, this.#scheduler.run(HOUSEKEEPING_STEPS, () => state.isOver)]);
    return value;
  }
}

async function endOf(process: SimulatedProcess): Promise<void> {
  process.stop(1_000);
  await process.settled();
}
