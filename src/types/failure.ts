// Errors as data: how an error crosses a thread or the store and comes back. Neighbour: errors.ts (the classes).

/** An error in a form that JSON keeps: what is written to history and sent between threads. */
export type Failure = {
  readonly name: string;
  readonly message: string;
  /** Code of the error, when it had a string code. */
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: Failure;
  /** Present when trying again cannot help: a retry policy gives up at once. See `NonRetryableError`. */
  readonly nonRetryable?: true;
  /** Of a `NONDETERMINISM`: what its message says, as data. */
  readonly nondeterminism?: Nondeterminism;
};

/** Where the code of an orchestration and its history part. */
export type Nondeterminism = {
  /** Id of the first event that the code does not follow. */
  readonly eventId: number;
  /** What history has there, such as `ActivityScheduled {name: "charge"}`; null: it ends there. */
  readonly recorded: string | null;
  /** What the code does instead, in the same form, or in words. */
  readonly emitted: string;
  /** Line of the stack at which it does it, such as `at order (file:///app/order.ts:12:20)`; null: unknown, or it does nothing. */
  readonly location: string | null;
};

/**
 * An error that was thrown in another thread or in an earlier life of the process, rebuilt from its stored form.
 * `name`, `message`, `code`, `stack` and `cause` are those of the original; the class is not.
 */
export class RemoteError extends Error {
  /** Code of the original error, if it had one. */
  readonly code: string | undefined;
  /** True when trying again cannot help. */
  readonly nonRetryable: boolean;
  /** Last heartbeat details of the activity that failed. */
  readonly heartbeat: unknown;
  /** Of a `NONDETERMINISM`: where code and history part. */
  readonly nondeterminism: Nondeterminism | undefined;

  constructor(failure: Failure, heartbeat?: unknown) {
    super(failure.message, failure.cause === undefined ? undefined : { cause: new RemoteError(failure.cause) });
    this.name = failure.name;
    this.code = failure.code;
    this.nonRetryable = failure.nonRetryable === true;
    this.heartbeat = heartbeat;
    this.nondeterminism = readNondeterminism(failure.nondeterminism);
    if (failure.stack !== undefined) this.stack = failure.stack;
  }
}

/** Deepest chain of causes that is kept. Reason: a cause may point back at itself. */
const MAX_CAUSES = 8;
/** How errors and those of the web platform, such as `AbortError`, call themselves. */
const ERROR_TAGS: ReadonlySet<string> = new Set(['[object Error]', '[object DOMException]']);
/** Longest message or stack that is kept, in UTF-16 units. Reason: failures are stored with the history. */
const MAX_TEXT = 16_384;

/**
 * Turns anything that was thrown into data. Never throws, whatever the value does in its getters.
 *
 * @param thrown - the caught value
 * @returns the failure; a thrown non-error becomes one named `NonError` with the value as text
 */
export function toFailure(thrown: unknown): Failure {
  return describe(thrown, MAX_CAUSES);
}

/** Each link of the chain by itself: a cause that cannot be read does not hide the error that has it. */
function describe(thrown: unknown, causesLeft: number): Failure {
  try {
    return read(thrown, causesLeft);
  } catch {
    return { name: 'Error', message: 'the thrown value could not be read' };
  }
}

function read(thrown: unknown, causesLeft: number): Failure {
  if (!isError(thrown)) return { name: 'NonError', message: text(String(thrown)) };
  const { code, nonRetryable, nondeterminism } = thrown as Readonly<Partial<Record<'code' | 'nonRetryable' | 'nondeterminism', unknown>>>;
  const { cause } = thrown;
  const parting = readNondeterminism(nondeterminism);
  return {
    name: text(String(thrown.name)),
    message: text(String(thrown.message)),
    ...(typeof code === 'string' ? { code: text(code) } : {}),
    ...(typeof thrown.stack === 'string' ? { stack: text(thrown.stack) } : {}),
    ...(nonRetryable === true ? { nonRetryable } : {}),
    ...(parting === undefined ? {} : { nondeterminism: parting }),
    ...(cause !== undefined && causesLeft > 0 ? { cause: describe(cause, causesLeft - 1) } : {}),
  };
}

/**
 * Reads where code and history part. It may be stored data, or a field of anybody's error.
 *
 * @param value - the field
 * @returns a copy, cut to a bearable length; undefined when it is not of this form
 */
export function readNondeterminism(value: unknown): Nondeterminism | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { eventId, recorded, emitted, location } = value as Readonly<Partial<Record<keyof Nondeterminism, unknown>>>;
  const areTexts = [recorded, location].every((side) => side === null || typeof side === 'string');
  if (!Number.isSafeInteger(eventId) || typeof emitted !== 'string' || !areTexts) return undefined;
  const cut = (side: unknown): string | null => (side === null ? null : text(side as string));
  return { eventId: eventId as number, recorded: cut(recorded), emitted: text(emitted), location: cut(location) };
}

/** Also one of another realm: test runners that give each file a context of its own leave Node's errors outside. */
function isError(thrown: unknown): thrown is Error {
  return thrown instanceof Error || ERROR_TAGS.has(Object.prototype.toString.call(thrown));
}

function text(value: string): string {
  return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}… (cut)` : value;
}

/**
 * Rebuilds an error from its stored form.
 *
 * @param failure - what `toFailure` made
 * @param heartbeat - last heartbeat details of a failed activity
 * @returns an error with the original's name, message, code, stack and cause
 */
export function fromFailure(failure: Failure, heartbeat?: unknown): RemoteError {
  return new RemoteError(failure, heartbeat);
}
