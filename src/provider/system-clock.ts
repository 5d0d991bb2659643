// The real clock: the only file of the library that reads the machine's time and sets timers for it.
import type { Clock } from '../types/clock.ts';

/** Longest time that one timer of Node takes, in milliseconds; beyond it fires at once. */
const MAX_TIMER_MS = 2_147_483_647;

/** Taken before user code runs or guards replace them: a thread asks for the time also from within an orchestration. */
const { setTimeout, setImmediate } = globalThis;
const { now } = Date;

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: now,
  monotonicMs: performance.now.bind(performance),
  setTimer(delayMs, callback) {
    if (delayMs <= MAX_TIMER_MS) {
      const short = setTimeout(callback, delayMs);
      short.unref();
      return () => clearTimeout(short);
    }
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      timer = setTimeout(() => (leftMs > MAX_TIMER_MS ? wait(leftMs - MAX_TIMER_MS) : callback()), Math.min(leftMs, MAX_TIMER_MS));
      timer.unref();
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  },
  defer: (callback) => void setImmediate(callback),
};
