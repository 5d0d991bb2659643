// Contract cases: traps and what only shows when much happens: nobody starves, clocks that jump, links that must not get lost.
// Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { ProviderError } from '../types/errors.ts';
import {
  ack,
  ackFor,
  ackWork,
  activity,
  attempts,
  cases,
  closing,
  commit,
  effects,
  enqueue,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchWork,
  history,
  instanceIds,
  link,
  newInstance,
  nextExecution,
  only,
  page,
  payloads,
  queued,
  read,
  renewWork,
  routing,
  run,
  start,
  startOne,
  workAckFor,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const fairness = cases('nobody starves', {
  'T50 an instance gets its turn under a constant stream of messages to others': async ({ provider, clock }) => {
    const busy = ['b1', 'b2', 'b3'];
    for (const instanceId of [...busy, 'quiet']) await run(provider, instanceId);
    for (const instanceId of busy) await enqueue(provider, instanceId, 'm');
    await clock.advance(1);
    await enqueue(provider, 'quiet', 'm');
    for (let turn = 0; turn < 10; turn += 1) {
      await clock.advance(1);
      const item = await fetchOne(provider, { maxItems: 1 });
      if (item.instanceId === 'quiet') return;
      await enqueue(provider, item.instanceId, 'more');
      await commit(provider, item);
    }
    assert.fail('expected a turn of the quiet instance within ten');
  },
  'T50 work of one instance that schedules much does not keep the work of others waiting for ever': async ({ provider, clock }) => {
    await run(provider, 'greedy', { page: page(101), workItems: Array.from({ length: 100 }, (_, index) => activity(index + 2)) });
    await clock.advance(1);
    await run(provider, 'modest', { workItems: [activity(2)] });
    const order = instanceIds([...(await fetchWork(provider, { maxItems: 60 })), ...(await fetchWork(provider, { maxItems: 60 }))]);
    assert.equal(order.length, 101);
    assert.equal(order.at(-1), 'modest');
  },
  'T6 a flood of messages to unknown ids takes no room and no time of others': async ({ provider }) => {
    await run(provider, 'a');
    const lost = Array.from({ length: 1_000 }, (_, index) => ({ instanceId: `unknown ${index}`, payload: 'cancel' }));
    assert.deepEqual(new Set(await provider.enqueueMessages(lost)), new Set(['notFound']));
    assert.deepEqual(await queued(provider), [0, 0]);
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(payloads(await fetchOne(provider, { maxItems: 1 })), ['m']);
  },
  'T37 tagged work that nobody takes is told to its orchestration when it expires': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2, { routing: routing({ tag: 'gpu', expiresAfterMs: 1_000 }) })] });
    assert.deepEqual(await fetchWork(provider), []);
    await clock.advance(1_000);
    const item = await fetchOneWork(provider, { select: { kind: 'expired' } });
    assert.equal(await ackWork(provider, item, 'nobody came'), 'done');
    assert.deepEqual(payloads(await fetchOne(provider)), ['nobody came']);
  },
  'T37 thousands of items with a tag do not keep the default queue waiting': async ({ provider }) => {
    const tagged = Array.from({ length: 2_000 }, (_, index) => activity(index + 2, { routing: routing({ tag: 'gpu' }) }));
    await run(provider, 'a', { page: page(2_001), workItems: tagged });
    await run(provider, 'b', { workItems: [activity(2)] });
    assert.equal((await fetchOneWork(provider, { maxItems: 1 })).instanceId, 'b');
  },
});

