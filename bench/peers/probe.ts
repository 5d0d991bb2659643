// Sees what instances do when their code runs in this process, as it does in all runtimes but ours. It tells when looking into the store is
// worth while: a query every few milliseconds during the whole run would be measured, too. Neighbours: drivers/*.mjs.
import { setTimeout as delay } from 'node:timers/promises';
import { work, type Worked } from './work.ts';

/** What the store of a runtime says. */
export type Counts = {
  readonly completed: number;
  readonly failed: number;
  /** Why one of them has failed, where that is easily told. */
  readonly reason?: string;
};

/** How often the store is asked, once the code of all instances has ended. */
const POLL_MS = 5;
/** How often it is asked before that, for instances that failed and will never end. */
const FAILURE_POLL_MS = 2_000;

/** Counts activities, waiting and ended instances. Runtimes that replay run the same code again: ids are counted once. */
export class Probe {
  readonly #waiting = new Set<string>();
  readonly #ended = new Set<string>();
  #activities = 0;

  /** Activities that have run. */
  get activities(): number {
    return this.#activities;
  }

  /** Instances whose code has ended. */
  get ended(): number {
    return this.#ended.size;
  }

  /** The body of an activity. */
  work(index: number, delayMs: number, loops: number): Promise<Worked> {
    this.#activities += 1;
    return work(index, delayMs, loops);
  }

  /** An instance is about to wait for its event. */
  noteWaiting(id: string): void {
    this.#waiting.add(id);
  }

  /** The code of an instance is about to return. */
  noteEnd(id: string): void {
    this.#ended.add(id);
  }

  /**
   * Waits until instances wait for their event.
   *
   * @param count - how many
   * @param readWaiting - asks the store, when it can tell
   */
  async untilWaiting(count: number, readWaiting?: () => Promise<number>): Promise<void> {
    while (this.#waiting.size < count) await delay(POLL_MS);
    if (readWaiting === undefined) return;
    while ((await readWaiting()) < count) await delay(POLL_MS);
  }

  /**
   * Waits until instances have completed.
   *
   * @param total - how many, of all that were started in this process
   * @param readCounts - asks the store, when there is one
   * @throws {TypeError} when one has failed
   */
  async untilCompleted(total: number, readCounts?: () => Promise<Counts>): Promise<void> {
    let askAtMs = performance.now() + FAILURE_POLL_MS;
    for (;;) {
      const haveEnded = this.#ended.size >= total;
      if (readCounts === undefined) {
        if (haveEnded) return;
      } else if (haveEnded || performance.now() >= askAtMs) {
        askAtMs = performance.now() + FAILURE_POLL_MS;
        const { completed, failed, reason = 'the store does not say why' } = await readCounts();
        if (failed > 0) throw new TypeError(`${failed} of ${total} instances failed: ${reason}`);
        if (completed >= total) return;
      }
      await delay(POLL_MS);
    }
  }
}
