// A limit in real time for what a server or a pool may never answer. Neighbours: connection.ts, driver.ts and notifier.ts close the connection then.
import type { PooledPostgresClient, PostgresPool } from './postgres-options.ts';
import { StatementTimeout } from './trouble.ts';

/**
 * Waits for an answer. In real time: the clock of a simulation may stand still.
 *
 * @param answer - what is waited for
 * @param timeoutMs - how long, in milliseconds
 * @param message - what it means when there is none
 * @returns the answer
 * @throws {StatementTimeout} when there was none in time
 */
export function inTime<Value>(
  answer: Promise<Value>,
  timeoutMs: number,
  message: string = `the server did not answer within ${Math.round(timeoutMs)} ms; the statement may have been done or not`,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new StatementTimeout(message)), timeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Takes a connection out of a pool; one that comes too late goes back. One on which somebody has left a transaction open is closed instead: what were
 * done on it would be answered as done, and be no commit.
 *
 * @param pool - the pool
 * @param timeoutMs - how long it may take, in milliseconds
 * @returns the connection
 * @throws {StatementTimeout} when there was none in time
 */
export async function takeClient(pool: Pick<PostgresPool, 'connect'>, timeoutMs: number): Promise<PooledPostgresClient> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const taking = pool.connect();
    try {
      const client = await inTime(
        taking,
        endMs - performance.now(),
        `there was no connection within ${Math.round(timeoutMs)} ms; nothing was done`,
      );
      if (client.getTransactionStatus?.() !== 'T') return client;
      client.release(true);
    } catch (error) {
      taking.then(
        (client) => client.release(),
        () => undefined,
      );
      throw error;
    }
  }
}
