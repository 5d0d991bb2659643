// A host process of a simulated world: a runtime with threads of its own on one connection to the store, which starts, crashes and is stopped
// again and again. Neighbours: scheduler.ts is its time, world.ts has several of them, troubles.ts hurts them.
//
// R1. A crash is the end of the connection: what was not sent never arrives, answers are never heard, parked fetches leave the store. What
//     is left of the process in memory goes on apart from the world until it has put itself away; nothing that it does counts.
// R2. One life at a time. A new one knows nothing of the one before.
import { Runtime } from '../../main/runtime.ts';
import type { RuntimeOptions } from '../../main/options.ts';
import type { Provider } from '../../provider/provider.ts';
import type { SeededRandom } from '../../replay/random.ts';
import type { ActivityContext } from '../../types/context.ts';
import type { ActivityDefinition, OrchestrationDefinition } from '../../types/definition.ts';
import { CancelledError } from '../../types/errors.ts';
import type { Logger } from '../../types/logger.ts';
import type { FaultPlan } from '../fault-plan.ts';
import { faulty, type FaultyProvider } from '../faulty.ts';
import { LaneGroup, type Lane, type Scheduler } from './scheduler.ts';

/** Which thread of a process. */
export type ThreadKind = 'main' | 'replay' | 'activity';

/** What a process needs of its world. */
export type ProcessOptions = {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  /** Opens a connection to the store. */
  readonly connect: () => Provider;
  readonly faults: Omit<FaultPlan, 'seed'>;
  readonly orchestrations: readonly OrchestrationDefinition[];
  readonly activities: readonly ActivityDefinition[];
  readonly runtime: Partial<RuntimeOptions>;
  /** Longest time that an activity takes, in milliseconds. */
  readonly activityMs: number;
  readonly trace: ((line: string) => void) | null;
  /** Is told of each run of an activity that begins. */
  readonly onRun: (ctx: ActivityContext) => void;
};

/** One life. */
type Life = {
  readonly group: LaneGroup;
  readonly lanes: Map<ThreadKind, Lane>;
  readonly connection: FaultyProvider;
  isOver: boolean;
  /** Resolves when it has started, or never could. */
  started: Promise<Runtime | null>;
  runtime: Runtime | null;
};

/** Wait before a start that the store refused is tried again, in milliseconds. */
const RESTART_MS = 50;

/** A host process. */
export class SimulatedProcess {
  readonly name: string;
  readonly #options: ProcessOptions;
  #life: Life | null = null;
  #lives = 0;
  /** Lives that have ended and are being put away. */
  readonly #endings = new Map<Life, Promise<unknown>>();
  #isCalm = false;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** It is up, or coming up. */
  get isAlive(): boolean {
    return this.#life !== null;
  }

  /** Faults that hit the present life's connection so far. */
  get faults(): number {
    return this.#life?.connection.log.length ?? 0;
  }

