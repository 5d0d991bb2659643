// How late the event loop of the host is: a timer that looks at the clock. Node's own monitor cannot be subtracted from itself, so it cannot show
// a window to several readers. Neighbours: runtime.ts starts it, runtime-figures.ts reads it.
import { systemClock } from '../provider/system-clock.ts';
import { DurationCounts, type Counts } from '../threads/duration-counts.ts';

/**
 * How often it looks, in milliseconds. Reason: waking an idle process costs 50 µs of a processor each time (measured), so this is a quarter of a
 * percent of it; a busy one wakes anyway.
 */
const EVERY_MS = 20;

/** Watches the event loop of this thread. */
export class LoopDelay {
  readonly #counts = new DurationCounts();
  #timer: NodeJS.Timeout | null = null;
  #expectedMs = 0;

  /** Starts to look. Does not keep the process alive. */
  start(): void {
    this.#expectedMs = systemClock.monotonicMs() + EVERY_MS;
    this.#timer = setInterval(() => {
      const nowMs = systemClock.monotonicMs();
      // Timers fire up to a millisecond late as a rule: that delays nobody.
      this.#counts.note(Math.max(0, nowMs - this.#expectedMs - 1));
      this.#expectedMs = nowMs + EVERY_MS;
    }, EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** How late it was, since the start. */
  read(): Counts {
    return this.#counts.read();
  }
}
