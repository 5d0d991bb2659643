// The real clock: the only file of the library that reads the machine's time and sets timers for it.
import type { Clock } from '../types/clock.ts';

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  setTimer(delayMs, callback) {
    // Node's timers overflow beyond 2^31-1 ms and fire at once; waking early is harmless, every caller looks at the clock again.
    const timer = setTimeout(callback, Math.min(delayMs, 2_147_483_647));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
