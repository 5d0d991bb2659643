// A wrapper around any provider that measures its operations. Long polls are counted, not timed: their time is waiting.
import type { MetricPoint } from '../types/metrics.ts';
import { LONG_POLLS, OPERATIONS, type Operation } from './operations.ts';
import type { Provider } from './provider.ts';

/**
 * Measures every operation of a provider: `duraloom_provider_operation_duration_seconds` by operation and status, and
 * `duraloom_provider_errors_total` by operation and code.
 *
 * @param provider - the store
 * @param record - where measurements go
 * @returns a provider that does the same and measures it
 */
export function instrumented(provider: Provider, record: (point: MetricPoint) => void): Provider {
  const wrapped = Object.fromEntries(OPERATIONS.map((operation) => [operation, measure(provider, operation, record)]));
  return { ...(wrapped as unknown as Omit<Provider, 'name'>), name: provider.name };
}

function measure(provider: Provider, operation: Operation, record: (point: MetricPoint) => void): (...args: unknown[]) => Promise<unknown> {
  // Asked for at each call: who injects failures replaces methods of a living provider.
  const call = (args: unknown[]): Promise<unknown> =>
    (provider[operation] as (...given: unknown[]) => Promise<unknown>).apply(provider, args);
  return async (...args) => {
    const startedMs = performance.now();
    let status = 'ok';
    try {
      return await call(args);
    } catch (error) {
      status = 'error';
      const { code } = error as { readonly code?: unknown };
      const labels = { operation, code: typeof code === 'string' ? code : 'unknown' };
      record({ kind: 'counter', name: 'duraloom_provider_errors_total', value: 1, labels });
      throw error;
    } finally {
      if (!LONG_POLLS.has(operation)) {
        const value = (performance.now() - startedMs) / 1_000;
        record({ kind: 'histogram', name: 'duraloom_provider_operation_duration_seconds', value, labels: { operation, status } });
      }
    }
  };
}
