// Every error code → the status over HTTP, and what to do about it. Neighbours: ../http/problem.ts, ../mcp/tools.ts.
import { DurableError, type ErrorCode } from '../../types/errors.ts';

/** A failure as the outside sees it. */
export type SurfaceFailure = {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** When to try again, in seconds; null: trying again does not help. */
  readonly retryAfterS: number | null;
};

/** The record is complete by type: a new code cannot be forgotten. 500: it cannot come from a call of a client. */
const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  ACTIVITY_DROPPED: 500,
  ACTIVITY_EXPIRED: 500,
  ACTIVITY_NOT_REGISTERED: 500,
  ACTIVITY_TIMEOUT: 500,
  ARGUMENT_INVALID: 400,
  CANCELLED: 500,
  DATABASE_DENIED: 503,
  DATABASE_FOREIGN: 503,
  DATABASE_READ_ONLY: 503,
  DATABASE_TOO_OLD: 503,
  DATABASE_UNREACHABLE: 503,
  DATABASE_UNREADABLE: 503,
  DEFINITION_DUPLICATE: 500,
  DEFINITION_INVALID: 400,
  DRIVER_MISSING: 503,
  GLOBAL_FORBIDDEN: 500,
  HISTORY_INVALID: 500,
  HISTORY_TOO_LONG: 500,
  INSTANCE_ALIVE: 409,
  INSTANCE_ENDED: 409,
  INSTANCE_EXISTS: 409,
  INSTANCE_HAS_PARENT: 409,
  INSTANCE_NOT_FOUND: 404,
  INSTANCE_QUARANTINED: 409,
  INVARIANT_BROKEN: 500,
  LATE_CALL: 500,
  MESSAGE_INVALID: 500,
  MODULE_NOT_LOADED: 500,
  NODE_TOO_OLD: 500,
  NONDETERMINISM: 500,
  OPTION_INVALID: 400,
  ORCHESTRATION_CANCELLED: 409,
  ORCHESTRATION_FAILED: 409,
  ORCHESTRATION_NOT_REGISTERED: 500,
  ORCHESTRATION_STUCK: 500,
  ORCHESTRATION_TERMINATED: 409,
  PAYLOAD_NOT_SERIALIZABLE: 400,
  PAYLOAD_TOO_LARGE: 413,
  PROVIDER_CLOSED: 503,
  PROVIDER_FAILED: 503,
  PROVIDER_TIMEOUT: 503,
  REPLAY_FAILED: 500,
  SCHEMA_MISMATCH: 400,
  SCHEMA_TOO_NEW: 503,
  SURFACE_DEPENDENCY_MISSING: 501,
  TEST_STUCK: 500,
  THREAD_DIED: 500,
  TIMEOUT: 504,
  TOO_MANY_ATTEMPTS: 500,
  TRANSACTION_INVALID: 500,
  TRANSACTION_REQUIRED: 500,
  TRANSACTION_STORE_MISMATCH: 500,
  TRANSACTION_TOO_LONG: 500,
  TURN_TIMEOUT: 500,
  UNHANDLED_REJECTION: 500,
  VALUE_LIMIT: 500,
  WAIT_TIMEOUT: 504,
};

/** Reason: a store that is busy or comes back is worth another try soon. */
const RETRY_AFTER_S = 2;

/**
 * Describes a failure to the outside.
 *
 * @param thrown - what an operation rejected with
 * @returns status, code and message; null when it is no error of ours: the outside learns nothing about it
 */
export function toSurfaceFailure(thrown: unknown): SurfaceFailure | null {
  if (!(thrown instanceof DurableError)) return null;
  const status = STATUS_OF[thrown.code];
  return { status, code: thrown.code, detail: thrown.message, retryAfterS: status === 503 ? RETRY_AFTER_S : null };
}
