// Waiting for an instance: long polls of limited length, one after the other, until what is waited for has happened. Neighbour: client.ts.
//
// Long polls are slices: a store that knows no signal (it is in another thread) only makes an abandoned slice run out unseen.
import type { WaitCondition } from '../provider/provider.ts';
import { hasMethods, readOptions } from '../types/arguments.ts';
import type { Clock } from '../types/clock.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';
import { ArgumentError, DurableError } from '../types/errors.ts';
import type { InstanceRecord } from '../types/instance.ts';
import { show } from '../types/show.ts';
import type { ClientStore } from './client-store.ts';
import { notFound } from './instance-state.ts';

/** How long to wait for something. */
export type WaitOptions = {
  /** Gives up with `WAIT_TIMEOUT` after this time; the orchestration goes on. @default no limit */
  readonly timeout?: Duration;
  /** Gives up with the signal's reason. */
  readonly signal?: AbortSignal;
};

/** What a wait ends with; null: it goes on. */
export type WaitResult<Value> = { readonly value: Value } | null;

/** One wait of a client. */
export type Wait<Value> = {
  readonly instanceId: string;
  readonly condition: WaitCondition;
  readonly options: WaitOptions;
  readonly clock: Clock;
  /** Looks whether the wait is over, whenever the store says that the condition is met, or that a slice has passed. */
  readonly check: (record: InstanceRecord) => WaitResult<Value> | Promise<WaitResult<Value>>;
  /** Pause after each slice, for conditions that may be met although the wait goes on, in milliseconds. @default none */
  readonly pauseMs?: number;
};

/** One long poll, in milliseconds. Reason: a wait is renewed now and then, so that a lost wake-up costs a delay, not a hang. */
const POLL_MS = 15_000;

/**
 * Waits by long polls.
 *
 * @param store - the store
 * @param wait - for what, and how long
 * @returns what the check gave
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 * @throws {DurableError} `WAIT_TIMEOUT`
 */
export async function waitUntil<Value>(store: ClientStore, wait: Wait<Value>): Promise<Value> {
  const { instanceId, condition, options, clock, check, pauseMs } = wait;
  const { timeout, signal } = readOptions(options, 'the options of a wait', { timeout: true, signal: true });
  if (signal !== undefined && !hasMethods(signal, ['throwIfAborted', 'addEventListener', 'removeEventListener'])) {
    throw new ArgumentError(`Expected \`signal\` to be an AbortSignal, got ${show(signal)}`);
  }
  const limitMs = timeout === undefined ? Number.POSITIVE_INFINITY : toMilliseconds(timeout, 'timeout');
  const startedMs = clock.monotonicMs();
  // A clock that skips time stops at the limit by it: long polls are no reason to stop.
  const forgetLimit = limitMs === Number.POSITIVE_INFINITY ? undefined : clock.setTimer(limitMs, () => undefined);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const leftMs = limitMs - (clock.monotonicMs() - startedMs);
      const waitMs = Math.max(0, Math.min(leftMs, POLL_MS));
      const record = await unlessAborted(store.waitForInstance({ instanceId, condition, waitMs, ...(signal && { signal }) }), signal);
      if (record === null) throw notFound(instanceId);
      const result = await check(record);
      if (result !== null) return result.value;
      if (leftMs <= 0) throw timedOut(store, record, limitMs);
      if (pauseMs !== undefined) await unlessAborted(pause(clock, Math.min(pauseMs, leftMs)), signal);
    }
  } finally {
    forgetLimit?.();
  }
}

/** Gives up on something as soon as the signal says so, whether the store has heard of it or not. */
function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  return signal === undefined ? promise : raceAborted(promise, signal);
}

async function raceAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    // The reason is the caller's: it may be any value.
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    // The clock's timers keep no process alive; somebody here waits.
    const alive = setInterval(() => undefined, 60_000);
    clock.setTimer(
      ms,
      () => {
        clearInterval(alive);
        resolve();
      },
      true,
    );
  });
}

function timedOut(store: ClientStore, record: InstanceRecord, limitMs: number): DurableError {
  const { instanceId, name, status } = record;
  return new DurableError(
    'WAIT_TIMEOUT',
    `instance '${instanceId}' is still ${status} after ${limitMs} ms. It goes on; wait again, or see that a runtime with '${name}' is running on this ${store.name} store`,
  );
}
