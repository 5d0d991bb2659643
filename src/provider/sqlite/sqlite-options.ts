// Options and figures of the SQLite provider. Apart from the code that uses the driver, so that users' compilers need no types of it.
import { assertKnownOptions, makeOptionError, readOptions, type FieldNames } from '../../types/arguments.ts';
import { isClock, type Clock } from '../../types/clock.ts';
import { OptionError } from '../../types/errors.ts';
import { show } from '../../types/show.ts';
import { systemClock } from '../system-clock.ts';

/** How far a commit is on disk when it returns. */
export type SynchronousMode = 'FULL' | 'NORMAL';

/** Figures of the group commit. */
export type CommitStats = {
  /** Transactions. */
  commits: number;
  /** Items written in them. */
  items: number;
  /** Times that another process held the write lock. */
  busyRetries: number;
  /** Transactions that were run again item by item, because one item failed. */
  slowPaths: number;
  /** Time that the event loop spent on the statements before `COMMIT`, in milliseconds. */
  statementMs: number;
  /** Time that the event loop spent in `COMMIT` of the others, in milliseconds: writing the log, and checkpoints. */
  commitMs: number;
  /** Syncs after commits, and how long they took together, in milliseconds: with a slow disk beside the event loop. */
  syncs: number;
  syncMs: number;
};

/** Options of `SqliteProvider.open`. */
export type SqliteOptions = {
  /**
   * When a commit counts as done. `FULL`: it survives a power loss. `NORMAL`: it survives the death of the process, the last commits may
   * be lost with the machine. @default 'FULL'
   */
  readonly synchronous?: SynchronousMode;
  /** How long one transaction may keep the event loop, in milliseconds; more work waits for the next one. Minimum: 1. @default 5 */
  readonly maxCommitMs?: number;
  /** How often to look for changes of other processes while something waits, in milliseconds. Minimum: 1. @default 10 */
  readonly changePollMs?: number;
  /** Clock of leases and timers, for tests. @default the machine's clock */
  readonly clock?: Clock;
};

const FIELDS: FieldNames<SqliteOptions> = { changePollMs: true, clock: true, maxCommitMs: true, synchronous: true };

/**
 * Checks options and fills in defaults.
 *
 * @param options - as given
 * @returns all of them
 * @throws {OptionError} that names option, range and value
 */
export function resolveSqliteOptions(options: SqliteOptions | undefined): Required<SqliteOptions> {
  const given = readOptions(options, 'the options of a SQLite provider', FIELDS, makeOptionError);
  assertKnownOptions(options, FIELDS);
  const { synchronous = 'FULL', maxCommitMs = 5, changePollMs = 10, clock = systemClock } = given;
  if (synchronous !== 'FULL' && synchronous !== 'NORMAL') {
    throw new OptionError(`Expected \`synchronous\` to be 'FULL' or 'NORMAL', got ${show(synchronous)}`);
  }
  for (const [name, value] of Object.entries({ maxCommitMs, changePollMs })) {
    if (!(Number.isFinite(value) && value >= 1)) {
      throw new OptionError(`Expected \`${name}\` to be a number of milliseconds ≥ 1, got ${show(value)}`);
    }
  }
  if (!isClock(clock)) {
    throw new OptionError(`Expected \`clock\` to have nowMs, monotonicMs, setTimer and defer, got ${show(clock)}`);
  }
  return { synchronous, maxCommitMs, changePollMs, clock };
}
