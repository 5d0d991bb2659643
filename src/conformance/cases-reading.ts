// Contract cases: what an instance is after a turn, listing, depths. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { ArgumentError } from '../types/errors.ts';
import type { InstanceRecord, InstanceStatus } from '../types/instance.ts';
import {
  LOCK_MS,
  ack,
  ackFor,
  ackWork,
  activity,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchWork,
  instanceIds,
  newInstance,
  nextExecution,
  queued,
  read,
  renewWork,
  run,
  start,
  timer,
  listById,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const endedStatuses: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated'];
const restingStatuses: readonly InstanceStatus[] = ['Suspended', 'Quarantined'];

const statuses: readonly ConformanceCase[] = [
  ...endedStatuses.flatMap((status) =>
    cases('status', {
      [`an instance that is ${status} has no messages, timers and work items left`]: async ({ provider, clock }) => {
        await run(provider, 'a', { workItems: [activity(2)], timers: [timer(3, clock.nowMs() + 100)] });
        await enqueue(provider, 'a', 'm1', 'm2');
        const item = await fetchOne(provider);
        await enqueue(provider, 'a', 'late');
        await commit(provider, item, {
          status,
          output: '"out"',
          consumedMessageIds: [],
          workItems: [activity(4)],
          timers: [timer(5, clock.nowMs() + 100)],
          messages: [{ instanceId: 'a', payload: 'self' }],
        });
        assert.deepEqual(await queued(provider), [0, 0]);
        assert.deepEqual(await enqueue(provider, 'a', 'after'), ['ended']);
        await clock.advance(LOCK_MS);
        await fetchNone(provider);
        assert.deepEqual(await fetchWork(provider), []);
        const record = await read(provider, 'a');
        assert.deepEqual([record.status, record.output], [status, '"out"']);
      },
    }),
  ),
  ...restingStatuses.flatMap((status) =>
    cases('status', {
      [`an instance that is ${status} keeps its messages and is not handed out`]: async ({ provider, clock }) => {
        await start(provider, 'a');
        await enqueue(provider, 'a', 'm1');
        const timerAt = clock.nowMs() + 100;
        await commit(provider, await fetchOne(provider), {
          status,
          consumedMessageIds: [],
          timers: [timer(2, timerAt)],
          messages: [{ instanceId: 'a', payload: 'self' }],
        });
        assert.deepEqual(await enqueue(provider, 'a', 'm2'), ['enqueued']);
        await fetchNone(provider);
        await clock.advance(LOCK_MS);
        await fetchNone(provider);
        assert.deepEqual(await queued(provider), [5, 0]);
        assert.equal((await read(provider, 'a')).status, status);
      },
      [`an instance that is ${status} keeps its work items and gets their completions`]: async ({ provider }) => {
        await run(provider, 'a', { status, workItems: [activity(2)] });
        assert.equal(await ackWork(provider, await fetchOneWork(provider)), 'done');
        await fetchNone(provider);
        assert.deepEqual(await queued(provider), [1, 0]);
      },
      [`an instance that is ${status} does not block others`]: async ({ provider, clock }) => {
        await run(provider, 'a', { status, consumedMessageIds: [] });
        await clock.advance(1);
        await start(provider, 'b');
        assert.equal((await fetchOne(provider, { maxItems: 1 })).instanceId, 'b');
      },
      [`a start of the id of an instance that is ${status} is exists`]: async ({ provider }) => {
        await run(provider, 'a', { status });
        assert.deepEqual(await provider.startInstances([newInstance('a')]), ['exists']);
        assert.equal((await read(provider, 'a')).status, status);
      },
    }),
  ),
  ...cases('status', {
    'T61 work of an ended instance is gone for who runs it': async ({ provider }) => {
      await run(provider, 'a', { workItems: [activity(2)], messages: [{ instanceId: 'a', payload: 'again' }] });
      const item = await fetchOne(provider);
      const work = await fetchOneWork(provider);
      await commit(provider, item, { status: 'Completed' });
      assert.deepEqual(await renewWork(provider, [work], LOCK_MS), ['gone']);
      assert.equal(await ackWork(provider, work), 'gone');
      assert.deepEqual(await queued(provider), [0, 0]);
    },
    'the lock of an ended instance is released': async ({ provider }) => {
      await start(provider, 'a');
      const item = await fetchOne(provider);
      await commit(provider, item, { status: 'Completed' });
      assert.deepEqual(await provider.renewOrchestrationLocks([item], LOCK_MS), ['lockLost']);
      assert.equal(await ack(provider, item), 'lockLost');
    },
    'an empty output is not null': async ({ provider }) => {
      await run(provider, 'a', { status: 'Completed', output: '' });
      await run(provider, 'b', { status: 'Completed', output: null });
      assert.deepEqual([(await read(provider, 'a')).output, (await read(provider, 'b')).output], ['', null]);
    },
  }),
];

const listing = cases('listing', {
  'instances are listed in the order of their ids': async ({ provider }) => {
    await start(provider, 'b', 'a10', 'B', 'a2', 'a', '_');
    const listed = await listById(provider, { limit: 10 });
    assert.deepEqual(instanceIds(listed), ['B', '_', 'a', 'a10', 'a2', 'b']);
  },
  'ids are ordered by code points, not by UTF-16 units': async ({ provider }) => {
    await start(provider, '\u{1F600}', '\u{FF5E}', 'z', 'za');
    assert.deepEqual(instanceIds(await listById(provider, { limit: 10 })), ['z', 'za', '\u{FF5E}', '\u{1F600}']);
    assert.deepEqual(instanceIds(await listById(provider, { after: '\u{FF5E}', limit: 10 })), ['\u{1F600}']);
  },
  'pages follow each other without gaps or repetitions': async ({ provider }) => {
    const all = Array.from({ length: 25 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await start(provider, ...all.toReversed());
    const seen: string[] = [];
    const sizes: number[] = [];
    for (let cursor: string | null = null, more = true; more; cursor = seen.at(-1) ?? null) {
      const listed: readonly InstanceRecord[] = await listById(provider, { after: cursor, limit: 10 });
      seen.push(...instanceIds(listed));
      sizes.push(listed.length);
      more = listed.length === 10;
    }
    assert.deepEqual([seen, sizes], [all, [10, 10, 5]]);
  },
  'a cursor need not be the id of an instance': async ({ provider }) => {
    await start(provider, 'a', 'c');
    assert.deepEqual(instanceIds(await listById(provider, { after: 'b', limit: 10 })), ['c']);
    assert.deepEqual(await listById(provider, { after: 'z', limit: 10 }), []);
  },
  'a status filters before the page is cut': async ({ provider }) => {
    for (const instanceId of ['a', 'b', 'c', 'd']) {
      await run(provider, instanceId, { status: instanceId === 'b' || instanceId === 'd' ? 'Failed' : 'Completed' });
    }
    const first = await listById(provider, { limit: 1, statuses: ['Failed'] });
    const second = await listById(provider, { after: 'b', limit: 5, statuses: ['Failed'] });
    const none = await listById(provider, { limit: 5, statuses: ['Suspended'] });
    assert.deepEqual([first, second, none].map(instanceIds), [['b'], ['d'], []]);
  },
  'a listed record is the record that a read gives': async ({ provider }) => {
    await run(provider, 'a', { customStatus: '1', next: nextExecution });
    const listed = await listById(provider, { limit: 1_000 });
    assert.deepEqual(listed, [await read(provider, 'a')]);
  },
  'an empty store lists nothing': async ({ provider }) => {
    assert.deepEqual(await listById(provider, { limit: 1 }), []);
  },
  'a limit outside its range is an ArgumentError that names it': async ({ provider }) => {
    for (const limit of [0, -1, 1_001, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(listById(provider, { limit }), (error: unknown) => {
        assert.ok(error instanceof ArgumentError);
        assert.match(error.message, /limit/);
        assert.match(error.message, /1000/);
        assert.ok(error.message.includes(String(limit)), error.message);
        return true;
      });
    }
  },
});

const depths = cases('queue depths', {
  'messages count until an ack removes them': async ({ provider }) => {
    assert.deepEqual(await queued(provider), [0, 0]);
    await start(provider, 'a', 'b');
    await enqueue(provider, 'a', 'm1', 'm2');
    assert.deepEqual(await queued(provider), [4, 0]);
    const items = await fetchItems(provider);
    assert.deepEqual(await queued(provider), [4, 0]);
    await provider.ackOrchestrationItems(items.map((item) => ackFor(item)));
    assert.deepEqual(await queued(provider), [0, 0]);
  },
  'timers that are not yet due count': async ({ provider, clock }) => {
    await run(provider, 'a', { timers: [timer(2, clock.nowMs() + 1_000), timer(3, clock.nowMs() + 86_400_000)] });
    assert.deepEqual(await queued(provider), [2, 0]);
  },
  'work items count while they run': async ({ provider }) => {
    await run(provider, 'a', { workItems: [activity(2), activity(3)] });
    assert.deepEqual(await queued(provider), [0, 2]);
    const [work] = await fetchWork(provider);
    assert.ok(work !== undefined);
    assert.deepEqual(await queued(provider), [0, 2]);
    await ackWork(provider, work, null);
    assert.deepEqual(await queued(provider), [0, 1]);
  },
});

/** See the head of this file. */
export const readingCases: readonly ConformanceCase[] = [...statuses, ...listing, ...depths];
