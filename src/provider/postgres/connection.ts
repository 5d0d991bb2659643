// Statements on pooled connections: one at a time each, with a time limit, tried again when the server rolled them back for others. Neighbours:
// trouble.ts says what a failure means, postgres-provider.ts says what to ask.
//
// N1. A connection whose statement was not answered is closed: its answer would be taken for that of the next statement.
// N2. Only what was rolled back for certain is tried again here. What is unknown is told to the caller.
// N3. While a statement is under way, a simulated clock waits for it.
// N5. Statements are prepared once a connection. Behind a pooler that gives each transaction another connection of the server that does not work:
//     from the first time that a statement is not known, or known already, none is prepared any more.
import { createHash } from 'node:crypto';
import type { Clock } from '../../types/clock.ts';
import { systemClock } from '../system-clock.ts';
import { inTime, takeClient } from './in-time.ts';
import type { PooledPostgresClient, PostgresPool } from './postgres-options.ts';
import { escapeValue, unescape } from './texts.ts';
import { NoConnection, isAnswer, isRolledBack, isStalePlan, isUnprepared, toProviderError } from './trouble.ts';

/** A row of an answer; integers are numbers, whatever their size. */
export type Row = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Tries after deadlocks and serialization failures. Reason: each time one of those who met goes on, so a few are enough. */
const MAX_TRIES = 8;
/** Longest pause between tries, in milliseconds; random, so that those who met do not meet again. */
const MAX_PAUSE_MS = 20;

const INTEGERS: ReadonlySet<number> = new Set([20, 21, 23]);
const BOOLEAN = 16;

/** Ids and times are below 2^53. */
const types = {
  getTypeParser(oid: number): (text: string) => unknown {
    if (INTEGERS.has(oid)) return Number;
    return oid === BOOLEAN ? (text) => text === 't' : unescape;
  },
};

/** A pool with the rules above. */
export class Connection {
  readonly #pool: Pick<PostgresPool, 'connect'>;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #isSimulated: boolean;
  /** N5. */
  #prepares = true;
  #inFlight = 0;
  /** Statements that were answered, and how often one was run again (N2). */
  statements = 0;
  repeats = 0;

  constructor(pool: Pick<PostgresPool, 'connect'>, { clock, queryTimeoutMs }: { readonly clock: Clock; readonly queryTimeoutMs: number }) {
    this.#pool = pool;
    this.#clock = clock;
    this.#timeoutMs = queryTimeoutMs;
    this.#isSimulated = clock !== systemClock;
  }

  /** The time that functions are told: null on the clock of the server. */
  get nowParameter(): number | null {
    return this.#isSimulated ? this.#clock.nowMs() : null;
  }

  /**
   * Runs one statement, which is a transaction of its own.
   *
   * @param operation - for errors
   * @param text - the statement
   * @param values - its parameters
   * @returns its rows
   * @throws {ProviderError} when it failed
   */
  async query(operation: string, text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return await this.held(async () => {
      for (let tries = 1; ; tries += 1) {
        const prepares = this.#prepares;
        try {
          const rows = await this.#once(text, values, prepares);
          this.statements += 1;
          return rows;
        } catch (error) {
          if (tries === MAX_TRIES || !this.#mayRepeat(error, prepares)) throw toProviderError(operation, error);
          this.repeats += 1;
          if (isRolledBack(error)) await pause(Math.random() * MAX_PAUSE_MS);
        }
      }
    });
  }

  /** N3. */
  async held<Value>(run: () => Promise<Value>): Promise<Value> {
    if (!this.#isSimulated) return await run();
    this.#inFlight += 1;
    if (this.#inFlight === 1) this.#hold();
    try {
      return await run();
    } finally {
      this.#inFlight -= 1;
    }
  }

  #hold(): void {
    this.#clock.defer(() => {
      if (this.#inFlight > 0) this.#hold();
    });
  }

  /** N2, N5. */
  #mayRepeat(error: unknown, wasPrepared: boolean): boolean {
    if (isRolledBack(error) || isStalePlan(error)) return true;
    if (!isUnprepared(error) || !wasPrepared) return false;
    this.#prepares = false;
    return true;
  }

  async #take(): Promise<PooledPostgresClient> {
    try {
      return await takeClient(this.#pool, this.#timeoutMs);
    } catch (cause) {
      throw new NoConnection('there is no connection', { cause });
    }
  }

  async #once(text: string, values: readonly unknown[], prepares: boolean): Promise<readonly Row[]> {
    // Each of the two has the whole time: one that waited long for a connection is not in more of a hurry.
    const client = await this.#take();
    const onError = (): void => {
      // The statement under way rejects, too. Without a listener the process would end.
    };
    client.on('error', onError);
    try {
      const { rows = [] } = await inTime(
        client.query({ text, values: values.map(escapeValue), types, ...(prepares ? { name: nameOf(text) } : {}) }),
        this.#timeoutMs,
      );
      client.removeListener('error', onError);
      client.release();
      return rows as readonly Row[];
    } catch (error) {
      client.removeListener('error', onError);
      // N1.
      client.release(!isAnswer(error) || isUnprepared(error) || isStalePlan(error));
      throw error;
    }
  }
}

/** Names of statements by their texts, of which there are a few dozen a schema. */
const names = new Map<string, string>();

function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = `duraloom_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
  names.set(text, name);
  return name;
}

/** Waits, in real time. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
