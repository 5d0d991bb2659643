// A pool of threads that each run one loop: Piscina owns the threads' lives, this file gives each a work port and a control port and
// starts a fresh one when one dies. With no threads the same loop runs inline, in the main thread, over the same ports.
// Neighbours: replay-pool.ts and activity-pool.ts name the two kinds; main's dispatchers use them.
//
// T1. A slot is `ready` only after its modules are loaded; batches are posted to ready slots only.
// T2. When a thread dies its slot is told dead exactly once, before a new thread takes its place: nobody waits for answers of the dead.
// T3. Answers of a thread that arrive after its death was told are dropped.
import { Piscina } from 'piscina';
import { MessageChannel, type Worker } from 'node:worker_threads';
import type { Clock } from '../types/clock.ts';
import { ArgumentError, assert, DefinitionError, DurableError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import type { LogThreshold } from '../types/logger.ts';
import { show } from '../types/show.ts';
import { serveHost, type ActivityHost } from './activity-host.ts';
import { callControl, toLoadError, type ThreadControl } from './control.ts';
import { entryUrl } from './entry-url.ts';
import { readLoopTime, type LoopTime } from './loop-time.ts';
import type { Wire } from './messages.ts';
import { Progress, type ReplayFigures } from './progress.ts';
import { toThreadSource, type DefinitionSource, type RegisteredName, type ThreadSource } from './registry.ts';
import type { ThreadTask } from './replay-thread.ts';
import { ThreadTally } from './thread-tally.ts';
import type { VersionPolicy } from './versions.ts';
import { makeInlineChannel, type WorkPort } from './work-port.ts';

/** One thread of a pool, as its dispatcher sees it. */
export type Slot<Control> = {
  readonly index: number;
  readonly control: Control;
  readonly progress: Progress;
  /** What is counted about it; its items by the dispatcher. */
  readonly tally: ThreadTally;
  readonly post: (wire: Wire) => void;
};

/** What a pool knows about one of its threads, over all its lives. */
export type ThreadFigures = {
  readonly index: number;
  /** Which life of it this is, from 1. */
  readonly life: number;
  /** Idle and busy time of its event loop in this life, in milliseconds; 0 inline. */
  readonly loop: LoopTime;
  readonly tally: ThreadTally;
  /** What a replay thread has done; 0 in an activity thread. */
  readonly replay: ReplayFigures;
};

/** Who uses a pool. */
export interface PoolListener<Control> {
  /** A thread is loaded and takes work. */
  onReady(slot: Slot<Control>): void;
  /** A thread has answered. */
  onBatch(slot: Slot<Control>, wire: Wire): void;
  /** A thread is gone with everything it had; a new one is on its way. */
  onDeath(slot: Slot<Control>, error: DurableError): void;
}

/** What a pool needs. */
export type PoolOptions = {
  readonly kind: 'replay' | 'activity';
  /** Time of the threads: the real one, unless they are inline. */
  readonly clock: Clock;
  /** Number of threads; 0: inline. */
  readonly threads: number;
  readonly sources: readonly DefinitionSource[];
  readonly versionPolicy: VersionPolicy;
  /** See `ThreadTask.limit`. */
  readonly limit: number;
  /** See `ThreadTask.checkRate`. */
  readonly checkRate: number;
  /** See `ThreadTask.logLevel`. */
  readonly logLevel: LogThreshold;
  /** See `ThreadTask.traceRatio`. */
  readonly traceRatio: number | null;
  /** Activity threads only: what main does for them. */
  readonly activities: { readonly host: ActivityHost; readonly storeName: string; readonly graceMs: number } | null;
  /** Most memory of a thread's heap, in MiB; null: Node's default. */
  readonly memoryMb: number | null;
};

/** A loop that runs in this thread. */
export type InlineLoop<Control> = Control & { readonly dispose?: () => void };

/** Makes such a loop, which lives by the clock that it gets; it calls `fail` when it cannot go on. */
export type MakeInline<Control> = (parts: {
  readonly port: WorkPort;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly fail: (error: unknown) => void;
}) => InlineLoop<Control>;

/**
 * Most memory of young objects in a thread whose memory is limited, in MiB. Reason: what one collection moves to the old ones must fit
 * into the 16 MiB that Node grants beyond the limit, or V8 ends the whole process (measured: 2 of 75 runs with the default of 48).
 */
const MAX_YOUNG_MB = 12;

/** Wait before a thread that could not start again is tried again, in milliseconds. */
const RESTART_DELAY_MS = 200;

/** Longest time that a thread may take to load its modules, in milliseconds. Reason: a start must not hang for ever. */
const LOAD_TIMEOUT_MS = 60_000;

/** One life of one thread. */
type Session<Control> = {
  readonly slot: Slot<Control>;
  /** Resolves when the thread is gone, with the reason. Never rejects. */
  readonly ended: Promise<DurableError>;
  /** Ends the thread at once. */
  readonly abort: () => void;
  /** Closes main's ends of the ports: a living thread ends by it. */
  readonly close: () => void;
  readonly onBatch: (receive: (wire: Wire) => void) => void;
};

/** What outlives the lives of a thread. */
type ThreadRecord = {
  readonly tally: ThreadTally;
  life: number;
  /** null: none is loaded, or it is inline. */
  worker: Worker | null;
  /** What the lives before this one have done. */
  past: ReplayFigures;
};

const NO_FIGURES: ReplayFigures = { engines: 0, cacheBytes: 0, hits: 0, misses: 0, replayedEvents: 0, evictions: 0 };

/** Threads of one kind. */
export class ThreadPool<Control extends ThreadControl> {
  readonly #options: PoolOptions;
  readonly #listener: PoolListener<Control>;
  readonly #makeInline: MakeInline<Control>;
  readonly #sources: readonly ThreadSource[];
  readonly #sessions = new Map<number, Session<Control>>();
  readonly #records: readonly ThreadRecord[];
  readonly #serving: Promise<void>[] = [];
  #piscina: Piscina | null = null;
  #names: readonly RegisteredName[] = [];
  #closed = false;
  #alive: NodeJS.Timeout | null = null;

  /**
   * @param options - how many threads, with what
   * @param listener - who uses them
   * @param makeInline - makes the loop for inline mode
   * @throws {ArgumentError} when a definition instead of a module is given to threads, or a relative path
   */
  constructor(options: PoolOptions, listener: PoolListener<Control>, makeInline: MakeInline<Control>) {
    this.#options = options;
    this.#listener = listener;
    this.#makeInline = makeInline;
    this.#records = Array.from({ length: Math.max(1, options.threads) }, () => ({
      tally: new ThreadTally(),
      life: 0,
      worker: null,
      past: NO_FIGURES,
    }));
    this.#sources = options.sources.map((given) => {
      const threadSource = toThreadSource(given);
      const { source } = threadSource;
      if (typeof source === 'string' || options.threads === 0) return threadSource;
      const name = options.kind === 'replay' ? 'orchestration' : 'activity';
      throw new ArgumentError(
        `Expected ${name} ${show(source.name)} to come from a module: functions cannot be sent to threads. Give new URL('./${name}s.ts', import.meta.url), or set \`${options.kind}Threads: 0\` to run inline`,
      );
    });
  }

  /** Names that the threads have registered. */
  get names(): readonly RegisteredName[] {
    return this.#names;
  }

  /**
   * Starts all threads and loads their modules. After a rejection the pool is to be closed.
   *
   * @throws {DefinitionError} when a module cannot be loaded
   */
  async start(): Promise<void> {
    const { kind, threads, memoryMb } = this.#options;
    if (threads > 0) {
      this.#piscina = new Piscina({
        filename: entryUrl(kind === 'replay' ? 'replay-thread' : 'activity-thread'),
        name: kind === 'replay' ? 'replayThread' : 'activityThread',
        minThreads: threads,
        maxThreads: threads,
        concurrentTasksPerWorker: 1,
        idleTimeout: Number.POSITIVE_INFINITY,
        // Anything else parks an idle thread in Atomics.wait, where it serves no port.
        atomics: 'disabled',
        recordTiming: false,
        ...(memoryMb === null
          ? {}
          : { resourceLimits: { maxOldGenerationSizeMb: memoryMb, maxYoungGenerationSizeMb: Math.min(memoryMb / 4, MAX_YOUNG_MB) } }),
      });
      // A death is told by the rejection of the thread's task; without a listener this event would end the process.
      this.#piscina.on('error', () => undefined);
    }
    const slots = this.#records.map((_, index) => index);
    // Until the threads are ready, and inline also later, nothing else may keep the process alive.
    this.#alive = setInterval(() => undefined, 60_000);
    await Promise.all(
      slots.map(
        (index) =>
          new Promise<void>((resolve, reject) => {
            this.#serving.push(this.#serve(index, { resolve, reject }));
          }),
      ),
    );
  }

  /** What is known about each thread now. Asks no thread: it is cheap, and works while they are busy. */
  figures(): readonly ThreadFigures[] {
    return this.#records.map(({ tally, life, worker, past }, index) => {
      const loop = readLoopTime(worker);
      const present = this.#sessions.get(index)?.slot.progress.readFigures() ?? NO_FIGURES;
      return { index, life, loop, tally, replay: addFigures(past, present) };
    });
  }

  /**
   * Ends a thread at once. Its death is told to the listener, and a new thread takes its place.
   *
   * @param slot - the thread
   */
  terminate(slot: Slot<Control>): void {
    const session = this.#sessions.get(slot.index);
    if (session?.slot === slot) session.abort();
  }

  /**
   * Ends a thread as if it had crashed.
   *
   * @param index - which, from 0
   * @returns false when it is not running at the moment
   */
  crash(index: number): boolean {
    const session = this.#sessions.get(index);
    session?.abort();
    return session !== undefined;
  }

  /** Closes all ports and ends all threads. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#alive !== null) clearInterval(this.#alive);
    for (const session of this.#sessions.values()) session.close();
    await this.#piscina?.destroy();
    await Promise.all(this.#serving);
  }

  /** Keeps one slot alive: one session after the other until the pool is closed. */
  async #serve(index: number, start: { readonly resolve: () => void; readonly reject: (error: DurableError) => void }): Promise<void> {
    for (let first = true; !this.#closed; first = false) {
      const session = this.#options.threads === 0 ? this.#openInline(index) : this.#openThread(index);
      this.#sessions.set(index, session);
      const failure = await this.#load(session);
      if (failure !== null) {
        session.close();
        // Inline, the loop has changed globals of the host: they are back before the start is refused.
        if (this.#options.threads === 0) await session.ended;
        if (first || this.#closed) {
          start.reject(failure);
          return;
        }
        process.emitWarning(failure, { code: 'DURALOOM_THREAD_RESTART' });
        await new Promise<void>((resolve) => this.#options.clock.setTimer(RESTART_DELAY_MS, resolve));
        continue;
      }
      let alive = true;
      session.onBatch((wire) => {
        if (!alive) return;
        session.slot.tally.batchesReceived += 1;
        this.#listener.onBatch(session.slot, wire);
      });
      this.#listener.onReady(session.slot);
      if (first) start.resolve();
      const death = await session.ended;
      alive = false;
      session.close();
      this.#retire(index, session);
      if (!this.#closed) this.#listener.onDeath(session.slot, death);
    }
  }

  /** Loads the modules. Returns what went wrong, null for nothing. */
  async #load(session: Session<Control>): Promise<DurableError | null> {
    let stopTimeout = (): void => undefined;
    const late = new Promise<'late'>((resolve) => {
      stopTimeout = this.#options.clock.setTimer(LOAD_TIMEOUT_MS, () => resolve('late'), true);
    });
    const loaded = await Promise.race([session.slot.control.load(this.#sources, this.#options.versionPolicy), session.ended, late]);
    stopTimeout();
    if (loaded === 'late') {
      session.abort();
      const modules = this.#sources.map(({ source }) => (typeof source === 'string' ? source : show(source.name))).join(', ');
      return new DefinitionError(
        'MODULE_NOT_LOADED',
        `modules took more than ${LOAD_TIMEOUT_MS} ms to load: ${modules}. Look for an endless loop or a top-level await that never settles`,
      );
    }
    if (loaded instanceof DurableError) {
      return new DurableError('THREAD_DIED', `${article(this.#options.kind)} thread died while it loaded its modules: ${loaded.message}`, {
        cause: loaded,
      });
    }
    if (!loaded.ok) return toLoadError(loaded.failure);
    this.#names = loaded.names;
    const record = this.#recordOf(session.slot.index);
    record.life += 1;
    record.worker = this.#piscina?.threads.find((worker) => worker.threadId === loaded.threadId) ?? null;
    return null;
  }

  /** Keeps what a life has done; its engines are gone. */
  #retire(index: number, session: Session<Control>): void {
    this.#sessions.delete(index);
    const record = this.#recordOf(index);
    record.past = { ...addFigures(record.past, session.slot.progress.readFigures()), engines: 0, cacheBytes: 0 };
    record.worker = null;
  }

  #recordOf(index: number): ThreadRecord {
    const record = this.#records[index];
    assert(record !== undefined, 'a pool has a record of each of its threads');
    return record;
  }

  #openThread(index: number): Session<Control> {
    assert(this.#piscina !== null, 'a pool with threads has a Piscina');
    const work = new MessageChannel();
    const channel = new MessageChannel();
    const progress = new Progress();
    const abort = new AbortController();
    const { limit, checkRate, logLevel, traceRatio, activities } = this.#options;
    const hosting = activities === null ? null : new MessageChannel();
    const task: ThreadTask = {
      workPort: work.port2,
      controlPort: channel.port2,
      progress: progress.buffer,
      limit,
      checkRate,
      logLevel,
      traceRatio,
      activities:
        activities === null || hosting === null
          ? null
          : { hostPort: hosting.port2, storeName: activities.storeName, graceMs: activities.graceMs },
    };
    if (activities !== null && hosting !== null) serveHost(activities.host, hosting.port1);
    const transferList = [work.port2, channel.port2, ...(hosting === null ? [] : [hosting.port2])];
    const running: Promise<unknown> = this.#piscina.run(task, { transferList, signal: abort.signal });
    const { control, release: releaseControl } = callControl<Control>(channel.port1);
    const release = (): void => {
      releaseControl();
      hosting?.port1.close();
    };
    const ended = running.then(
      () => new DurableError('THREAD_DIED', `${article(this.#options.kind)} thread ended by itself`),
      (error: unknown) => threadDeath(this.#options.kind, error),
    );
    return this.#session({ index, control, progress, port: work.port1, ended, abort: () => abort.abort(), release });
  }

  #openInline(index: number): Session<Control> {
    const { clock, kind } = this.#options;
    const loopClock = clock.thread?.(`${kind} thread`) ?? clock;
    const [port, loopPort] = makeInlineChannel(clock, loopClock);
    const progress = new Progress();
    let death = new DurableError('THREAD_DIED', 'the inline loop was closed');
    const fail = (error: unknown): void => {
      death = new DurableError('THREAD_DIED', `the inline loop cannot go on: ${toFailure(error).message}`, { cause: error });
      loopPort.close();
    };
    const loop = this.#makeInline({ port: loopPort, clock: loopClock, progress, fail });
    const ended = new Promise<DurableError>((resolve) => {
      loopPort.on('close', () => {
        loop.dispose?.();
        resolve(death);
      });
    });
    return this.#session({ index, control: loop, progress, port, ended, abort: () => port.close(), release: () => undefined });
  }

  #session(parts: {
    readonly index: number;
    readonly control: Control;
    readonly progress: Progress;
    readonly port: WorkPort;
    readonly ended: Promise<DurableError>;
    readonly abort: () => void;
    readonly release: () => void;
  }): Session<Control> {
    const { index, control, progress, port, ended, abort, release } = parts;
    const { tally } = this.#recordOf(index);
    const post = (wire: Wire): void => {
      tally.batchesSent += 1;
      port.postMessage(wire);
    };
    let closed = false;
    return {
      slot: { index, control, progress, tally, post },
      ended,
      abort,
      close: () => {
        if (closed) return;
        closed = true;
        release();
        port.close();
      },
      onBatch: (receive) => port.on('message', receive),
    };
  }
}

function addFigures(past: ReplayFigures, present: ReplayFigures): ReplayFigures {
  return {
    engines: present.engines,
    cacheBytes: present.cacheBytes,
    hits: past.hits + present.hits,
    misses: past.misses + present.misses,
    replayedEvents: past.replayedEvents + present.replayedEvents,
    evictions: past.evictions + present.evictions,
  };
}

function article(kind: PoolOptions['kind']): string {
  return kind === 'activity' ? 'an activity' : 'a replay';
}

/** Says how a thread died in words that help. */
function threadDeath(kind: PoolOptions['kind'], error: unknown): DurableError {
  const failure = toFailure(error);
  const advice =
    failure.code === 'ERR_WORKER_OUT_OF_MEMORY'
      ? `Raise \`${kind}ThreadMemoryMb\` or use less memory in it`
      : failure.code === 'MESSAGE_INVALID'
        ? 'The store has given it what it cannot read'
        : 'User code must not call process.exit or crash its thread';
  return new DurableError('THREAD_DIED', `${article(kind)} thread died: ${failure.message}. ${advice}`, { cause: error });
}
