// A wrapper around any provider that does not wait for ever: a store whose connection is half open may never answer. Neighbours: operations.ts,
// main/runtime.ts, which uses it.
//
// I1. What was not answered in time rejects as unknown, maybe done, maybe not (P5), and is treated by the caller like any failure.
// I2. A fetch that answers after that has locked items that nobody expects any more: they go back at once, uncharged.
import type { Clock } from '../types/clock.ts';
import { ProviderError } from '../types/errors.ts';
import { LONG_POLLS, OPERATIONS, type Operation } from './operations.ts';
import type { Fetched, OrchestrationItem, Provider, WorkItem } from './provider.ts';

/** How long to wait, and what to do with what comes too late. */
export type DeadlineOptions = {
  readonly clock: Clock;
  /** Longest time for an answer, in milliseconds; for long polls beyond `waitMs`. */
  readonly timeoutMs: number;
  /** A late fetch could not be given back: its items wait for the end of their lease. */
  readonly onLateFailure: (error: unknown) => void;
};

type Call = (...args: readonly unknown[]) => Promise<unknown>;

/**
 * Limits how long operations may take. `close` may take as long as it wants.
 *
 * @param provider - the store
 * @param options - the limit
 * @returns a provider that does the same, or rejects with `PROVIDER_TIMEOUT`
 */
export function withDeadline(provider: Provider, options: DeadlineOptions): Provider {
  const wrapped = Object.fromEntries(
    OPERATIONS.map((operation) => {
      // Asked for at each call: who injects failures replaces methods of a living provider.
      const call: Call = (...args) => (provider[operation] as Call)(...args);
      return [operation, operation === 'close' ? call : limit(provider, operation, { ...options, call })];
    }),
  );
  return { ...(wrapped as unknown as Omit<Provider, 'name'>), name: provider.name };
}

function limit(provider: Provider, operation: Operation, options: DeadlineOptions & { readonly call: Call }): Call {
  const { clock, timeoutMs, onLateFailure, call } = options;
  const isLongPoll = LONG_POLLS.has(operation);
  return (...args) =>
    new Promise((resolve, reject) => {
      const waitMs = isLongPoll ? (args[0] as { readonly waitMs: number }).waitMs : 0;
      let isOver = false;
      const stop = clock.setTimer(
        timeoutMs + waitMs,
        () => {
          isOver = true;
          reject(timedOut(operation, timeoutMs));
        },
        isLongPoll,
      );
      call(...args).then(
        (answer) => {
          stop();
          if (isOver) giveBack(provider, operation, answer).catch(onLateFailure);
          else resolve(answer);
        },
        (error: unknown) => {
          stop();
          reject(error);
        },
      );
    });
}

/** I2. */
async function giveBack(provider: Provider, operation: Operation, answer: unknown): Promise<void> {
  const uncharged = { delayMs: 0, countAttempt: false };
  if (operation === 'fetchOrchestrationItems') {
    const { items } = answer as Fetched<OrchestrationItem>;
    await provider.abandonOrchestrationItems(items.map(({ instanceId, lockToken }) => ({ instanceId, lockToken, ...uncharged })));
  } else if (operation === 'fetchWorkItems') {
    const { items } = answer as Fetched<WorkItem>;
    await provider.abandonWorkItems(
      items.map(({ instanceId, executionId, eventId, lockToken }) => ({ instanceId, executionId, eventId, lockToken, ...uncharged })),
    );
  }
}

function timedOut(operation: Operation, timeoutMs: number): ProviderError {
  return new ProviderError('PROVIDER_TIMEOUT', {
    operation,
    retryable: true,
    message: `the store did not answer ${operation} within ${timeoutMs} ms; it may have done it or not. Look at the connection to the store, or raise \`storeTimeoutMs\``,
  });
}