  /** Begins a new life. Does not wait for it. */
  start(): void {
    if (this.#life !== null) return;
    this.#lives += 1;
    const { scheduler, random, connect, faults } = this.#options;
    const group = new LaneGroup();
    const lanes = new Map<ThreadKind, Lane>();
    // A thread that is started again replaces the one before.
    const main = scheduler.lane(`${this.name}.${this.#lives}`, {
      group,
      onThread: (lane) => void lanes.set(lane.name.endsWith('replay thread') ? 'replay' : 'activity', lane),
    });
    lanes.set('main', main);
    const connection = faulty(connect(), { ...faults, seed: random.nextUint32() }, { clock: main });
    if (this.#isCalm) connection.calm();
    const life: Life = { group, lanes, connection, isOver: false, started: Promise.resolve(null), runtime: null };
    this.#life = life;
    life.started = this.#begin(life, main);
    this.#options.trace?.(`${this.name} starts life ${this.#lives}`);
  }

  /** Ends the life as `kill -9` does. */
  crash(): void {
    const life = this.#end('crashes');
    if (life === null) return;
    life.isOver = true;
    life.connection.disconnect();
    this.#putAway(life, 0);
  }

  /**
   * Shuts the runtime down and ends the process.
   *
   * @param timeoutMs - how long what runs may finish
   */
  stop(timeoutMs: number): void {
    const life = this.#end(`is stopped within ${timeoutMs} ms`);
    if (life !== null) this.#putAway(life, timeoutMs);
  }

  /** Resolves when every life that has ended is put away. */
  async settled(): Promise<void> {
    while (this.#endings.size > 0) await Promise.all(this.#endings.values());
  }

  /** Ends one thread. Returns false when there was none. */
  crashThread(kind: 'replay' | 'activity'): boolean {
    const isDone = this.#life?.runtime?.crashThread({ kind }) ?? false;
    if (isDone) this.#options.trace?.(`${this.name} loses its ${kind} thread`);
    return isDone;
  }

  /** Stops one of its threads for a while, or all of them. */
  freeze(kind: ThreadKind | 'all', ms: number): void {
    const target = kind === 'all' ? this.#life?.group : this.#life?.lanes.get(kind);
    if (target === undefined) return;
    target.frozenUntilMs = this.#options.scheduler.elapsedMs + ms;
    this.#options.trace?.(`${this.name} stands still for ${ms} ms: ${kind}`);
  }

  /** Cuts the connection for a while. */
  disconnect(ms: number): void {
    const life = this.#life;
    if (life === null) return;
    life.connection.disconnect();
    life.lanes.get('main')?.setTimer(ms, () => {
      // A crash is for good.
      if (!life.isOver) life.connection.reconnect();
    });
    this.#options.trace?.(`${this.name} is cut off for ${ms} ms`);
  }

  /** From now on nothing fails any more. */
  calm(): void {
    this.#isCalm = true;
    for (const life of [this.#life, ...this.#endings.keys()]) {
      if (life === null || life.isOver) continue;
      life.connection.calm();
      thaw(life);
    }
  }

  #end(how: string): Life | null {
    const life = this.#life;
    if (life === null) return null;
    this.#life = null;
    this.#options.trace?.(`${this.name} ${how}`);
    return life;
  }

  #putAway(life: Life, timeoutMs: number): void {
    thaw(life);
    const ending = life.started
      .then((runtime) => runtime?.shutdown({ timeoutMs }))
      .finally(() => {
        life.isOver = true;
        this.#endings.delete(life);
      });
    this.#endings.set(life, ending);
  }

  async #begin(life: Life, main: Lane): Promise<Runtime | null> {
    const { name, orchestrations, activities, runtime: options, trace } = this.#options;
    while (!life.isOver && this.#life === life) {
      try {
        life.runtime = await Runtime.start({
          maxAttempts: 1000,
          nodeId: name,
          logger: trace === null ? undefined : toLogger(trace, name),
          ...options,
          provider: life.connection,
          clock: main,
          replayThreads: 0,
          activityThreads: 0,
          ...(orchestrations.length === 0 ? {} : { orchestrations }),
          ...(activities.length === 0 ? {} : { activities: activities.map((definition) => this.#watched(life, definition)) }),
        } as RuntimeOptions);
        return life.runtime;
      } catch (error) {
        trace?.(`${name} cannot start: ${String(error)}`);
        if (!isStoreTrouble(error)) throw error;
        await main.sleep(RESTART_MS);
      }
    }
    return null;
  }

  /** An activity that takes its time, and that is counted while its process lives. */
  #watched(life: Life, definition: ActivityDefinition): ActivityDefinition {
    const { random, activityMs, onRun, trace } = this.#options;
    const handler = async (ctx: ActivityContext, input: never): Promise<unknown> => {
      if (!life.isOver) {
        onRun(ctx);
        trace?.(`${this.name} runs ${ctx.name} of ${ctx.instanceId}/${ctx.executionId} event ${ctx.eventId}, attempt ${ctx.attempt}`);
      }
      const lane = life.lanes.get('activity');
      const ms = activityMs === 0 ? 0 : random.nextUint32() % (activityMs + 1);
      if (ms > 0 && lane !== undefined) await Promise.race([lane.sleep(ms), aborted(ctx.signal)]);
      // R1.
      if (life.isOver) throw new CancelledError(`${this.name} has crashed`);
      return await definition.handler(ctx, input);
    };
    return { ...definition, handler };
  }
}

/** Nothing of it stands still any more. */
function thaw({ group, lanes }: Life): void {
  for (const target of [group, ...lanes.values()]) target.frozenUntilMs = 0;
}

function isStoreTrouble(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code === 'PROVIDER_FAILED' || code === 'PROVIDER_TIMEOUT';
}

/** Rejects when a signal aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

function toLogger(trace: (line: string) => void, name: string): Logger {
  const at =
    (level: string) =>
    (_fields: Readonly<Record<string, unknown>>, message: string): void =>
      trace(`${name} ${level}: ${message}`);
  return { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error') };
}
