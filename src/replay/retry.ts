// Retries and the total timeout of an activity: each attempt an event, each pause a durable timer. Pure bookkeeping over futures, which are
// observed synchronously, so that replay takes the same way. Neighbour: orchestration-context.ts.
//
// R1. The combined future settles once: with the first success, the last failure, or the total timeout, whichever comes first in history.
// R2. Whatever is still open of it then, attempt, pause or total timer, is cancelled before user code goes on.
// R3. Cancellations and errors that say so themselves are never retried (T34).
import type { RetryPolicy } from '../types/context.ts';
import { readArray, readOptions, type FieldNames } from '../types/arguments.ts';
import { ArgumentError, assert, CancelledError, TimeoutError } from '../types/errors.ts';
import { RemoteError } from '../types/failure.ts';
import { MAX_DURATION_MS } from '../types/limits.ts';
import { show } from '../types/show.ts';
import { FutureCore, type Settled } from './durable-future.ts';

/** A policy with every field set. */
export type ResolvedRetryPolicy = Required<RetryPolicy>;

/** What an attempt is made of. */
export type RetryOperations = {
  /** Schedules an attempt, from 1, with the heartbeat details of the one before. */
  readonly schedule: (attempt: number, heartbeat: unknown) => FutureCore;
  readonly startTimer: (delayMs: number) => FutureCore;
  /** Next number of the instance's generator. */
  readonly random: () => number;
};

const DEFAULTS: ResolvedRetryPolicy = {
  maximumAttempts: 3,
  backoff: 'exponential',
  initialIntervalMs: 100,
  backoffCoefficient: 2,
  maximumIntervalMs: 30_000,
  jitter: 0,
  nonRetryable: [],
};
const FIELDS: FieldNames<RetryPolicy> = {
  maximumAttempts: true,
  backoff: true,
  initialIntervalMs: true,
  backoffCoefficient: true,
  maximumIntervalMs: true,
  jitter: true,
  nonRetryable: true,
};
const ONCE: ResolvedRetryPolicy = { ...DEFAULTS, maximumAttempts: 1 };
const BACKOFFS: ReadonlySet<unknown> = new Set(['none', 'fixed', 'linear', 'exponential']);
/** Codes of failures that another attempt would only repeat. */
const HOPELESS: ReadonlySet<string> = new Set(['TOO_MANY_ATTEMPTS', 'PAYLOAD_NOT_SERIALIZABLE', 'PAYLOAD_TOO_LARGE']);

/**
 * Fills in the defaults of a policy and checks it.
 *
 * @param policy - from user code; undefined: one attempt
 * @returns the whole policy
 * @throws {ArgumentError} for a value outside its range
 */
export function resolveRetryPolicy(policy: RetryPolicy | undefined): ResolvedRetryPolicy {
  if (policy === undefined) return ONCE;
  const resolved = { ...DEFAULTS, ...readOptions(policy, '`retry`', FIELDS) };
  inRange('maximumAttempts', resolved.maximumAttempts, 1, 1_000_000);
  if (!Number.isInteger(resolved.maximumAttempts)) throw new ArgumentError('Expected retry.maximumAttempts to be a whole number');
  inRange('initialIntervalMs', resolved.initialIntervalMs, 0, MAX_DURATION_MS);
  inRange('maximumIntervalMs', resolved.maximumIntervalMs, 0, MAX_DURATION_MS);
  inRange('backoffCoefficient', resolved.backoffCoefficient, 1, 1_000_000);
  inRange('jitter', resolved.jitter, 0, 1);
  if (!BACKOFFS.has(resolved.backoff)) {
    throw new ArgumentError(`Expected retry.backoff to be 'none', 'fixed', 'linear' or 'exponential', got ${show(resolved.backoff)}`);
  }
  return { ...resolved, nonRetryable: readCodes(resolved.nonRetryable) };
}

function readCodes(given: readonly string[]): readonly string[] {
  const codes = readArray(given);
  if (codes?.every((code) => typeof code === 'string') === true) return codes;
  throw new ArgumentError(`Expected retry.nonRetryable to be a list of error codes, got ${show(given)}`);
}

