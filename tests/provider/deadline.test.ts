// A store that does not answer: the wrapper with which a runtime calls its store.
import { describe, expect, test } from 'vitest';
import { withDeadline } from '../../src/provider/deadline.ts';
import { MemoryProvider } from '../../src/provider/memory/memory-provider.ts';
import type { Provider } from '../../src/provider/provider.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';

const start = {
  instanceId: 'a',
  name: 'order',
  version: null,
  payload: 'start',
  parent: null,
  onParentClose: 'cancel',
  policy: 'fail',
  priority: 0,
  startAtMs: null,
  delayMs: 0,
  closeChildren: null,
  parentNotice: null,
  attributes: null,
} as const;

type Held = { answer: () => void };

/** A store whose answers of one operation are held back until a test lets them go. */
function slow(operation: 'ackOrchestrationItems' | 'fetchOrchestrationItems'): {
  readonly clock: SimulatedClock;
  readonly store: MemoryProvider;
  readonly held: Held;
  readonly late: unknown[];
  readonly patient: Provider;
} {
  const clock = new SimulatedClock(1_000_000);
  const store = new MemoryProvider({ clock });
  const held: Held = { answer: () => undefined };
  const late: unknown[] = [];
  const slowed = new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target);
      if (typeof method !== 'function') return method;
      return (...args: readonly unknown[]): Promise<unknown> => {
        const answer = Reflect.apply(method, target, args) as Promise<unknown>;
        return name !== operation ? answer : new Promise((resolve) => (held.answer = () => resolve(answer)));
      };
    },
  });
  const patient = withDeadline(slowed, { clock, timeoutMs: 5_000, onLateFailure: (error) => void late.push(error) });
  return { clock, store, held, late, patient };
}

const fetchParams = { maxItems: 1, lockMs: 600_000, waitMs: 10_000 };

describe('a deadline for the store', () => {
  test('rejects with PROVIDER_TIMEOUT when the store does not answer in time', async () => {
    const { clock, patient } = slow('ackOrchestrationItems');
    const ack = expect(patient.ackOrchestrationItems([])).rejects.toMatchObject({
      code: 'PROVIDER_TIMEOUT',
      retryable: true,
      operation: 'ackOrchestrationItems',
    });
    await clock.advance(4_999);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(1);
    await ack;
  });

  test('leaves no timer behind when the store answers', async () => {
    const { clock, patient } = slow('fetchOrchestrationItems');
    expect(await patient.startInstances([start])).toEqual(['started']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('lets a long poll take its wait besides', async () => {
    const { clock, patient } = slow('fetchOrchestrationItems');
    let error: unknown = null;
    patient.fetchOrchestrationItems(fetchParams).catch((caught: unknown) => (error = caught));
    await clock.advance(14_999);
    expect(error).toBeNull();
    await clock.advance(1);
    expect(error).toMatchObject({ code: 'PROVIDER_TIMEOUT' });
  });

  test('gives back what a fetch brings too late, uncharged', async () => {
    const { clock, store, held, late, patient } = slow('fetchOrchestrationItems');
    await store.startInstances([start]);
    const fetch = expect(patient.fetchOrchestrationItems(fetchParams)).rejects.toMatchObject({ code: 'PROVIDER_TIMEOUT' });
    await clock.advance(15_000);
    await fetch;
    expect((await store.fetchOrchestrationItems({ ...fetchParams, waitMs: 0 })).items).toEqual([]);
    held.answer();
    await clock.advance(0);
    const { items } = await store.fetchOrchestrationItems({ ...fetchParams, waitMs: 0 });
    expect(items.map(({ instanceId, messages }) => [instanceId, messages[0]?.attempt])).toEqual([['a', 1]]);
    expect(late).toEqual([]);
  });
});
