// Where a scenario takes place: one store on disk, one runtime, and the ledgers of what activities did; three times over, so that every
// scenario also runs in threads and survives the death of its runtime. Neighbours: fixtures/outside.ts, ../support/integration-stage.ts.
import { Client, Runtime, type HistoryEvent, type InstanceState, type RuntimeOptions } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { SimulatedClock } from 'duraloom/testing';
import { mkdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe } from 'vitest';
import { LogBook } from '../support/integration-log.ts';
import { PATIENCE, Stage } from '../support/integration-stage.ts';
import { LEDGERS_VARIABLE, notes } from './fixtures/outside.ts';

type Mode = { readonly name: string; readonly threads: number; readonly restarts: boolean };

const MODES: readonly Mode[] = [
  { name: 'inline', threads: 0, restarts: false },
  { name: 'in threads', threads: 1, restarts: false },
  { name: 'with a restart in the middle', threads: 0, restarts: true },
];

/** What a world is made of. */
export type WorldOptions = {
  /** Module in the folder `fixtures` with the definitions. */
  readonly module: string;
  /** Options of the runtime besides store, modules, threads. */
  readonly runtime?: Partial<RuntimeOptions>;
  /** True: time stands still until the test lets it pass. */
  readonly simulated?: boolean;
};

/** What lives from one restart to the next. */
type Life = { readonly provider: SqliteProvider; readonly runtime: Runtime; readonly client: Client };

/** Begin of simulated time. */
const START_MS = Date.UTC(2030, 0, 1);
const MINUTE_MS = 60_000;

type Fits = (customStatus: unknown) => boolean;

/** URL of a module in the folder `fixtures`. */
export function scenarioModule(name: string): URL {
  return new URL(`fixtures/${name}`, import.meta.url);
}

/** One store with a runtime. */
export class World {
  readonly clock: SimulatedClock | null;
  /** What all runtimes of this world logged. */
  readonly log: LogBook = new LogBook();
  readonly #stage = new Stage();
  readonly #mode: Mode;
  readonly #options: WorldOptions;
  #life: Life | null = null;

  constructor(mode: Mode, options: WorldOptions) {
    this.#mode = mode;
    this.#options = options;
    this.clock = options.simulated === true ? new SimulatedClock(START_MS) : null;
  }

  /** Client to the store as it is opened now: another one after `interrupt`. */
  get client(): Client {
    return this.#alive().client;
  }

  get provider(): SqliteProvider {
    return this.#alive().provider;
  }

  async open(): Promise<void> {
    mkdirSync(this.#stage.file('ledgers'), { recursive: true });
    process.env[LEDGERS_VARIABLE] = this.#stage.file('ledgers');
    const clock = this.clock === null ? {} : { clock: this.clock };
    // Nobody cuts the power here.
    const provider = await SqliteProvider.open(this.#stage.file(), { synchronous: 'NORMAL', ...clock });
    const { module, runtime: options } = this.#options;
    const runtime = await Runtime.start({
      provider,
      orchestrations: scenarioModule(module),
      activities: scenarioModule(module),
      replayThreads: this.#mode.threads,
      activityThreads: this.#mode.threads,
      retryBackoff: { initialMs: 10, maximumMs: 100 },
      logger: this.log,
      ...clock,
      ...options,
    });
    this.#life = { provider, runtime, client: new Client(provider) };
  }

  async close(): Promise<void> {
    await this.#end();
    await this.#stage[Symbol.asyncDispose]();
  }

  /**
   * A good moment for the runtime to die: in the restarted mode, runtime and store are closed here and opened again.
   *
   * @param patienceMs - how long running activities may finish
   */
  async interrupt(patienceMs = 5_000): Promise<void> {
    if (!this.#mode.restarts) return;
    await this.#end(patienceMs);
    await this.open();
  }

  /** Waits for the result of an instance, through whatever restarts. */
  result<Output = unknown>(instanceId: string): Promise<Output> {
    return this.client.waitForResult<Output>(instanceId, { timeout: PATIENCE });
  }

  /** Waits until the custom status of an instance is this one, or fits. */
  async reach(instanceId: string, wanted: unknown): Promise<InstanceState> {
    for (let afterVersion = 0; ;) {
      const state = await this.client.waitForCustomStatus(instanceId, { afterVersion, timeout: PATIENCE });
      const { customStatus, status } = state;
      const isReached = typeof wanted === 'function' ? (wanted as Fits)(customStatus) : isDeepStrictEqual(customStatus, wanted);
      if (isReached) return state;
      if (status !== 'Running') {
        throw new TypeError(`'${instanceId}' is ${status} with status ${JSON.stringify(customStatus)}, without ${JSON.stringify(wanted)}`, {
          cause: state.error,
        });
      }
      afterVersion = state.customStatusVersion;
    }
  }

  /** Lets simulated time pass. */
  async pass(minutes: number): Promise<void> {
    if (this.clock === null) throw new TypeError('this world runs in real time');
    await this.clock.advance(Math.round(minutes * MINUTE_MS));
  }

  /** Lets simulated time pass while the machine is off, in every mode: nothing has to be told of every minute of it. */
  async passAway(minutes: number): Promise<void> {
    await this.#end();
    await this.pass(minutes);
    await this.open();
  }

  /** What activities wrote into a ledger. */
  notes(ledger: string): readonly string[] {
    return notes(ledger);
  }

  /** The history of an instance, an event a line. */
  async outline(instanceId: string, executionId?: number): Promise<readonly string[]> {
    return outline(await this.client.readHistory(instanceId, executionId));
  }

  #alive(): Life {
    if (this.#life === null) throw new TypeError('the world is opened before the tests and closed after them');
    return this.#life;
  }

  async #end(timeoutMs = 5_000): Promise<void> {
    const life = this.#life;
    if (life === null) return;
    this.#life = null;
    const down = life.runtime.shutdown({ timeoutMs });
    // The patience of a shutdown is measured by the clock of the runtime, and simulated time stands still.
    if (this.clock !== null && timeoutMs === 0) while (life.runtime.state !== 'stopped') await this.clock.advance(1);
    await down;
    await life.provider.close();
  }
}

/** Defines tests three times: inline, in threads, and with restarts. The world is for use in tests only. */
export function inEveryMode(options: WorldOptions, define: (world: World) => void): void {
  describe.each(MODES)('$name', (mode) => {
    const world = new World(mode, options);
    beforeAll(() => world.open());
    afterAll(() => world.close());
    define(world);
  });
}

/** A history in words: what was decided and what came, without ids and times. */
export function outline(history: readonly HistoryEvent[]): readonly string[] {
  return history.map((event) => {
    const subject = 'sourceId' in event ? history.find(({ id }) => id === event.sourceId) : event;
    if (subject !== undefined && 'name' in subject) return `${event.kind} ${subject.name}`;
    return event.kind === 'FutureCancelled' ? `${event.kind} ${String(subject?.kind)}` : event.kind;
  });
}
