// A limit in real time for what a server may never answer. Neighbours: connection.ts and notifier.ts close the connection then.
import { StatementTimeout } from './trouble.ts';

/**
 * Waits for an answer. In real time: the clock of a simulation may stand still.
 *
 * @param answer - what is waited for
 * @param timeoutMs - how long, in milliseconds
 * @returns the answer
 * @throws {StatementTimeout} when there was none in time
 */
export function inTime<Value>(answer: Promise<Value>, timeoutMs: number): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new StatementTimeout(`the server did not answer within ${timeoutMs} ms; the statement may have been done or not`));
    }, timeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
