// A wrapper around the store of a test runtime that knows whether calls are under way, and what was committed. Neighbour: test-runtime.ts.
import { LONG_POLLS, OPERATIONS } from '../provider/operations.ts';
import type { OrchestrationAck, OrchestrationAckOutcome, Provider } from '../provider/provider.ts';

/** Who watches. */
export type ProviderWatcher = {
  /** A call has been answered, and no other is under way. */
  readonly onQuiet: () => void;
  /** A turn was committed. */
  readonly onCommit: (ack: OrchestrationAck) => void;
};

/** A provider that is watched. */
export type WatchedProvider = { readonly provider: Provider; readonly callsUnderWay: () => number };

type Call = (...args: readonly unknown[]) => Promise<unknown>;

/**
 * Watches a provider. Long polls are no calls under way: they wait on purpose.
 *
 * @param provider - the store
 * @param watcher - who is told
 * @returns a provider that does the same, and how many calls it has not answered
 */
export function watchProvider(provider: Provider, { onQuiet, onCommit }: ProviderWatcher): WatchedProvider {
  let underWay = 0;
  const counted =
    (call: Call): Call =>
    async (...args) => {
      underWay += 1;
      try {
        return await call(...args);
      } finally {
        underWay -= 1;
        if (underWay === 0) onQuiet();
      }
    };
  const methods = OPERATIONS.map((operation) => {
    const call = (provider[operation] as Call).bind(provider);
    return [operation, operation === 'close' || LONG_POLLS.has(operation) ? call : counted(call)];
  });
  const watched = { ...(Object.fromEntries(methods) as Omit<Provider, 'name'>), name: provider.name };
  const ackOrchestrationItems = async (acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]> => {
    const outcomes = await watched.ackOrchestrationItems(acks);
    acks.forEach((ack, index) => {
      if (outcomes[index] === 'committed') onCommit(ack);
    });
    return outcomes;
  };
  return { provider: { ...watched, ackOrchestrationItems }, callsUnderWay: () => underWay };
}
