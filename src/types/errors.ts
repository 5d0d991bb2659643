// The one file of errors: a class for each thing that a caller can act on, each with a stable code.
// Across threads and in the store errors are data: see failure.ts. Every code has an entry in docs/errors.md (a test holds it).
import type { Nondeterminism } from './failure.ts';

/** Stable identity of an error. Compare by code, never by message or class: classes do not survive threads and the store. */
export type ErrorCode =
  | 'ACTIVITY_DROPPED'
  | 'ACTIVITY_EXPIRED'
  | 'ACTIVITY_NOT_REGISTERED'
  | 'ACTIVITY_TIMEOUT'
  | 'ARGUMENT_INVALID'
  | 'CANCELLED'
  | 'DATABASE_DENIED'
  | 'DATABASE_FOREIGN'
  | 'DATABASE_READ_ONLY'
  | 'DATABASE_TOO_OLD'
  | 'DATABASE_UNREACHABLE'
  | 'DATABASE_UNREADABLE'
  | 'DEFINITION_DUPLICATE'
  | 'DEFINITION_INVALID'
  | 'DRIVER_MISSING'
  | 'GLOBAL_FORBIDDEN'
  | 'HISTORY_INVALID'
  | 'HISTORY_TOO_LONG'
  | 'INSTANCE_ALIVE'
  | 'INSTANCE_ENDED'
  | 'INSTANCE_EXISTS'
  | 'INSTANCE_HAS_PARENT'
  | 'INSTANCE_NOT_FOUND'
  | 'INSTANCE_QUARANTINED'
  | 'INVARIANT_BROKEN'
  | 'LATE_CALL'
  | 'MESSAGE_INVALID'
  | 'MODULE_NOT_LOADED'
  | 'NODE_TOO_OLD'
  | 'NONDETERMINISM'
  | 'OPTION_INVALID'
  | 'ORCHESTRATION_CANCELLED'
  | 'ORCHESTRATION_FAILED'
  | 'ORCHESTRATION_NOT_REGISTERED'
  | 'ORCHESTRATION_STUCK'
  | 'ORCHESTRATION_TERMINATED'
  | 'PAYLOAD_NOT_SERIALIZABLE'
  | 'PAYLOAD_TOO_LARGE'
  | 'PROVIDER_CLOSED'
  | 'PROVIDER_FAILED'
  | 'PROVIDER_TIMEOUT'
  | 'REPLAY_FAILED'
  | 'SCHEMA_MISMATCH'
  | 'SCHEMA_TOO_NEW'
  | 'SURFACE_DEPENDENCY_MISSING'
  | 'TEST_STUCK'
  | 'THREAD_DIED'
  | 'TIMEOUT'
  | 'TOO_MANY_ATTEMPTS'
  | 'TRANSACTION_INVALID'
  | 'TRANSACTION_REQUIRED'
  | 'TRANSACTION_STORE_MISMATCH'
  | 'TRANSACTION_TOO_LONG'
  | 'TURN_TIMEOUT'
  | 'UNHANDLED_REJECTION'
  | 'VALUE_LIMIT'
  | 'WAIT_TIMEOUT';

/** Base class of every error that duraloom throws on purpose. */
export class DurableError extends Error {
  /** Stable identity; see docs/errors.md. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** An option has a value outside its range. The message names option, range and value. */
export class OptionError extends DurableError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('OPTION_INVALID', message, options);
  }
}

/** An argument of a call (id, name, duration, definition) cannot be used. */
export class ArgumentError extends DurableError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('ARGUMENT_INVALID', message, options);
  }
}

/** A payload is no JSON value (BigInt, cycle, function) or larger than `MAX_PAYLOAD_BYTES`. */
export class PayloadError extends DurableError {
  constructor(code: 'PAYLOAD_NOT_SERIALIZABLE' | 'PAYLOAD_TOO_LARGE', message: string, options?: { readonly cause?: unknown }) {
    super(code, message, options);
  }
}