const links = cases('links that must not get lost', {
  'T1 a parent link survives every continue-as-new': async ({ provider }) => {
    await startOne(provider, 'child', { parent: link('parent', 7, 3) });
    for (let execution = 1; execution <= 3; execution += 1) await commit(provider, await fetchOne(provider), { next: nextExecution });
    const item = await fetchOne(provider);
    assert.deepEqual([item.executionId, item.parent], [4, link('parent', 7, 3)]);
    assert.deepEqual((await read(provider, 'child')).parent, link('parent', 7, 3));
  },
  'T2 the parent link names the execution that scheduled the child': async ({ provider }) => {
    await start(provider, 'parent');
    await commit(provider, await fetchOne(provider), { next: nextExecution });
    const starts = [{ ...newInstance('child', { parent: link('parent', 2, 2) }), conflictPayload: null }];
    await commit(provider, await fetchOne(provider), { page: page(2), starts });
    assert.deepEqual((await fetchOne(provider)).parent, link('parent', 2, 2));
  },
  'T13 the first of two answers of one activity counts, whatever they say': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    const item = await fetchOneWork(provider);
    const outcomes = await provider.ackWorkItems([workAckFor(item, 'failed'), workAckFor(item, 'completed')]);
    assert.deepEqual(outcomes, ['done', 'gone']);
    assert.deepEqual(payloads(await fetchOne(provider)), ['failed']);
  },
  'T27 an instance that had no turn can be quarantined and has its record and event': async ({ provider }) => {
    await start(provider, 'a');
    await commit(provider, await fetchOne(provider), { page: page(1), status: 'Quarantined', output: '"poison"' });
    const { status, output, name } = await read(provider, 'a');
    assert.deepEqual([status, output, name], ['Quarantined', '"poison"', 'order']);
    assert.equal((await history(provider, 'a')).length, 1);
  },
  'T38 continue-as-new leaves children as they are, the quarantine after it does not': async ({ provider }) => {
    await run(provider, 'parent', {
      starts: [{ ...newInstance('child', { parent: link('parent'), onParentClose: 'terminate' }), conflictPayload: null }],
    });
    await commit(provider, await fetchOne(provider), { page: page(2) });
    await enqueue(provider, 'parent', 'm');
    await commit(provider, await fetchOne(provider), { next: nextExecution });
    assert.equal((await read(provider, 'child')).status, 'Running');
    await commit(provider, await fetchOne(provider), { status: 'Quarantined', output: '"poison"', closeChildren: closing });
    assert.equal((await read(provider, 'child')).status, 'Terminated');
  },
  'T57 messages to an id that is free now do not wait for an instance to come': async ({ provider }) => {
    assert.deepEqual(await enqueue(provider, 'a', 'early'), ['notFound']);
    await start(provider, 'a');
    assert.deepEqual(payloads(await fetchOne(provider)), ['start a']);
  },
  'T31 an instance that is replaced during its turn is not brought back by the ack': async ({ provider }) => {
    await start(provider, 'a');
    const item = await fetchOne(provider);
    assert.equal(await startOne(provider, 'a', { policy: 'terminateExisting', payload: 'new' }), 'replaced');
    assert.equal(await ack(provider, item, { page: page(2), workItems: [activity(2)], status: 'Completed' }), 'lockLost');
    assert.deepEqual(payloads(await fetchOne(provider)), ['new']);
    assert.deepEqual(await queued(provider), [1, 0]);
  },
  'T51 payloads that nobody can read are handed on as they are and block nobody': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2, { payload: '{"broken' }), activity(3)] });
    await enqueue(provider, 'a', '\u0000[', '');
    assert.deepEqual(payloads(await fetchOne(provider)), ['\u0000[', '']);
    assert.deepEqual(
      (await fetchWork(provider)).map(({ payload }) => payload),
      ['{"broken', 'activity 3'],
    );
  },
});

