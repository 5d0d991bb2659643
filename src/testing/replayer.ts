// Replays executions in this thread with the loop that production runs in its replay threads: same engine, drain, guards, rejections.
// Neighbours: threads/replay-loop.ts does the work, replay-history.ts asks for it.
//
// R1. Nothing stays behind: guards and the handling of rejections are as before once `close` is called, also after a failure.
// R2. One execution at a time in a replayer; several replayers do not know of each other.
import { systemClock } from '../provider/system-clock.ts';
import { toLoadError } from '../threads/control.ts';
import { readReplayBatch, writeTurnRequest, type Wire } from '../threads/messages.ts';
import { Progress } from '../threads/progress.ts';
import { toThreadSource, type DefinitionSource } from '../threads/registry.ts';
import { ReplayLoop } from '../threads/replay-loop.ts';
import type { WorkPort } from '../threads/work-port.ts';
import { encodeRecord } from '../types/codec.ts';
import { assert, HistoryError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import type { ReplayResult } from '../types/replay.ts';
import type { RecordedExecution } from './recorded-history.ts';

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
    const loaded = await replayer.#loop.load(threadSources, {});
    if (loaded.ok) return replayer;
    replayer.close();
    throw toLoadError(loaded.failure);
  }

  /**
   * Replays an execution: a turn without messages that rebuilds the instance and says how it stands.
   *
   * @param instanceId - whose it is
   * @param execution - its events; unchecked
   * @returns how it stands after the last event, or why it could not be replayed
   */
  async replay(instanceId: string, { executionId, events }: RecordedExecution): Promise<ReplayResult> {
    const wire: Wire = [];
    // Encoding copies: code may change what it is given.
    const history = [encodeEvents(events)];
    writeTurnRequest(wire, { seq: 1, instanceId, executionId, baseEventId: events.length, nowMs: 0, history, messages: [] });
    const [reply] = readReplayBatch(await this.#port.exchange(wire)).replies;
    assert(reply?.kind === 'turn', 'a turn with its history is answered, and never by a miss');
    return reply.result;
  }

  /** Puts back what the loop has changed in this thread. */
  close(): void {
    this.#loop.dispose();
  }
}

/** A caller may have put anything among the events. */
function encodeEvents(events: RecordedExecution['events']): string {
  try {
    return encodeRecord(events);
  } catch (cause) {
    throw new HistoryError(0, `it is no JSON: ${toFailure(cause).message}`);
  }
}

/** Both ends of the loop's port. */
class DirectPort implements WorkPort {
  #receive: (wire: Wire) => void = () => undefined;
  #answer: (wire: Wire) => void = () => undefined;
  #failed: (error: unknown) => void = () => undefined;

  on(event: 'message', listener: (wire: Wire) => void): void;
  on(event: 'close', listener: () => void): void;
  on(event: 'message' | 'close', listener: (wire: Wire) => void): void {
    if (event === 'message') this.#receive = listener;
  }

  close(): void {
    this.#receive = () => undefined;
  }

  /** The loop cannot go on. */
  fail(error: unknown): void {
    this.#failed(error);
  }

  postMessage(wire: Wire): void {
    this.#answer(wire);
  }

  /** Hands a batch over and waits for the answer. From a macrotask: inside a microtask no synchronous drain works. */
  exchange(wire: Wire): Promise<Wire> {
    return new Promise((resolve, reject) => {
      // What the code has left is told when everything else has run; until then it is the loop's (R1).
      this.#answer = (answer) => systemClock.defer(() => resolve(answer));
      this.#failed = reject;
      systemClock.defer(() => this.#receive(wire));
    });
  }
}
