// Contract cases: key-value pairs of instances, and waits for them. Neighbours: conformance-cases.ts lists them, case-kit.ts.
import assert from 'node:assert/strict';
import type { OrchestrationAck, Provider, StoredValue } from '../provider/provider.ts';
import type { InstanceStatus } from '../types/instance.ts';
import { ack, BIG, cases, commit, effects, fetchItems, fetchOne, nextExecution, page, run, start, startOne, watch } from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

type Write = readonly [key: string, value: string | null];

/** An ack that writes pairs, in order; null deletes. */
function writing(...writes: readonly Write[]): Partial<OrchestrationAck> {
  return { effects: effects({ values: writes.map(([key, value]) => ({ key, value })) }) };
}

/** Writes in one more turn of an instance that waits. */
async function write(provider: Provider, instanceId: string, ...writes: readonly Write[]): Promise<void> {
  await provider.enqueueMessages([{ instanceId, payload: 'go' }]);
  await commit(provider, await fetchOne(provider), writing(...writes));
}

async function pairs(provider: Provider, instanceId = 'a', keys: readonly string[] | null = null): Promise<readonly Write[]> {
  return (await provider.readValues(instanceId, keys)).map(({ key, value }) => [key, value] as const);
}

const everyEnd: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated', 'Suspended', 'Quarantined'];

