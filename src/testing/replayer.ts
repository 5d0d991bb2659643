// Replays executions in this thread with the loop that production runs in its replay threads: same engine, drain, guards, rejections.
// Neighbours: threads/replay-loop.ts does the work, replay-history.ts asks for it.
//
// R1. Nothing stays behind: guards and handlers of rejections are as before once `close` is called, also after a failure.
// R2. One batch at a time in the whole thread: while it runs, rejections of orchestration code are shown to nobody else.
import { setImmediate } from 'node:timers';
import { systemClock } from '../provider/system-clock.ts';
import { toLoadError } from '../threads/control.ts';
import { readReplayBatch, writeTurnRequest, type TurnReply, type Wire } from '../threads/messages.ts';
import { Progress } from '../threads/progress.ts';
import { toThreadSource, type DefinitionSource } from '../threads/registry.ts';
import { ReplayLoop } from '../threads/replay-loop.ts';
import type { WorkPort } from '../threads/work-port.ts';
import { encodeRecord } from '../types/codec.ts';
import { assert, HistoryError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import type { ReplayResult } from '../types/replay.ts';
import type { RecordedExecution, RecordedHistory } from './recorded-history.ts';

type RejectionListener = NodeJS.UnhandledRejectionListener;

/** One loop with its definitions. */
export class Replayer {
  readonly #port = new DirectPort();
  readonly #loop = new ReplayLoop({
    port: this.#port,
    clock: systemClock,
    progress: new Progress(),
    cacheBytes: 0,
    fail: (error) => this.#port.fail(error),
  });
  /** The loop's own; after `#load`. */
  #listener: RejectionListener | null = null;

  private constructor() {
    // Made by `open`.
  }

  /**
   * Loads definitions.
   *
   * @param sources - modules or definitions
   * @returns a replayer; close it
   * @throws {DefinitionError} when a module cannot be loaded or a definition is none
   */
  static async open(sources: readonly DefinitionSource[]): Promise<Replayer> {
    const threadSources = sources.map(toThreadSource);
    const replayer = new Replayer();
    return exclusively(async () => {
      const before = new Set(process.listeners('unhandledRejection'));
      const loaded = await replayer.#loop.load(threadSources, {});
      replayer.#listener = process.listeners('unhandledRejection').find((listener) => !before.has(listener)) ?? null;
      if (loaded.ok) return replayer;
      replayer.close();
      throw toLoadError(loaded.failure);
    });
  }

  /**
   * Replays all executions of an instance.
   *
   * @param history - the instance; unchecked
   * @returns one result for each execution, up to the first that could not be replayed
   */
  async replay({ instanceId, executions }: RecordedHistory): Promise<readonly ReplayResult[]> {
    const wire: Wire = [];
    executions.forEach((execution, seq) => writeTurnRequest(wire, toRequest(instanceId, execution, seq)));
    return exclusively(async () => {
      const replies = await this.#port.exchange(wire, executions.length, () => ownRejections(this.#listener));
      return replies.map((reply) => {
        assert(reply.kind === 'turn', 'a turn with its history is never a miss');
        return reply.result;
      });
    });
  }

  /** Puts back what the loop has changed in this thread. */
  close(): void {
    this.#loop.dispose();
  }
}

/** A turn without messages: it rebuilds the instance and says how it stands. Encoding copies: code may change what it is given. */
function toRequest(instanceId: string, { executionId, events }: RecordedExecution, seq: number): Parameters<typeof writeTurnRequest>[1] {
  const history = [encodeEvents(events)];
  return { seq, instanceId, executionId, baseEventId: events.length, nowMs: 0, history, messages: [] };
}

/** A caller may have put anything among the events. */
function encodeEvents(events: RecordedExecution['events']): string {
  try {
    return encodeRecord(events);
  } catch (cause) {
    throw new HistoryError(0, `it is no JSON: ${toFailure(cause).message}`);
  }
}

/** Both ends of the loop's port: hands it one batch from a macrotask, collects the answers. */
class DirectPort implements WorkPort {
  #receive: ((wire: Wire) => void) | null = null;
  #replies: TurnReply[] = [];
  #expected = 0;
  #done: (() => void) | null = null;
  #failed: ((error: unknown) => void) | null = null;

  on(event: 'message', listener: (wire: Wire) => void): void;
  on(event: 'close', listener: () => void): void;
  on(event: 'message' | 'close', listener: (wire: Wire) => void): void {
    if (event === 'message') this.#receive = listener;
  }

  close(): void {
    this.#receive = null;
  }

  /** The loop cannot go on. */
  fail(error: unknown): void {
    this.#failed?.(error);
  }

  postMessage(wire: Wire): void {
    this.#replies.push(...readReplayBatch(wire).replies);
    if (this.#replies.length >= this.#expected) this.#done?.();
  }

  /**
   * Has one batch done.
   *
   * @param wire - the batch
   * @param expected - how many answers it has
   * @param prepare - called right before; what it returns is called right after
   * @returns the answers, in order
   */
  exchange(wire: Wire, expected: number, prepare: () => () => void): Promise<readonly TurnReply[]> {
    this.#replies = [];
    this.#expected = expected;
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        const restore = prepare();
        const finish = (): void => {
          this.#done = null;
          this.#failed = null;
          restore();
        };
        this.#failed = (error) => {
          finish();
          reject(error);
        };
        this.#done = () => {
          finish();
          resolve(this.#replies);
        };
        this.#receive?.(wire);
      });
    });
  }
}

let last: Promise<unknown> = Promise.resolve();

/** R2. */
function exclusively<Result>(run: () => Promise<Result>): Promise<Result> {
  const result = last.then(run);
  last = result.catch(() => undefined);
  return result;
}

/**
 * Test runners fail a test for an unhandled rejection: they are to see only those that are not of orchestration code. The loop's listener,
 * when it is alone, throws what is not its own.
 *
 * @param own - the loop's listener
 * @returns a function that puts all listeners back
 */
function ownRejections(own: RejectionListener | null): () => void {
  const before = process.rawListeners('unhandledRejection') as RejectionListener[];
  const others = before.filter((listener) => listener !== own);
  const dispatch: RejectionListener = (reason, promise) => {
    try {
      own?.(reason, promise);
    } catch (error) {
      if (others.length === 0) throw error;
      for (const other of others) other(reason, promise);
    }
  };
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', dispatch);
  return () => {
    process.off('unhandledRejection', dispatch);
    for (const listener of before) process.on('unhandledRejection', listener);
  };
}