const jumps = cases('a clock that jumps', {
  'T54 a lock that is renewed after the clock was set back lasts from then': async ({ provider, clock }) => {
    await start(provider, 'a');
    const { instanceId, lockToken } = await fetchOne(provider, { lockMs: 10_000 });
    clock.jump(-5_000);
    assert.deepEqual(await provider.renewOrchestrationLocks([{ instanceId, lockToken }], 10_000), ['done']);
    await clock.advance(9_999);
    await fetchNone(provider);
    await clock.advance(1);
    assert.deepEqual(attempts(await fetchOne(provider)), [2]);
  },
  'T54 an item and its session that are renewed after the clock was set back last from then': async ({ provider, clock }) => {
    const by = (owner: string) => ({
      select: { kind: 'queue', tags: { kind: 'default' }, session: { owner, leaseMs: 10_000, maxSessions: 1 } } as const,
      lockMs: 10_000,
    });
    await run(provider, 'a', { workItems: [activity(2, { routing: routing({ sessionId: 's' }) })] });
    const item = await fetchOneWork(provider, by('one'));
    clock.jump(-5_000);
    assert.deepEqual(await renewWork(provider, [item], 10_000), ['done']);
    assert.equal(await provider.renewSessions({ owner: 'one', leaseMs: 10_000, idleMs: 60_000 }), 1);
    await clock.advance(9_999);
    assert.deepEqual(await fetchWork(provider, by('two')), []);
    await clock.advance(1);
    assert.equal((await fetchOneWork(provider, by('two'))).attempt, 2);
    assert.equal(await ackWork(provider, item), 'lockLost');
  },
  'T59 a clock that is set ahead takes the lock, and the late ack is refused': async ({ provider, clock }) => {
    await run(provider, 'a', { workItems: [activity(2)] });
    await enqueue(provider, 'a', 'm');
    const [turn, item] = [await fetchOne(provider, { lockMs: 10_000 }), await fetchOneWork(provider, { lockMs: 10_000 })];
    clock.jump(10_000);
    assert.equal(await ack(provider, turn), 'lockLost');
    assert.equal(await ackWork(provider, item), 'lockLost');
    assert.deepEqual(await queued(provider), [1, 1]);
  },
  'T29 times of creation and update are the times of the store in epoch milliseconds': async ({ provider, clock }) => {
    await start(provider, 'a');
    const createdAtMs = clock.nowMs();
    await clock.advance(1_234);
    await commit(provider, await fetchOne(provider));
    const record = await read(provider, 'a');
    assert.deepEqual([record.createdAtMs, record.updatedAtMs], [createdAtMs, createdAtMs + 1_234]);
  },
});

const errors = cases('errors', {
  'T39 a rejection is a ProviderError with its operation and whether to try again': async ({ provider }) => {
    await provider.close();
    await assert.rejects(provider.enqueueMessages([{ instanceId: 'a', payload: 'm' }]), (error: unknown) => {
      assert.ok(error instanceof ProviderError);
      assert.deepEqual([error.operation, error.retryable], ['enqueueMessages', false]);
      return true;
    });
  },
  'T30 lock tokens cannot be guessed from each other': async ({ provider }) => {
    const tokens = new Set<string>();
    for (let index = 0; index < 50; index += 1) {
      await start(provider, `i${index}`);
      tokens.add((await fetchOne(provider)).lockToken);
    }
    assert.equal(tokens.size, 50);
    // Random tokens of equal length differ in about as many places as they have; counters and clocks in the last few only.
    const [one = '', two = ''] = tokens;
    const same = Array.from(one).filter((character, place) => character === two[place]).length;
    assert.ok(one.length >= 16 && same < one.length / 2, `expected random tokens, got '${one}' and '${two}'`);
  },
  'readers during a turn see the state before it': async ({ provider }) => {
    await run(provider, 'a', { effects: effects({ values: [{ key: 'k', value: 'old' }] }) });
    await enqueue(provider, 'a', 'm');
    const item = await fetchOne(provider);
    const before = [await read(provider, 'a'), await history(provider, 'a'), await provider.readValues('a', null)];
    const refused = ackFor(item, { lockToken: 'none', page: page(3), effects: effects({ values: [{ key: 'k', value: 'new' }] }) });
    assert.equal(only(await provider.ackOrchestrationItems([refused])), 'lockLost');
    assert.deepEqual([await read(provider, 'a'), await history(provider, 'a'), await provider.readValues('a', null)], before);
  },
});

/** See the head of this file. */
export const fairnessCases: readonly ConformanceCase[] = [...fairness, ...links, ...jumps, ...errors];
