// What a thread asks of the main thread crosses a port: values as they are, errors with their class, code and cause.
import { MemoryProvider } from 'duraloom/memory';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { newInstance } from '../../src/conformance/case-kit.ts';
import type { ClientStore } from '../../src/client/client-store.ts';
import { connectHost, hostStore, makeActivityHost, serveHost, type HostStore } from '../../src/threads/activity-host.ts';
import { ArgumentError, DurableError, ProviderError } from '../../src/types/errors.ts';
import { rejection } from '../support/integration-stage.ts';

/** The store of a client on the other side of a port. */
function across(store: HostStore): ClientStore {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => {
    port1.close();
    port2.close();
  });
  serveHost(makeActivityHost(store, new AbortController().signal), port1);
  return hostStore(connectHost(port2), store.name);
}

/** A store one of whose methods throws. */
function throwing(thrown: unknown): HostStore {
  return new Proxy(new MemoryProvider(), {
    get: (target, name) => (name === 'readInstances' ? () => Promise.reject(thrown) : (Reflect.get(target, name, target) as unknown)),
  });
}

describe('a store across a port', () => {
  test('does what the store does', async () => {
    const store = across(new MemoryProvider());
    expect(store.name).toBe('memory');
    expect(await store.startInstances([newInstance('a')])).toEqual(['started']);
    expect(await store.readInstances(['a', 'b'])).toMatchObject([{ instanceId: 'a', status: 'Pending' }, null]);
  });

  test('waits without the signal of the caller, which cannot travel', async () => {
    const store = across(new MemoryProvider());
    await store.startInstances([newInstance('a')]);
    const wait = { instanceId: 'a', condition: { kind: 'customStatus', afterVersion: 0 }, waitMs: 0, signal: AbortSignal.abort() } as const;
    expect(await store.waitForInstance(wait)).toMatchObject({ instanceId: 'a' });
  });

  test.each<readonly [string, unknown, unknown, object]>([
    [
      'of the store',
      new ProviderError('PROVIDER_FAILED', { operation: 'readInstances', retryable: true, message: 'busy' }),
      ProviderError,
      { code: 'PROVIDER_FAILED', operation: 'readInstances', retryable: true, message: 'busy' },
    ],
    ['of an argument', new ArgumentError('no id'), ArgumentError, { code: 'ARGUMENT_INVALID', message: 'no id' }],
    ['of another kind', new DurableError('WAIT_TIMEOUT', 'late'), DurableError, { code: 'WAIT_TIMEOUT', message: 'late' }],
    ['of somebody else', new RangeError('odd'), Error, { name: 'RangeError', message: 'odd' }],
    ['that is none', 'thrown text', Error, { message: 'thrown text' }],
  ])('rejects with an error %s', async (_, thrown, type, fields) => {
    const error = await rejection(across(throwing(thrown)).readInstances(['a']));
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject(fields);
  });

  test('does nothing but what clients need', async () => {
    const host = makeActivityHost(new MemoryProvider(), new AbortController().signal);
    const outcome = await host.call('close' as 'publish', []);
    expect(outcome).toMatchObject({ ok: false, failure: { code: 'ARGUMENT_INVALID' }, operation: null, retryable: false });
  });
});