const values: readonly ConformanceCase[] = [
  ...cases('values', {
    'a value that a turn writes can be read with its time': async ({ provider, clock }) => {
      await start(provider, 'a');
      await clock.advance(10);
      await commit(provider, await fetchOne(provider), writing(['k', '{"x":1}']));
      const expected: StoredValue = { key: 'k', value: '{"x":1}', updatedAtMs: clock.nowMs() };
      assert.deepEqual(await provider.readValues('a', ['k']), [expected]);
      await clock.advance(10);
      assert.deepEqual(await provider.readValues('a', null), [expected]);
    },
    'writing a key again replaces its value and time, and only its own': async ({ provider, clock }) => {
      await run(provider, 'a', writing(['k', '1'], ['other', '1']));
      const before = clock.nowMs();
      await clock.advance(10);
      await write(provider, 'a', ['k', '2']);
      assert.deepEqual(await provider.readValues('a', null), [
        { key: 'k', value: '2', updatedAtMs: before + 10 },
        { key: 'other', value: '1', updatedAtMs: before },
      ]);
    },
    'of several writes of a key in one turn the last counts': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1'], ['k', '2'], ['x', '1'], ['x', null], ['y', null], ['y', '3']));
      assert.deepEqual(await pairs(provider), [
        ['k', '2'],
        ['y', '3'],
      ]);
    },
    'a key can be deleted': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1'], ['other', '2']));
      await write(provider, 'a', ['k', null]);
      assert.deepEqual(await pairs(provider), [['other', '2']]);
      assert.deepEqual(await pairs(provider, 'a', ['k']), []);
    },
    'all keys can be deleted': async ({ provider }) => {
      await run(provider, 'a', writing(['k1', '1'], ['k2', '2'], ['k3', '3']));
      await write(provider, 'a', ['k1', null], ['k2', null], ['k3', null]);
      assert.deepEqual(await pairs(provider), []);
    },
    'a key that was deleted can be written again': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1']));
      await write(provider, 'a', ['k', null]);
      await write(provider, 'a', ['k', '2']);
      assert.deepEqual(await pairs(provider), [['k', '2']]);
    },
    'deleting a key that does not exist is no error': async ({ provider }) => {
      await run(provider, 'a', writing(['k', null]));
      assert.deepEqual(await pairs(provider), []);
    },
    'keys that do not exist are left out': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1']));
      assert.deepEqual(await pairs(provider, 'a', ['x', 'k', 'y']), [['k', '1']]);
      assert.deepEqual(await pairs(provider, 'a', ['x']), []);
      assert.deepEqual(await pairs(provider, 'a', []), []);
    },
    'an unknown instance has no values': async ({ provider }) => {
      assert.deepEqual(await pairs(provider, 'unknown'), []);
      assert.deepEqual(await pairs(provider, 'unknown', ['k']), []);
    },
    'a new instance has no values': async ({ provider }) => {
      await start(provider, 'a');
      assert.deepEqual(await pairs(provider), []);
    },
    'values come in the order of their keys by code points, however they are asked for': async ({ provider }) => {
      // In UTF-16 units the last two would change places.
      const keys = ['', 'A', 'a', 'a10', 'a2', 'b', '\u{FF5E}', '\u{1F600}'];
      await run(provider, 'a', writing(...keys.toReversed().map((key) => [key, '1'] as const)));
      assert.deepEqual(
        (await pairs(provider)).map(([key]) => key),
        keys,
      );
      assert.deepEqual(
        (await pairs(provider, 'a', keys.toReversed())).map(([key]) => key),
        keys,
      );
    },
    'a key that is asked for twice comes once': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1']));
      assert.deepEqual(await pairs(provider, 'a', ['k', 'k']), [['k', '1']]);
    },
    'values of one instance are not those of another': async ({ provider }) => {
      await run(provider, 'a', writing(['k', 'of a']));
      await run(provider, 'b', writing(['k', 'of b']));
      await write(provider, 'a', ['k', null]);
      assert.deepEqual([await pairs(provider, 'a'), await pairs(provider, 'b')], [[], [['k', 'of b']]]);
    },
    'values of a child are not those of its parent': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1']));
      await startOne(provider, 'a::1.2', { parent: { instanceId: 'a', executionId: 1, eventId: 2 } });
      assert.deepEqual(await pairs(provider, 'a::1.2'), []);
    },
    'an empty value is a value': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '']));
      assert.deepEqual(await pairs(provider), [['k', '']]);
    },
    'large values come back unchanged': async ({ provider }) => {
      await run(provider, 'a', writing(['k', BIG]));
      const [value] = await provider.readValues('a', ['k']);
      assert.ok(value?.value === BIG);
    },
    'hostile keys and values come back unchanged': async ({ provider }) => {
      const texts = [
        `'; DROP TABLE x; --`,
        '%_*?$1',
        '__proto__',
        'constructor',
        'a.b/c:d',
        'line\nbreak',
        ' a ',
        'é',
        'e\u0301',
        '😀',
        'null',
        '0',
      ];
      await run(provider, 'a', writing(...texts.map((text) => [text, `"${text}"`] as const)));
      for (const text of texts) assert.deepEqual(await pairs(provider, 'a', [text]), [[text, `"${text}"`]]);
      assert.equal((await pairs(provider)).length, texts.length);
    },
    'many keys are written and read in one call': async ({ provider }) => {
      const keys = Array.from({ length: 2_000 }, (_, index) => `k${String(index).padStart(4, '0')}`);
      await run(provider, 'a', writing(...keys.map((key) => [key, '1'] as const)));
      assert.equal((await pairs(provider)).length, 2_000);
      assert.equal((await pairs(provider, 'a', keys)).length, 2_000);
    },
    'values outlive continue-as-new': async ({ provider }) => {
      await run(provider, 'a', { ...writing(['k1', '1'], ['k2', '2'], ['k3', '3']), next: nextExecution });
      assert.deepEqual((await pairs(provider)).length, 3);
      await commit(provider, await fetchOne(provider), { ...writing(['k2', 'new'], ['k3', null]), next: nextExecution });
      await commit(provider, await fetchOne(provider), writing(['k3', 'again']));
      assert.deepEqual(await pairs(provider), [
        ['k1', '1'],
        ['k2', 'new'],
        ['k3', 'again'],
      ]);
    },
    'values of the turn that continues as new count': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1']));
      await provider.enqueueMessages([{ instanceId: 'a', payload: 'go' }]);
      await commit(provider, await fetchOne(provider), { ...writing(['k', null], ['last', '2']), next: nextExecution });
      assert.deepEqual(await pairs(provider), [['last', '2']]);
    },
    'a refused turn writes nothing': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1']));
      await provider.enqueueMessages([{ instanceId: 'a', payload: 'go' }]);
      const item = await fetchOne(provider);
      assert.equal(await ack(provider, item, { ...writing(['k', '2']), lockToken: 'foreign' }), 'lockLost');
      assert.equal(await ack(provider, item, { ...writing(['k', null]), baseEventId: 9 }), 'conflict');
      assert.deepEqual(await pairs(provider), [['k', '1']]);
    },
    'a turn without effects leaves the values alone': async ({ provider }) => {
      await run(provider, 'a', writing(['k', '1']));
      await provider.enqueueMessages([{ instanceId: 'a', payload: 'go' }]);
      await commit(provider, await fetchOne(provider), { page: page(5) });
      assert.deepEqual(await pairs(provider), [['k', '1']]);
    },
    'values do not reach an instance that replaces theirs': async ({ provider }) => {
      await run(provider, 'a', { ...writing(['k', '1']), status: 'Completed' });
      await startOne(provider, 'a', { policy: 'replaceTerminal' });
      assert.deepEqual(await pairs(provider), []);
    },
    'acks of one batch write in their order': async ({ provider }) => {
      await start(provider, 'a', 'b');
      const items = await fetchItems(provider);
      for (const item of items) await commit(provider, item, writing(['k', item.instanceId]));
      assert.deepEqual([await pairs(provider, 'a'), await pairs(provider, 'b')], [[['k', 'a']], [['k', 'b']]]);
    },
  }),
  ...everyEnd.flatMap((status) =>
    cases('values', {
      [`values can be read of an instance that is ${status}`]: async ({ provider }) => {
        await run(provider, 'a', writing(['k', '1']));
        await provider.enqueueMessages([{ instanceId: 'a', payload: 'go' }]);
        await commit(provider, await fetchOne(provider), { ...writing(['last', '2']), status });
        assert.deepEqual(await pairs(provider), [
          ['k', '1'],
          ['last', '2'],
        ]);
      },
    }),
  ),
];