function inRange(name: string, value: unknown, min: number, max: number): void {
  if (typeof value === 'number' && value >= min && value <= max) return;
  throw new ArgumentError(`Expected retry.${name} to be a number from ${min} to ${max}, got ${show(value)}`);
}

/**
 * Computes the pause after an attempt.
 *
 * @param policy - the policy
 * @param attempt - attempts so far, from 1
 * @param random - draws from [0, 1); asked only when the policy has jitter
 * @returns whole milliseconds
 */
export function computePauseMs(policy: ResolvedRetryPolicy, attempt: number, random: () => number): number {
  const { initialIntervalMs, backoffCoefficient, maximumIntervalMs, jitter } = policy;
  let pauseMs: number;
  switch (policy.backoff) {
    case 'none':
      return 0;
    case 'fixed':
      pauseMs = initialIntervalMs;
      break;
    case 'linear':
      pauseMs = initialIntervalMs * attempt;
      break;
    case 'exponential':
      // Infinity for many attempts: the maximum holds it.
      pauseMs = initialIntervalMs * backoffCoefficient ** (attempt - 1);
      break;
  }
  const limited = Math.min(Number.isNaN(pauseMs) ? 0 : pauseMs, maximumIntervalMs);
  return Math.ceil(jitter === 0 ? limited : limited * (1 - jitter * random()));
}

/**
 * Runs attempts until one succeeds or the policy gives up.
 *
 * @param name - name of the activity, for messages
 * @param operations - how an attempt and a pause are made
 * @param limits - the policy, and how long all together may take in milliseconds (null: no limit)
 * @returns the future of the result
 */
export function runAttempts(
  name: string,
  operations: RetryOperations,
  limits: { readonly policy: ResolvedRetryPolicy; readonly timeoutMs: number | null },
): FutureCore {
  const { policy, timeoutMs } = limits;
  let current: FutureCore | null = null;
  let total: FutureCore | null = null;
  let closed = false;
  const close = (): void => {
    closed = true;
    current?.cancel();
    total?.cancel();
  };
  const combined = new FutureCore(close);
  const finish = (settled: Settled): void => {
    if (closed) return;
    close();
    combined.settle(settled);
  };
  const pauseAfter = (attempt: number, heartbeat: unknown): void => {
    const pauseMs = computePauseMs(policy, attempt, operations.random);
    if (pauseMs === 0) {
      start(attempt + 1, heartbeat);
      return;
    }
    current = operations.startTimer(pauseMs);
    current.observe((settled) => {
      if (closed) return;
      if (settled.ok) guarded(() => start(attempt + 1, heartbeat));
      else finish(settled);
    });
  };
  /** Later steps run while an event is delivered: what they throw (the history is full) is the outcome, as nobody called them. */
  const guarded = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      finish({ ok: false, error });
    }
  };
  const start = (attempt: number, heartbeat: unknown): void => {
    current = operations.schedule(attempt, heartbeat);
    current.observe((settled) => {
      if (closed) return;
      if (settled.ok || attempt >= policy.maximumAttempts || !isRetryable(settled.error, policy)) finish(settled);
      else guarded(() => pauseAfter(attempt, heartbeatOf(settled.error)));
    });
  };
  start(1, undefined);
  if (timeoutMs === null || combined.settled !== null) return combined;
  total = operations.startTimer(timeoutMs);
  total.observe((settled) => {
    const error = new TimeoutError(
      'ACTIVITY_TIMEOUT',
      `activity '${name}' took longer than ${timeoutMs} ms in all. Raise \`timeoutMs\`, or make it faster`,
    );
    finish(settled.ok ? { ok: false, error } : settled);
  });
  return combined;
}

function heartbeatOf(error: unknown): unknown {
  assert(error instanceof RemoteError, 'only an attempt that ran is tried again');
  return error.heartbeat;
}

/** R3. */
function isRetryable(error: unknown, policy: ResolvedRetryPolicy): boolean {
  if (error instanceof CancelledError) return false;
  const { code, name, nonRetryable } = error as { readonly code?: unknown; readonly name?: unknown; readonly nonRetryable?: unknown };
  if (nonRetryable === true || (typeof code === 'string' && HOPELESS.has(code))) return false;
  return !policy.nonRetryable.some((given) => given === code || given === name);
}
