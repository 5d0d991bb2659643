// Exit codes, and the errors of the command line itself. They are the contract with scripts: docs/cli.md lists them, a test holds it.
// Neighbour: main.ts prints errors and ends with their code.
import { toFailure } from '../../types/failure.ts';

/** How the program ends. */
export const EXIT = {
  ok: 0,
  /** It was done and the answer is no: a check failed, an orchestration failed. Also what nobody foresaw. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** There is no such instance or queue item, or no such file. */
  notFound: 3,
  /** The state does not allow it, or a question could not be asked. */
  refused: 4,
  /** The store is missing, locked, damaged, foreign, newer, or cannot be reached. */
  store: 5,
  /** A person answered no. */
  declined: 6,
  /** A wait took too long. */
  timeout: 7,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

/** An exit code. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Code of an error that only the command line has; those of the library are in docs/errors.md. */
export type CliCode =
  | 'DECLINED'
  | 'FILE_EXISTS'
  | 'FILE_NOT_FOUND'
  | 'FILE_UNREADABLE'
  | 'INPUT_INVALID'
  | 'INTERNAL'
  | 'INTERRUPTED'
  | 'NOT_CONFIRMED'
  | 'NOT_DELIVERED'
  | 'PACKAGE_MISSING'
  | 'QUEUE_ITEM_NOT_FOUND'
  | 'SERVER_FAILED'
  | 'STORE_NOT_FOUND'
  | 'STORE_OLDER'
  | 'USAGE';

/** How the program ends because of each. */
export const CLI_CODES: Readonly<Record<CliCode, ExitCode>> = {
  DECLINED: EXIT.declined,
  FILE_EXISTS: EXIT.refused,
  FILE_NOT_FOUND: EXIT.notFound,
  FILE_UNREADABLE: EXIT.failed,
  INPUT_INVALID: EXIT.failed,
  INTERNAL: EXIT.failed,
  INTERRUPTED: EXIT.interrupted,
  NOT_CONFIRMED: EXIT.refused,
  NOT_DELIVERED: EXIT.refused,
  PACKAGE_MISSING: EXIT.failed,
  QUEUE_ITEM_NOT_FOUND: EXIT.notFound,
  SERVER_FAILED: EXIT.failed,
  STORE_NOT_FOUND: EXIT.store,
  STORE_OLDER: EXIT.store,
  USAGE: EXIT.usage,
};

/** An error of the command line: a message that says what to do, and how the program ends. */
export class CliError extends Error {
  override readonly name: string = 'CliError';
  readonly code: CliCode;

  constructor(code: CliCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Exit codes of the library's errors; all others end with `failed`. */
const LIBRARY_CODES: Readonly<Record<string, ExitCode>> = {
  ARGUMENT_INVALID: EXIT.usage,
  OPTION_INVALID: EXIT.usage,
  PAYLOAD_NOT_SERIALIZABLE: EXIT.usage,
  PAYLOAD_TOO_LARGE: EXIT.usage,
  INSTANCE_NOT_FOUND: EXIT.notFound,
  INSTANCE_ALIVE: EXIT.refused,
  INSTANCE_ENDED: EXIT.refused,
  INSTANCE_EXISTS: EXIT.refused,
  INSTANCE_HAS_PARENT: EXIT.refused,
  INSTANCE_QUARANTINED: EXIT.refused,
  DATABASE_DENIED: EXIT.store,
  DATABASE_FOREIGN: EXIT.store,
  DATABASE_READ_ONLY: EXIT.store,
  DATABASE_TOO_OLD: EXIT.store,
  DATABASE_UNREACHABLE: EXIT.store,
  DATABASE_UNREADABLE: EXIT.store,
  DRIVER_MISSING: EXIT.store,
  PROVIDER_CLOSED: EXIT.store,
  PROVIDER_FAILED: EXIT.store,
  PROVIDER_TIMEOUT: EXIT.store,
  SCHEMA_TOO_NEW: EXIT.store,
  WAIT_TIMEOUT: EXIT.timeout,
};

/** The library names an option that the command line does not have. */
const NO_ANSWER =
  'The store does not answer: another program holds its lock, or its server hangs. What was asked for may be done or not: look, then try again';

/** An error as it is told to people and programs. */
export type ToldError = { readonly code: string; readonly message: string; readonly exitCode: ExitCode };

/**
 * Tells an error.
 *
 * @param error - whatever was thrown
 * @returns code, message and exit code
 */
export function tellError(error: unknown): ToldError {
  if (error instanceof CliError) return { code: error.code, message: error.message, exitCode: CLI_CODES[error.code] };
  const { code, message } = toFailure(error);
  if (code === undefined) {
    return { code: 'INTERNAL', message: `${message}. Set DURALOOM_DEBUG=1 to see where it comes from`, exitCode: EXIT.failed };
  }
  const told = code === 'PROVIDER_TIMEOUT' ? NO_ANSWER : message;
  return { code, message: told, exitCode: LIBRARY_CODES[code] ?? EXIT.failed };
}
