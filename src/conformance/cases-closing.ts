// Contract cases: closing a provider. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { ProviderError } from '../types/errors.ts';
import { LOCK_MS, cases, ended, fetchParams, newInstance, poll, pollWork, start, watch, listById } from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

/** See the head of this file. */
export const closingCases: readonly ConformanceCase[] = cases('closing', {
  'after closing every method rejects with PROVIDER_CLOSED': async ({ provider }) => {
    await start(provider, 'a');
    await provider.close();
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      startInstances: () => provider.startInstances([newInstance('b')]),
      enqueueMessages: () => provider.enqueueMessages([]),
      fetchOrchestrationItems: () => provider.fetchOrchestrationItems(fetchParams()),
      ackOrchestrationItems: () => provider.ackOrchestrationItems([]),
      abandonOrchestrationItems: () => provider.abandonOrchestrationItems([]),
      renewOrchestrationLocks: () => provider.renewOrchestrationLocks([], LOCK_MS),
      readHistory: () => provider.readHistory([]),
      fetchWorkItems: () => provider.fetchWorkItems(fetchParams({ waitMs: 1_000 })),
      ackWorkItems: () => provider.ackWorkItems([]),
      abandonWorkItems: () => provider.abandonWorkItems([]),
      renewWorkLocks: () => provider.renewWorkLocks([], LOCK_MS),
      renewSessions: () => provider.renewSessions({ owner: 'n1', leaseMs: LOCK_MS, idleMs: LOCK_MS }),
      receiveSessionMessages: () => provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 1_000 }),
      publish: () => provider.publish([]),
      controlInstances: () => provider.controlInstances([]),
      readValues: () => provider.readValues('a', null),
      readWorkItems: () => provider.readWorkItems('a'),
      reportRuntime: () => provider.reportRuntime({ runtimeId: 'n1', payload: '', ttlMs: 1_000 }),
      listRuntimes: () => provider.listRuntimes(),
      readInstances: () => provider.readInstances(['a']),
      listInstances: () => listById(provider, { limit: 10 }),
      waitForInstance: () => provider.waitForInstance({ instanceId: 'a', condition: ended, waitMs: 1_000 }),
      readQueueDepths: () => provider.readQueueDepths(),
    };
    for (const [operation, call] of Object.entries(calls)) {
      await assert.rejects(call, (error: unknown) => {
        assert.ok(error instanceof ProviderError, operation);
        assert.deepEqual([error.code, error.operation, error.retryable], ['PROVIDER_CLOSED', operation, false]);
        return true;
      });
    }
  },
  'closing twice is no error': async ({ provider }) => {
    await Promise.all([provider.close(), provider.close()]);
    await provider.close();
  },
  'closing finishes what was accepted': async ({ provider }) => {
    const started = provider.startInstances([newInstance('a'), newInstance('a')]);
    const closed = provider.close();
    assert.deepEqual(await started, ['started', 'exists']);
    await closed;
  },
  'closing ends waiting fetches with nothing': async (ctx) => {
    const [wait, workWait] = [await poll(ctx), await pollWork(ctx)];
    await ctx.provider.close();
    assert.deepEqual((await wait.result).items, []);
    assert.deepEqual((await workWait.result).items, []);
  },
  'closing ends waits for instances with the instance as it is': async (ctx) => {
    await start(ctx.provider, 'a');
    const wait = await watch(ctx, ended);
    await ctx.provider.close();
    assert.equal((await wait.result)?.status, 'Pending');
  },
});