/** Loading user modules failed: missing module, duplicate name, export that is no definition. */
export class DefinitionError extends DurableError {
  constructor(
    code: 'MODULE_NOT_LOADED' | 'DEFINITION_DUPLICATE' | 'DEFINITION_INVALID',
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(code, message, options);
  }
}

/** The orchestration code does not follow the determinism contract: it cannot be replayed from its history. */
export class DeterminismError extends DurableError {
  /** Of a `NONDETERMINISM` that a replay found: where code and history part. */
  readonly nondeterminism: Nondeterminism | undefined;

  constructor(
    code: 'NONDETERMINISM' | 'ORCHESTRATION_STUCK' | 'LATE_CALL' | 'GLOBAL_FORBIDDEN' | 'UNHANDLED_REJECTION',
    message: string,
    options?: { readonly cause?: unknown; readonly nondeterminism?: Nondeterminism },
  ) {
    super(code, message, options);
    this.nondeterminism = options?.nondeterminism;
  }
}

/**
 * The code does not follow a recorded history: production's `NONDETERMINISM`, with a diff. `replayHistory` rejects with it, and the option
 * `onReplayMismatch` of a runtime is told of it.
 */
export class HistoryMismatchError extends DeterminismError {
  readonly instanceId: string;
  readonly executionId: number;
  /** Id of the first event that the code does not follow. A check that finds the same decisions but not the same state: the last event. */
  readonly eventId: number;
  /** What history has there, as text; null: it ends there. As above: the state of the engine that ran the turn. */
  readonly recorded: string | null;
  /** What the code does instead, as text. As above: the state after the rebuild. */
  readonly emitted: string;
  /** Both sides (`-` history, `+` code) between the events around them. */
  readonly diff: string;

  constructor(
    message: string,
    details: Pick<HistoryMismatchError, 'instanceId' | 'executionId' | 'eventId' | 'recorded' | 'emitted' | 'diff'>,
    options?: { readonly cause?: unknown },
  ) {
    const { eventId, recorded, emitted } = details;
    super('NONDETERMINISM', `${message}\n\n${details.diff}`, {
      ...options,
      nondeterminism: { eventId, recorded, emitted, location: null },
    });
    this.instanceId = details.instanceId;
    this.executionId = details.executionId;
    this.eventId = details.eventId;
    this.recorded = details.recorded;
    this.emitted = details.emitted;
    this.diff = details.diff;
  }
}

/** What `replayAll` rejects with when histories could not be replayed: all of them, each with its error. The shutdown of a test runtime, too. */
export class ReplayError extends DurableError {
  /** The histories that could not be replayed, in order; `source`: path of the file, or id of the instance. */
  readonly failures: readonly { readonly source: string; readonly error: unknown }[];
  /** How many could. */
  readonly replayed: number;

  constructor(message: string, failures: ReplayError['failures'], replayed: number) {
    super('REPLAY_FAILED', message, { cause: failures[0]?.error });
    this.failures = failures;
    this.replayed = replayed;
  }
}

/** What a wait in a test runtime rejects with when what it waits for can never happen: nothing runs, and no timer is set. */
export class StuckError extends DurableError {
  /** The living instances, each with what it waits for, in words. */
  readonly instances: readonly {
    readonly instanceId: string;
    readonly name: string;
    readonly status: string;
    readonly waitsFor: readonly string[];
  }[];

  constructor(message: string, instances: StuckError['instances']) {
    super('TEST_STUCK', message);
    this.instances = instances;
  }
}

/** A stored history breaks a rule of the format. `eventId` is the first event at fault. */
export class HistoryError extends DurableError {
  /** Id of the first event at fault, counted from 1; 0 when the history as a whole is at fault. */
  readonly eventId: number;

  constructor(eventId: number, reason: string) {
    super(
      'HISTORY_INVALID',
      `history is not valid at event ${eventId}: ${reason}. It was changed outside duraloom or the file is damaged: restore it from a backup`,
    );
    this.eventId = eventId;
  }
}

/** Rejection of a durable future that was cancelled, and of awaits in an orchestration that was asked to cancel. */
export class CancelledError extends DurableError {
  constructor(message: string) {
    super('CANCELLED', message);
  }
}

