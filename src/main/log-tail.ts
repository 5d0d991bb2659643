// A logger that keeps the last lines, for those who look on from the same process: HTTP servers, tools, tests. Neighbour: runtime-logger.ts.
//
// G1. Lines are numbered from 1 without gaps. What is no longer kept is missing at the front, and who reads is told so.
// G2. Memory is bounded by the number of lines and by their size: they are kept as text, each cut when it is too long.
// G3. Who listens is called at once, in the order of the lines. One that throws is told of once; neither the others nor the runtime notice.
import { assertKnownOptions, makeOptionError, readOptions, type FieldNames } from '../types/arguments.ts';
import { encodeRecord, parseRecord } from '../types/codec.ts';
import { ArgumentError, OptionError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import { takeLogLine } from '../types/log-line.ts';
import { isWanted, LOG_LEVELS, type Logger, type LogLevel, type LogLine, type LogThreshold } from '../types/logger.ts';
import { show } from '../types/show.ts';
import { checkLogLevel } from './runtime-logger.ts';

/** Options of a tail. */
export type LogTailOptions = {
  /** Most lines that are kept. Range: 1 to 1,000,000. @default 10000 */
  readonly capacity?: number;
  /** Most characters of the lines that are kept. Range: 1,000 to 1,000,000,000. @default 16777216 */
  readonly maxCharacters?: number;
  /** The least important level that is kept. @default 'debug' */
  readonly level?: LogThreshold;
  /** Gets all lines as well. @default none */
  readonly also?: Logger;
};

/** A line that was logged, as JSON values. */
export type LogEntry = LogLine & {
  /** Number of the line, from 1. */
  readonly seq: number;
  /** When it was written, epoch milliseconds. A line of an orchestration is written after the commit of its turn. */
  readonly atMs: number;
};

/** Which lines are wanted. */
export type LogFilter = {
  /** Those about one instance. @default all */
  readonly instanceId?: string;
  /** Those of this level and of more important ones. @default 'debug' */
  readonly level?: LogLevel;
};

/** What to read. */
export type LogReadOptions = LogFilter & {
  /** Lines behind this number, oldest first; without it the newest ones. @default none */
  readonly afterSeq?: number;
  /** Most lines to return. Range: 1 to 10,000. @default 1000 */
  readonly limit?: number;
};

/** What was read. */
export type LogPage = {
  /** In the order in which they were logged. */
  readonly entries: readonly LogEntry[];
  /** Up to where was looked: `afterSeq` of the next read. */
  readonly lastSeq: number;
  /** How many lines behind `afterSeq` are not kept any more, whatever they were about. */
  readonly missed: number;
};

type Kept = { readonly seq: number; readonly atMs: number; readonly level: LogLevel; readonly instanceId: unknown; readonly text: string };
type Subscription = { readonly filter: LogFilter; readonly listener: (entry: LogEntry) => void };

const OPTIONS: FieldNames<LogTailOptions> = { capacity: true, maxCharacters: true, level: true, also: true };
const FILTER: FieldNames<LogFilter> = { instanceId: true, level: true };
const READ: FieldNames<LogReadOptions> = { ...FILTER, afterSeq: true, limit: true };

/** Keeps the last lines of a runtime: give it as `logger`. */
export class LogTail implements Logger {
  readonly #capacity: number;
  readonly #maxCharacters: number;
  readonly #level: LogThreshold;
  readonly #also: Logger | null;
  readonly #alsoLevel: LogThreshold;
  /** By number, oldest first. */
  readonly #kept = new Map<number, Kept>();
  readonly #subscriptions = new Set<Subscription>();
  #characters = 0;
  #lastSeq = 0;
  #isTold = false;

  /**
   * @param options - how much to keep, and where lines go besides
   * @throws {OptionError} for an option outside its range
   */
  constructor(options: LogTailOptions = {}) {
    const given = readOptions<LogTailOptions>(options, 'the options of a log tail', OPTIONS, makeOptionError);
    assertKnownOptions(options, OPTIONS, ' of a log tail');
    const { capacity = 10_000, maxCharacters = 16 * 1024 * 1024, level = 'debug', also } = given;
    this.#capacity = checkRange('capacity', capacity, 1, 1_000_000);
    this.#maxCharacters = checkRange('maxCharacters', maxCharacters, 1_000, 1_000_000_000);
    // One to satisfy the check: a tail without another logger takes what it is asked to.
    this.#level = checkLogLevel(level, this);
    this.#also = also ?? null;
    this.#alsoLevel = checkLogLevel(undefined, also);
  }

  debug(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#write('debug', fields, message);
  }

  info(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#write('info', fields, message);
  }

  warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#write('error', fields, message);
  }

  isLevelEnabled(level: string): boolean {
    return isLevel(level) && (isWanted(this.#level, level) || isWanted(this.#alsoLevel, level));
  }

  /** Number of the last line that was kept, 0 when there was none. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /**
   * Reads lines that are kept.
   *
   * @param options - which ones
   * @returns the lines, and where to go on
   * @throws {ArgumentError} for a filter that is none
   */
  read(options: LogReadOptions = {}): LogPage {
    const { afterSeq, limit = 1_000, ...filter } = readOptions<LogReadOptions>(options, 'the options of read', READ);
    checkFilter(filter);
    checkInteger('afterSeq', afterSeq ?? 0, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('limit', limit, 1, 10_000);
    const firstSeq = this.#lastSeq - this.#kept.size + 1;
    const entries: LogEntry[] = [];
    if (afterSeq === undefined) {
      for (let seq = this.#lastSeq; seq >= firstSeq && entries.length < limit; seq -= 1) this.#collect(seq, filter, entries);
      return { entries: entries.toReversed(), lastSeq: this.#lastSeq, missed: 0 };
    }
    // A number of another tail, such as that of the process before, may be ahead.
    let seq = Math.min(Math.max(afterSeq, firstSeq - 1), this.#lastSeq);
    const missed = Math.max(0, seq - afterSeq);
    while (seq < this.#lastSeq && entries.length < limit) this.#collect((seq += 1), filter, entries);
    return { entries, lastSeq: seq, missed };
  }

  /**
   * Calls back with each line from now on. The listener is called in the middle of what was logged: be quick, and log nothing to this tail.
   *
   * @param filter - which lines
   * @param listener - gets them, one by one
   * @returns a function that ends it
   * @throws {ArgumentError} for a filter or a listener that is none
   */
  subscribe(filter: LogFilter, listener: (entry: LogEntry) => void): () => void {
    const wanted: LogFilter = readOptions<LogFilter>(filter, 'the filter of subscribe', FILTER);
    checkFilter(wanted);
    if (typeof listener !== 'function')
      throw new ArgumentError(`Expected the listener of subscribe to be a function, got ${show(listener)}`);
    const subscription = { filter: wanted, listener };
    this.#subscriptions.add(subscription);
    return () => void this.#subscriptions.delete(subscription);
  }

  #write(level: LogLevel, fields: Readonly<Record<string, unknown>>, message: string): void {
    if (isWanted(this.#level, level)) this.#keep(level, fields, message);
    if (this.#also === null || !isWanted(this.#alsoLevel, level)) return;
    // What it throws is told by who logs; of what it rejects with nobody else would hear.
    const done: unknown = this.#also[level](fields, message);
    if (done instanceof Promise) done.catch((error: unknown) => this.#warn(error));
  }

  #keep(level: LogLevel, fields: Readonly<Record<string, unknown>>, message: string): void {
    const { line } = takeLogLine(level, message, fields);
    this.#lastSeq += 1;
    const kept: Kept = {
      seq: this.#lastSeq,
      atMs: Date.now(),
      level,
      instanceId: line.fields['instanceId'],
      text: encodeRecord({ message: line.message, fields: line.fields }),
    };
    this.#kept.set(kept.seq, kept);
    this.#characters += kept.text.length;
    for (const [seq, { text }] of this.#kept) {
      // The newest one stays, however large it is.
      if ((this.#kept.size <= this.#capacity && this.#characters <= this.#maxCharacters) || seq === this.#lastSeq) break;
      this.#kept.delete(seq);
      this.#characters -= text.length;
    }
    for (const { filter, listener } of this.#subscriptions) if (matches(kept, filter)) this.#tell(listener, toEntry(kept));
  }

  /** G3. */
  #tell(listener: (entry: LogEntry) => void, entry: LogEntry): void {
    try {
      // One that is async is void to the compiler.
      const done: unknown = listener(entry);
      if (done instanceof Promise) done.catch((error: unknown) => this.#warn(error));
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    if (this.#isTold) return;
    this.#isTold = true;
    process.emitWarning(`a listener of a log tail, or the logger behind it, failed, which is told once: ${toFailure(error).message}`, {
      code: 'DURALOOM_LOGGER',
    });
  }

  #collect(seq: number, filter: LogFilter, entries: LogEntry[]): void {
    const kept = this.#kept.get(seq);
    if (kept !== undefined && matches(kept, filter)) entries.push(toEntry(kept));
  }
}

function matches({ level, instanceId }: Kept, filter: LogFilter): boolean {
  return isWanted(filter.level ?? 'debug', level) && (filter.instanceId === undefined || filter.instanceId === instanceId);
}

function toEntry({ seq, atMs, level, text }: Kept): LogEntry {
  const { message, fields } = parseRecord(text) as Pick<LogLine, 'message' | 'fields'>;
  return { seq, atMs, level, message, fields };
}

function isLevel(level: unknown): level is LogLevel {
  return (LOG_LEVELS as readonly unknown[]).includes(level);
}

function checkFilter({ instanceId, level }: LogFilter): void {
  if (instanceId !== undefined && typeof instanceId !== 'string') {
    throw new ArgumentError(`Expected \`instanceId\` to be text, got ${show(instanceId)}`);
  }
  if (level !== undefined && !isLevel(level))
    throw new ArgumentError(`Expected \`level\` to be one of ${LOG_LEVELS.join(', ')}, got ${show(level)}`);
}

function checkInteger(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new ArgumentError(`Expected \`${name}\` to be an integer from ${min} to ${max}, got ${show(value)}`);
}

function checkRange(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new OptionError(`Expected \`${name}\` of a log tail to be an integer from ${min} to ${max}, got ${show(value)}`);
}