const exists = { kind: 'value', key: 'k', unless: null } as const;

const waits = cases('waits for values', {
  'a wait for a value is over at once when it exists': async ({ provider }) => {
    await run(provider, 'a', writing(['k', '']));
    assert.equal((await provider.waitForInstance({ instanceId: 'a', condition: exists, waitMs: 10_000 }))?.instanceId, 'a');
  },
  'a wait for a value is woken by the turn that writes it': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a', writing(['other', '1']));
    const wait = await watch(ctx, exists);
    await write(provider, 'a', ['other', '2']);
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    await write(provider, 'a', ['k', '1']);
    assert.equal((await wait.result)?.status, 'Running');
  },
  'a wait for another value is woken by one that differs': async (ctx) => {
    const { provider, clock } = ctx;
    await run(provider, 'a', writing(['k', '1']));
    const wait = await watch(ctx, { kind: 'value', key: 'k', unless: '1' });
    await write(provider, 'a', ['k', '1']);
    await write(provider, 'a', ['k', null]);
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    await write(provider, 'a', ['k', '2']);
    await wait.result;
  },
  'the end of the instance ends a wait for a value': async (ctx) => {
    const { provider } = ctx;
    await run(provider, 'a');
    const wait = await watch(ctx, exists);
    await provider.enqueueMessages([{ instanceId: 'a', payload: 'go' }]);
    await commit(provider, await fetchOne(provider), { status: 'Failed' });
    assert.equal((await wait.result)?.status, 'Failed');
  },
  'a wait for a value ends when its time is up': async (ctx) => {
    await run(ctx.provider, 'a');
    const wait = await watch(ctx, exists);
    await ctx.clock.advance(9_999);
    assert.equal(wait.isOver(), false);
    await ctx.clock.advance(1);
    assert.equal((await wait.result)?.status, 'Running');
  },
});

export const valueCases: readonly ConformanceCase[] = [...values, ...waits];
