// What a failure of the server or the way to it means: passing or not (T53), and what to do. Neighbours: connection.ts asks for each statement,
// migrations.ts when the provider connects.
//
// E1. Nothing of a connection string, a row or a parameter gets into an error: of what the driver throws only the message and the code are kept.
import { ProviderError } from '../../types/errors.ts';

/** SQLSTATE of failures after which the transaction is rolled back for certain, and can be run again at once. */
const ROLLED_BACK: ReadonlySet<string> = new Set(['40001', '40P01']);

/**
 * SQLSTATE of what passes, by class or whole: the connection, the state of a transaction that somebody left behind in a pool, rolled back for others,
 * resources (connections, disk, memory), locks, operators (cancelled, shutdown, start), the system below, who may log in and where to. What is left
 * is of the statement itself: it fails each time, and may be the fault of what it was to write.
 */
const PASSING = /^(?:08|25|40|53|57|58|28|55006|55P03|26000|3D000|72000)/;

const SQLSTATE = /^[0-9A-Z]{5}$/;
/** Of the network and the system, such as ECONNRESET. No SQLSTATE begins with an E. */
const NETWORK = /^(?:E[A-Z0-9]+|EAI_[A-Z]+|ERR_(?:SOCKET|STREAM)_[A-Z_]+)$/;
/** Classes of SQLSTATE after which a connection is of no use. */
const UNUSABLE = /^(?:08|25|57P)/;

/** No connection could be had: nothing was asked for, so it is nobody's fault. The cause is what the pool or the driver threw. */
export class NoConnection extends Error {
  override readonly name: string = 'NoConnection';
}

/** A statement that was not answered in time. */
export class StatementTimeout extends Error {
  override readonly name: string = 'StatementTimeout';
}

/**
 * Reads the code of a failure.
 *
 * @param error - what was thrown
 * @returns SQLSTATE, a code of the system, or null
 */
export function codeOf(error: unknown): string | null {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : null;
}

/**
 * Tells whether the server answered: then the connection is in order.
 *
 * @param error - what was thrown
 * @returns true for errors with a SQLSTATE after which the connection can be used
 */
export function isAnswer(error: unknown): boolean {
  const code = codeOf(error);
  return code !== null && SQLSTATE.test(code) && !NETWORK.test(code) && !UNUSABLE.test(code);
}

/**
 * Tells whether a transaction was rolled back for a reason that the next try may not meet.
 *
 * @param error - what was thrown
 * @returns true for deadlocks and serialization failures
 */
export function isRolledBack(error: unknown): boolean {
  return ROLLED_BACK.has(codeOf(error) ?? '');
}

/**
 * Tells whether a prepared statement is not known on this connection, or known already: a pooler is between.
 *
 * @param error - what was thrown
 * @returns true when nothing was run
 */
export function isUnprepared(error: unknown): boolean {
  return codeOf(error) === '26000' || codeOf(error) === '42P05';
}

/**
 * Tells whether a prepared statement is older than a change of the schema.
 *
 * @param error - what was thrown
 * @returns true when nothing was run; another connection knows better
 */
export function isStalePlan(error: unknown): boolean {
  return codeOf(error) === '0A000' && /cached plan/.test(messageOf(error));
}

/**
 * Tells whether trouble passes (T53).
 *
 * @param error - what was thrown
 * @returns true when the same may work later
 */
function isPassing(error: unknown): boolean {
  const code = codeOf(error);
  if (error instanceof StatementTimeout || error instanceof NoConnection) return true;
  // The driver's own errors, such as a connection that ended or could not be made in time, have no code.
  if (code === null) return error instanceof Error && /connect|terminat|timeout|socket|not queryable/i.test(error.message);
  if (isStalePlan(error) || isUnprepared(error)) return true;
  return PASSING.test(code) || NETWORK.test(code);
}

/**
 * Makes the error that a caller gets (E1).
 *
 * @param operation - the method of the provider
 * @param error - what was thrown
 * @returns a `ProviderError`; what is one already stays as it is
 */
export function toProviderError(operation: string, error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const retryable = isPassing(error);
  const reason = error instanceof NoConnection ? error.cause : error;
  const code = reason instanceof StatementTimeout ? 'PROVIDER_TIMEOUT' : 'PROVIDER_FAILED';
  const advice = retryable ? 'This passes: it is tried again' : 'Look at the log of the PostgreSQL server';
  const message = `${operation} failed: ${messageOf(reason)}${codeText(reason)}. ${advice}`;
  return new ProviderError(code, { operation, retryable, message, cause: withoutSecrets(reason) });
}

/**
 * Makes the error of a provider that cannot be opened, with what to do.
 *
 * @param error - what was thrown
 * @param where - the server in words, without secrets
 * @param schema - the schema of the store
 * @returns the error
 */
export function toConnectError(error: unknown, where: string, schema: string): ProviderError {
  if (error instanceof ProviderError) return error;
  const code = codeOf(error) ?? '';
  const details = { operation: 'connect', cause: withoutSecrets(error) };
  const said = `${messageOf(error)}${codeText(error)}`;
  if (code.startsWith('28')) {
    const message = `The PostgreSQL server at ${where} does not let this user in: ${said}. Check user and password, and pg_hba.conf of the server`;
    return new ProviderError('DATABASE_DENIED', { ...details, retryable: false, message });
  }
  if (code === '3D000') {
    const message = `The database does not exist at ${where}: ${said}. Create it, or check the connection string`;
    return new ProviderError('DATABASE_UNREACHABLE', { ...details, retryable: false, message });
  }
  if (code === '42501') {
    const right = `GRANT CREATE ON DATABASE … TO the user, or create the schema ${schema} and make the user its owner`;
    const message = `The user may not make or use the schema ${schema} at ${where}: ${said}. ${right}`;
    return new ProviderError('DATABASE_DENIED', { ...details, retryable: false, message });
  }
  if (code === '25006') return readOnly(where, details.cause);
  if (isPassing(error) || (code !== '' && !SQLSTATE.test(code))) {
    const message = `No PostgreSQL server answers at ${where}: ${said}. Check host, port and network, and that the server runs`;
    return new ProviderError('DATABASE_UNREACHABLE', { ...details, retryable: true, message });
  }
  const message = `The schema ${schema} at ${where} cannot be used: ${said}. Look at the log of the PostgreSQL server`;
  return new ProviderError('DATABASE_UNREADABLE', { ...details, retryable: false, message });
}

/**
 * Makes the error of a server that takes no writes.
 *
 * @param where - the server in words
 * @param cause - what told so
 * @returns the error
 */
export function readOnly(where: string, cause?: unknown): ProviderError {
  const message = `The PostgreSQL server at ${where} is read-only: a replica, or default_transaction_read_only is on. Connect to the primary`;
  return new ProviderError('DATABASE_READ_ONLY', { operation: 'connect', retryable: true, message, cause });
}

function codeText(error: unknown): string {
  const code = codeOf(error);
  return code === null ? '' : ` (${code})`;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason was given';
  // Node joins the failures of several addresses of a host, with an empty message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map((each) => messageOf(each)).join('; ');
  return error.message;
}

/** A copy: what else the driver's error holds may be rows, parameters or a connection string. */
function withoutSecrets(error: unknown): Error {
  const copy = new Error(messageOf(error));
  return Object.assign(copy, { name: error instanceof Error ? error.name : 'Error', code: codeOf(error) });
}