/**
 * Throw it in an activity when trying again cannot help (a card was declined, an input is wrong): a retry policy gives up at once.
 * Any error with `nonRetryable: true` has the same effect.
 */
export class NonRetryableError extends Error {
  readonly nonRetryable = true;

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'NonRetryableError';
  }
}

/** Something did not end in time: `TIMEOUT` of `ctx.withTimeout`, `ACTIVITY_TIMEOUT` of an activity's `attemptTimeout` or `timeout`. */
export class TimeoutError extends DurableError {
  constructor(code: 'TIMEOUT' | 'ACTIVITY_TIMEOUT', message: string) {
    super(code, message);
  }
}

/** A value does not fit the schema of a definition. The message shows path and value. */
export class SchemaError extends DurableError {
  /** A schema that does not fit now will not fit at the next attempt. */
  readonly nonRetryable = true;

  constructor(message: string) {
    super('SCHEMA_MISMATCH', message);
  }
}

/** A client call concerns an instance in a state that does not allow it. */
export class InstanceError extends DurableError {
  /** Id of the instance that the call was about. */
  readonly instanceId: string;

  constructor(
    code: 'INSTANCE_ALIVE' | 'INSTANCE_ENDED' | 'INSTANCE_EXISTS' | 'INSTANCE_HAS_PARENT' | 'INSTANCE_NOT_FOUND' | 'INSTANCE_QUARANTINED',
    instanceId: string,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(code, message, options);
    this.instanceId = instanceId;
  }
}

/** Rejection of `handle.result()` when the orchestration did not complete; `cause` is the error that ended it. */
export class OrchestrationError extends DurableError {
  /** Id of the instance that ended. */
  readonly instanceId: string;

  constructor(
    code: 'ORCHESTRATION_FAILED' | 'ORCHESTRATION_CANCELLED' | 'ORCHESTRATION_TERMINATED',
    instanceId: string,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(code, message, options);
    this.instanceId = instanceId;
  }
}

/** Codes of `ProviderError`. */
export type ProviderErrorCode =
  | 'DATABASE_DENIED'
  | 'DATABASE_FOREIGN'
  | 'DATABASE_READ_ONLY'
  | 'DATABASE_TOO_OLD'
  | 'DATABASE_UNREACHABLE'
  | 'DATABASE_UNREADABLE'
  | 'DRIVER_MISSING'
  | 'PROVIDER_CLOSED'
  | 'PROVIDER_FAILED'
  | 'PROVIDER_TIMEOUT'
  | 'SCHEMA_TOO_NEW';

/** The storage failed. `retryable` tells whether the same call may succeed later. */
export class ProviderError extends DurableError {
  /** Provider method that failed, such as `ackOrchestrationItems`. */
  readonly operation: string;
  /** True when the trouble is passing (busy, connection lost), false when it needs a person (disk full, closed, corrupt). */
  readonly retryable: boolean;

  constructor(
    code: ProviderErrorCode,
    details: { readonly operation: string; readonly retryable: boolean; readonly message: string; readonly cause?: unknown },
  ) {
    super(code, details.message, details.cause === undefined ? undefined : { cause: details.cause });
    this.operation = details.operation;
    this.retryable = details.retryable;
  }
}

/** A transaction of the application cannot carry what it was to carry. Nothing of it is stored. */
export class TransactionError extends DurableError {
  constructor(
    code: 'TRANSACTION_INVALID' | 'TRANSACTION_REQUIRED' | 'TRANSACTION_STORE_MISMATCH' | 'TRANSACTION_TOO_LONG',
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(code, message, options);
  }
}

/**
 * States a rule that only a bug of duraloom can break.
 *
 * @param condition - what must hold
 * @param message - the rule, in words
 * @throws {DurableError} `INVARIANT_BROKEN` when it does not hold
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) {
    throw new DurableError('INVARIANT_BROKEN', `${message}. This is a bug in duraloom: please report it with this message`);
  }
}
