// A wrapper around any provider that measures its operations. Long polls are counted, not timed: their time is waiting.
import type { MetricPoint } from '../types/metrics.ts';
import { LONG_POLLS, OPERATIONS, type Operation } from './operations.ts';
import type { Provider } from './provider.ts';

type SeriesOf = (kind: MetricPoint['kind'], name: string, labels: MetricPoint['labels']) => { record(value: number): void };

/**
 * Measures every operation of a provider: `duraloom_provider_operation_duration_seconds` by operation and status, and
 * `duraloom_provider_errors_total` by operation and code.
 *
 * @param provider - the store
 * @param seriesOf - finds the series of a measurement
 * @returns a provider that does the same and measures it
 */
export function instrumented(provider: Provider, seriesOf: SeriesOf): Provider {
  const wrapped = Object.fromEntries(OPERATIONS.map((operation) => [operation, measure(provider, operation, seriesOf)]));
  return { ...(wrapped as unknown as Omit<Provider, 'name'>), name: provider.name };
}

function measure(provider: Provider, operation: Operation, seriesOf: SeriesOf): (...args: unknown[]) => Promise<unknown> {
  const durations = (status: string): { record(value: number): void } =>
    seriesOf('histogram', 'duraloom_provider_operation_duration_seconds', { operation, status });
  /** Looked up once: nearly every call ends so. */
  let ok: { record(value: number): void } | null = null;
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
      seriesOf('counter', 'duraloom_provider_errors_total', labels).record(1);
      throw error;
    } finally {
      if (!LONG_POLLS.has(operation)) {
        const value = (performance.now() - startedMs) / 1_000;
        if (status === 'ok') (ok ??= durations(status)).record(value);
        else durations(status).record(value);
      }
    }
  };
}
