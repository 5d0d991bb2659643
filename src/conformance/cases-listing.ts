// Contract cases: lists of instances, search attributes, when an instance ended. Neighbours: case-kit.ts is what they are written with,
// conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { InstanceFilter, InstanceOrder, InstanceQuery, ListPosition } from '../provider/management.ts';
import type { NewInstance, Provider } from '../provider/provider.ts';
import { ArgumentError } from '../types/errors.ts';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../types/instance.ts';
import {
  abandon,
  ack,
  attributes,
  cases,
  closing,
  commit,
  effects,
  fetchItems,
  fetchOne,
  instanceIds,
  link,
  listAll,
  listQuery,
  newInstance,
  nextExecution,
  page,
  read,
  run,
  start,
  startOne,
} from './case-kit.ts';
import type { ConformanceCase, ConformanceContext } from './conformance-case.ts';

const ORDERS: readonly InstanceOrder[] = ['id', 'createdAt', 'endedAt'];
const ENDS: readonly InstanceStatus[] = ['Completed', 'Failed', 'Cancelled', 'Terminated'];

const ids = async (provider: Provider, changes: Partial<InstanceQuery> = {}): Promise<readonly string[]> =>
  instanceIds(await listAll(provider, changes));

const found = async (provider: Provider, filter: InstanceFilter): Promise<readonly string[]> => await ids(provider, { filter });

/** Starts instances a second apart, the last one first: so no order is that of another. */
async function startApart({ provider, clock }: ConformanceContext, all: readonly NewInstance[]): Promise<void> {
  for (const each of all) {
    assert.deepEqual(await provider.startInstances([each]), ['started']);
    await clock.advance(1_000);
  }
}

/** Ends instances a second apart, in the order of the list. */
async function endApart({ provider, clock }: ConformanceContext, ends: Readonly<Record<string, InstanceStatus>>): Promise<void> {
  const items = await fetchItems(provider, { maxItems: 1_000, lockMs: 3_600_000 });
  for (const [instanceId, status] of Object.entries(ends)) {
    const item = items.find((other) => other.instanceId === instanceId);
    assert.ok(item !== undefined, instanceId);
    await commit(provider, item, { page: page(2), status, output: '"out"' });
    await clock.advance(1_000);
  }
  for (const item of items) if (!(item.instanceId in ends)) await abandon(provider, item, { countAttempt: false });
}

/** A record as a list of some order is sorted by it. */
function placeOf(record: InstanceRecord, orderBy: InstanceOrder): number {
  return orderBy === 'createdAt' ? record.createdAtMs : orderBy === 'endedAt' ? (record.endedAtMs ?? 0) : 0;
}

const orders = cases('listing', {
  'instances are listed in the order of their ids': async ({ provider }) => {
    await start(provider, 'b', 'a10', 'B', 'a2', 'a', '_');
    assert.deepEqual(await ids(provider), ['B', '_', 'a', 'a10', 'a2', 'b']);
    assert.deepEqual(await ids(provider, { descending: true }), ['b', 'a2', 'a10', 'a', '_', 'B']);
  },
  'ids are ordered by code points, not by UTF-16 units': async ({ provider }) => {
    await start(provider, '\u{1F600}', '\u{FF5E}', 'z', 'za');
    assert.deepEqual(await ids(provider), ['z', 'za', '\u{FF5E}', '\u{1F600}']);
    assert.deepEqual(await ids(provider, { descending: true, limit: 1 }), ['\u{1F600}', '\u{FF5E}', 'za', 'z']);
  },
  'instances are listed in the order of their starts': async (ctx) => {
    await startApart(ctx, [newInstance('b'), newInstance('c'), newInstance('a')]);
    assert.deepEqual(await ids(ctx.provider, { orderBy: 'createdAt' }), ['b', 'c', 'a']);
    assert.deepEqual(await ids(ctx.provider, { orderBy: 'createdAt', descending: true }), ['a', 'c', 'b']);
  },
  'instances that have ended are listed in the order of their ends, and only those': async (ctx) => {
    const { provider } = ctx;
    await startApart(
      ctx,
      ['a', 'b', 'c', 'd', 'e'].map((id) => newInstance(id)),
    );
    await endApart(ctx, { d: 'Failed', a: 'Completed', c: 'Running', b: 'Quarantined', e: 'Cancelled' });
    assert.deepEqual(await ids(provider, { orderBy: 'endedAt' }), ['d', 'a', 'e']);
    assert.deepEqual(await ids(provider, { orderBy: 'endedAt', descending: true, limit: 1 }), ['e', 'a', 'd']);
    assert.deepEqual(await ids(provider, { orderBy: 'endedAt', filter: { statuses: ['Running', 'Quarantined'] } }), []);
  },
  'what was started or ended at the same time is listed, each once': async ({ provider }) => {
    const all = Array.from({ length: 30 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await start(provider, ...all.toReversed());
    for (const item of await fetchItems(provider)) await commit(provider, item, { page: page(2), status: 'Completed' });
    for (const orderBy of ORDERS) {
      for (const descending of [false, true]) {
        const listed = await ids(provider, { orderBy, descending, limit: 4 });
        assert.deepEqual(listed.toSorted(), all, `${orderBy} ${descending}`);
        assert.deepEqual(await ids(provider, { orderBy, descending: !descending, limit: 7 }), listed.toReversed(), orderBy);
      }
    }
  },
  'a listed record is the record that a read gives': async ({ provider }) => {
    await run(provider, 'a', { customStatus: '1', next: nextExecution });
    await startOne(provider, 'b', { attributes: attributes({ customer: 'acme' }), parent: link('a') });
    for (const orderBy of ['id', 'createdAt'] as const) {
      const listed = await listAll(provider, { orderBy });
      assert.deepEqual(new Set(listed), new Set([await read(provider, 'a'), await read(provider, 'b')]));
    }
  },
  'an empty store lists nothing': async ({ provider }) => {
    for (const orderBy of ORDERS) {
      assert.deepEqual(await provider.listInstances(listQuery({ orderBy, limit: 1 })), { records: [], next: null });
      assert.deepEqual(await provider.listInstances(listQuery({ orderBy, descending: true, filter: { name: 'order', search: 'a' } })), {
        records: [],
        next: null,
      });
    }
  },
  'an instance that started in place of another is as old as its own start': async (ctx) => {
    const { provider } = ctx;
    await startApart(ctx, [newInstance('a'), newInstance('b')]);
    await startOne(provider, 'a', { policy: 'terminateExisting', name: 'other' });
    assert.deepEqual(await ids(provider, { orderBy: 'createdAt' }), ['b', 'a']);
    assert.deepEqual(await found(provider, { name: 'other' }), ['a']);
    assert.deepEqual(await found(provider, { name: 'order' }), ['b']);
  },
});

const pages = cases('listing', {
  'pages follow each other without gaps or repetitions, and the last one says so': async ({ provider }) => {
    const all = Array.from({ length: 25 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await start(provider, ...all.toReversed());
    const seen: string[] = [];
    let after: ListPosition | null = null;
    for (const size of [10, 10, 5]) {
      const { records, next } = await provider.listInstances(listQuery({ after, limit: 10 }));
      assert.equal(records.length, size);
      seen.push(...instanceIds(records));
      after = next;
    }
    assert.equal(after, null);
    assert.deepEqual(seen, all);
  },
  'a page that just holds the rest is the last one': async ({ provider }) => {
    await start(provider, 'a', 'b');
    for (const orderBy of ['id', 'createdAt'] as const) {
      const { records, next } = await provider.listInstances(listQuery({ orderBy, limit: 2 }));
      assert.deepEqual([records.length, next], [2, null]);
    }
  },
  'who waits behind a page is on the next one, whatever changes between': async (ctx) => {
    const { provider } = ctx;
    const all = Array.from({ length: 12 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await startApart(
      ctx,
      all.map((id) => newInstance(id)),
    );
    for (const [number, [orderBy, descending]] of (
      [
        ['id', false],
        ['id', true],
        ['createdAt', false],
        ['createdAt', true],
      ] as const
    ).entries()) {
      const seen: string[] = [];
      let after: ListPosition | null = null;
      do {
        const { records, next }: Awaited<ReturnType<Provider['listInstances']>> = await provider.listInstances(
          listQuery({ orderBy, descending, after, limit: 5 }),
        );
        seen.push(...instanceIds(records));
        after = next;
        // Each time another one ends, of those that were seen or of those that were not.
        const items = await fetchItems(provider);
        const ending = items[number % 2 === 0 ? 0 : items.length - 1];
        for (const item of items) {
          if (item === ending) await commit(provider, item, { page: page(2), status: 'Completed' });
          else await abandon(provider, item, { countAttempt: false });
        }
      } while (after !== null);
      assert.deepEqual(seen, descending ? all.toReversed() : all, `${orderBy} ${descending}`);
    }
  },
  'a place need not be that of an instance any more': async (ctx) => {
    const { provider } = ctx;
    await startApart(
      ctx,
      ['a', 'b', 'c'].map((id) => newInstance(id)),
    );
    await endApart(ctx, { a: 'Completed', b: 'Completed', c: 'Completed' });
    const places = await Promise.all(ORDERS.map(async (orderBy) => (await provider.listInstances(listQuery({ orderBy, limit: 2 }))).next));
    await provider.deleteInstances([{ instanceId: 'b', isForced: false }]);
    for (const [index, orderBy] of ORDERS.entries()) {
      assert.deepEqual(await ids(provider, { orderBy, after: places[index] ?? null }), ['c'], orderBy);
    }
  },
  'a filter that nothing meets ends in a last page': async ({ provider }) => {
    const all = Array.from({ length: 50 }, (_, index) => `i${index}`);
    await provider.startInstances(all.map((id) => newInstance(id)));
    for (const orderBy of ORDERS) {
      for (const filter of [{ search: 'nothing' }, { name: 'nothing' }, { version: '9.9.9' }, { updatedBeforeMs: 0 }]) {
        assert.deepEqual(await ids(provider, { orderBy, filter, limit: 3 }), []);
      }
    }
  },
  'a limit outside its range is an ArgumentError that names it': async ({ provider }) => {
    for (const limit of [0, -1, 1_001, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const call of [
        () => provider.listInstances(listQuery({ limit })),
        () => provider.peekQueue({ queue: 'orchestrator', after: null, limit }),
        () => provider.peekQueue({ queue: 'worker', after: null, limit }),
      ]) {
        await assert.rejects(call, (error: unknown) => {
          assert.ok(error instanceof ArgumentError);
          assert.match(error.message, /limit/);
          assert.match(error.message, /1000/);
          assert.ok(error.message.includes(String(limit)), error.message);
          return true;
        });
      }
    }
  },
});

const NAMES = ['order', 'refund', 'mail'];
const STATUSES = ['Running', 'Completed', 'Failed', 'Pending', 'Suspended', 'Cancelled', 'Quarantined', 'Terminated'] as const;

/** Forty instances of all kinds: names, versions, statuses, parents, attributes, times. */
async function startAllKinds(ctx: ConformanceContext): Promise<readonly InstanceRecord[]> {
  const { provider, clock } = ctx;
  await startOne(provider, 'p', { name: 'parent' });
  await commit(provider, await fetchOne(provider), { page: page(2) });
  await clock.advance(1_000);
  const kinds = Array.from({ length: 40 }, (_, index) => {
    const instanceId = `${index % 5 === 0 ? 'vip' : 'i'}-${String((index * 7) % 40).padStart(2, '0')}`;
    const names = { name: NAMES[index % 3] ?? '', version: `${1 + (index % 2)}.0.0` };
    const customer = { customer: index % 4 === 0 ? 'acme' : 'other', ...(index % 3 === 0 ? { region: 'eu' } : {}) };
    const family = index % 6 === 0 ? { parent: link('p'), onParentClose: 'abandon' as const } : {};
    return newInstance(instanceId, { ...names, ...family, attributes: index % 7 === 0 ? null : attributes(customer) });
  });
  await startApart(ctx, kinds);
  const statusOf = new Map(kinds.map(({ instanceId }, index) => [instanceId, STATUSES[(index * 3) % 8] ?? 'Running']));
  const wanted = Object.fromEntries([...statusOf].toReversed().filter(([, status]) => isEnded(status) || status === 'Quarantined'));
  await endApart(ctx, Object.fromEntries(Object.entries(wanted).filter(([, status]) => status !== 'Terminated')));
  for (const [instanceId, status] of statusOf) {
    if (status === 'Suspended') await provider.controlInstances([{ kind: 'suspend', instanceId }]);
    if (status === 'Terminated') {
      await provider.controlInstances([{ kind: 'terminate', instanceId, output: '"t"', parentMessage: null, closeChildren: closing }]);
    }
    await clock.advance(10);
  }
  for (const item of await fetchItems(provider)) {
    if (statusOf.get(item.instanceId) === 'Running') await commit(provider, item, { page: page(2) });
    else await abandon(provider, item, { countAttempt: false });
    await clock.advance(10);
  }
  return await listAll(provider);
}

/** Whether a record meets a filter, written down once more. */
function meets(record: InstanceRecord, filter: InstanceFilter): boolean {
  const has = ({ key, value }: { readonly key: string; readonly value: string }): boolean =>
    record.attributes?.includes(`"${key}":${value}`) === true;
  return [
    filter.name === undefined || record.name === filter.name,
    filter.statuses?.includes(record.status) ?? true,
    filter.version === undefined || record.version === filter.version,
    filter.parentInstanceId === undefined || record.parent?.instanceId === filter.parentInstanceId,
    (filter.attributes ?? []).every(has),
    record.createdAtMs >= (filter.createdFromMs ?? 0),
    record.createdAtMs < (filter.createdBeforeMs ?? Number.POSITIVE_INFINITY),
    record.updatedAtMs >= (filter.updatedFromMs ?? 0),
    record.updatedAtMs < (filter.updatedBeforeMs ?? Number.POSITIVE_INFINITY),
    record.instanceId.includes(filter.search ?? ''),
  ].every(Boolean);
}

const filters = cases('listing', {
  'every filter finds what it says, in every order, alone and with others': async (ctx) => {
    const { provider } = ctx;
    const all = await startAllKinds(ctx);
    assert.equal(all.length, 41);
    const middle = all.map(({ createdAtMs }) => createdAtMs).toSorted((a, b) => a - b)[20] ?? 0;
    const changed = all.map(({ updatedAtMs }) => updatedAtMs).toSorted((a, b) => a - b)[25] ?? 0;
    const { list } = attributes({ customer: 'acme', region: 'eu' });
    const alone: readonly InstanceFilter[] = [
      {},
      { name: 'refund' },
      { name: 'nobody' },
      ...STATUSES.map((status) => ({ statuses: [status] })),
      { statuses: ['Running', 'Failed'] },
      { statuses: ['Completed', 'Failed', 'Suspended'] },
      { statuses: ['Running', 'Pending', 'Suspended', 'Quarantined'] },
      { statuses: ENDS },
      { statuses: STATUSES },
      { version: '2.0.0' },
      { parentInstanceId: 'p' },
      { attributes: list.slice(0, 1) },
      { attributes: list },
      { createdFromMs: middle },
      { createdBeforeMs: middle },
      { createdFromMs: middle, createdBeforeMs: middle + 5_000 },
      { updatedFromMs: changed },
      { updatedBeforeMs: changed },
      { search: 'vip' },
      { search: '-1' },
    ];
    const together = alone.flatMap((first, index) => alone.slice(index + 1).map((second): InstanceFilter => ({ ...first, ...second })));
    let size = 0;
    for (const [index, filter] of [...alone, ...together].entries()) {
      const orderBy = ORDERS[index % 3] ?? 'id';
      for (const [order, descending] of index < alone.length
        ? ORDERS.flatMap((each) => [[each, false] as const, [each, true] as const])
        : [[orderBy, index % 2 === 0] as const]) {
        const wanted = all
          .filter((record) => meets(record, filter) && (order !== 'endedAt' || record.endedAtMs !== null))
          .toSorted((a, b) => (descending ? -1 : 1) * (placeOf(a, order) - placeOf(b, order) || (a.instanceId < b.instanceId ? -1 : 1)));
        size += wanted.length;
        const listed = await listAll(provider, { filter, orderBy: order, descending, limit: index % 4 === 0 ? 3 : 1_000 });
        assert.deepEqual(listed, wanted, `${order} ${descending} ${inspect(filter)}`);
      }
    }
    assert.ok(size > 1_000, String(size));
  },
  'a text to search for is taken just so': async ({ provider }) => {
    await start(provider, 'a%b', 'axb', 'A_B', 'a\\b', 'äb', "it's");
    for (const [search, wanted] of [
      ['%', ['a%b']],
      ['_', ['A_B']],
      ['a', ['a%b', 'a\\b', 'axb']],
      ['\\', ['a\\b']],
      ["'", ["it's"]],
      ['ä', ['äb']],
      ['', ['A_B', 'a%b', 'a\\b', 'axb', "it's", 'äb']],
    ] as const) {
      assert.deepEqual(await found(provider, { search }), wanted, search);
    }
  },
  'names, versions and attributes are compared as they are': async ({ provider }) => {
    await startOne(provider, 'a', { name: 'Order', version: '1.0', attributes: attributes({ k: 'v', K: 'w' }) });
    await startOne(provider, 'b', { name: 'order', version: '1.0.0', attributes: attributes({ k: 'V' }) });
    await startOne(provider, 'c', { name: 'order ', version: null, attributes: attributes({ 'k ': 'v' }) });
    assert.deepEqual(await found(provider, { name: 'order' }), ['b']);
    assert.deepEqual(await found(provider, { version: '1.0' }), ['a']);
    assert.deepEqual(await found(provider, { attributes: attributes({ k: 'v' }).list }), ['a']);
    assert.deepEqual(await found(provider, { attributes: attributes({ k: 'v', K: 'v' }).list }), []);
  },
  'an instance that is abandoned by the parent that ended is still listed under it': async ({ provider }) => {
    await run(provider, 'p');
    await startOne(provider, 'child', { parent: link('p'), onParentClose: 'abandon' });
    await provider.controlInstances([{ kind: 'terminate', instanceId: 'p', output: '"t"', parentMessage: null, closeChildren: closing }]);
    assert.deepEqual(await found(provider, { parentInstanceId: 'p' }), ['child']);
  },
});

const searching = cases('search attributes', {
  'attributes of a start are found and read': async ({ provider }) => {
    const given = attributes({ customer: 'acme', region: 'eu' });
    await startOne(provider, 'a', { attributes: given });
    await startOne(provider, 'b', { attributes: attributes({ customer: 'acme' }) });
    await startOne(provider, 'c');
    assert.equal((await read(provider, 'a')).attributes, given.text);
    assert.equal((await read(provider, 'c')).attributes, null);
    assert.deepEqual(await found(provider, { attributes: given.list.slice(0, 1) }), ['a', 'b']);
    assert.deepEqual(await found(provider, { attributes: given.list }), ['a']);
  },
  'a start that finds the id in use changes no attributes': async ({ provider }) => {
    await startOne(provider, 'a', { attributes: attributes({ k: 'first' }) });
    assert.equal(await startOne(provider, 'a', { attributes: attributes({ k: 'second' }) }), 'exists');
    assert.deepEqual(await found(provider, { attributes: attributes({ k: 'second' }).list }), []);
    assert.deepEqual(await found(provider, { attributes: attributes({ k: 'first' }).list }), ['a']);
  },
  'a turn sets all attributes; none of the others stays': async ({ provider }) => {
    await startOne(provider, 'a', { attributes: attributes({ kept: '1', changed: '1', gone: '1' }) });
    const now = attributes({ kept: '1', changed: '2', added: '1' });
    await commit(provider, await fetchOne(provider), { page: page(2), effects: effects({ attributes: now }) });
    assert.equal((await read(provider, 'a')).attributes, now.text);
    for (const [values, wanted] of [
      [{ kept: '1', changed: '2', added: '1' }, ['a']],
      [{ changed: '1' }, []],
      [{ gone: '1' }, []],
    ] as const) {
      assert.deepEqual(await found(provider, { attributes: attributes(values).list }), wanted);
    }
  },
  'effects without attributes leave them': async ({ provider }) => {
    await startOne(provider, 'a', { attributes: attributes({ k: '1' }) });
    await commit(provider, await fetchOne(provider), { effects: effects({ values: [{ key: 'x', value: '1' }] }) });
    assert.deepEqual(await found(provider, { attributes: attributes({ k: '1' }).list }), ['a']);
  },
  'no attributes are null, at a start and after a turn': async ({ provider }) => {
    await startOne(provider, 'a', { attributes: attributes({}) });
    await startOne(provider, 'b', { attributes: attributes({ k: '1' }) });
    assert.equal((await read(provider, 'a')).attributes, null);
    const items = await fetchItems(provider);
    for (const item of items) await commit(provider, item, { effects: effects({ attributes: attributes({}) }) });
    assert.deepEqual([(await read(provider, 'a')).attributes, (await read(provider, 'b')).attributes], [null, null]);
    assert.deepEqual(await found(provider, { attributes: attributes({ k: '1' }).list }), []);
  },
  'a turn that was not committed changes no attributes': async ({ provider }) => {
    await startOne(provider, 'a', { attributes: attributes({ k: '1' }) });
    const item = await fetchOne(provider);
    await abandon(provider, item);
    assert.equal(await ack(provider, item, { effects: effects({ attributes: attributes({ k: '2' }) }) }), 'lockLost');
    assert.deepEqual(await found(provider, { attributes: attributes({ k: '1' }).list }), ['a']);
  },
  'attributes are kept over continue-as-new, and beyond the end': async ({ provider }) => {
    await startOne(provider, 'a', { attributes: attributes({ k: '1' }) });
    await commit(provider, await fetchOne(provider), { page: page(2), next: nextExecution });
    const { list } = attributes({ k: '1' });
    assert.deepEqual(await found(provider, { attributes: list }), ['a']);
    await commit(provider, await fetchOne(provider), { page: page(2), status: 'Failed', output: '"e"' });
    assert.deepEqual(await found(provider, { attributes: list, statuses: ['Failed'] }), ['a']);
    assert.deepEqual(await ids(provider, { filter: { attributes: list }, orderBy: 'endedAt' }), ['a']);
  },
  'who replaces an instance has its own attributes only': async ({ provider }) => {
    await startOne(provider, 'a', { attributes: attributes({ k: '1', old: '1' }) });
    const policy = 'terminateExisting';
    assert.equal(await startOne(provider, 'a', { policy, attributes: attributes({ k: '1' }) }), 'replaced');
    assert.deepEqual(await found(provider, { attributes: attributes({ old: '1' }).list }), []);
    assert.deepEqual(await found(provider, { attributes: attributes({ k: '1' }).list }), ['a']);
    assert.equal(await startOne(provider, 'a', { policy }), 'replaced');
    assert.equal((await read(provider, 'a')).attributes, null);
    assert.deepEqual(await found(provider, { attributes: attributes({ k: '1' }).list }), []);
  },
  'children that a turn starts have theirs': async ({ provider }) => {
    const child = newInstance('child', { parent: link('a'), attributes: attributes({ k: '1' }) });
    await run(provider, 'a', { starts: [{ ...child, conflictPayload: null }] });
    assert.deepEqual(await found(provider, { attributes: attributes({ k: '1' }).list }), ['child']);
  },
  'keys and values of any text are found': async ({ provider }) => {
    const odd = ["it's", '%_', 'ä€😀', ' ', 'a:b', 'x'.repeat(256), '\u{10ffff}0', '\\n'];
    await provider.startInstances(
      odd.map((text, index) => newInstance(`i${index}`, { attributes: { text: `["${index}"]`, list: [{ key: text, value: text }] } })),
    );
    for (const [index, text] of odd.entries()) {
      assert.deepEqual(await found(provider, { attributes: [{ key: text, value: text }] }), [`i${index}`], text);
    }
  },
});

const ends = cases('listing', {
  'an instance has the time of its end, from its own turn or from outside': async ({ provider, clock }) => {
    await start(provider, 'a', 'b', 'c');
    await startOne(provider, 'child', { parent: link('c'), onParentClose: 'terminate' });
    assert.equal((await read(provider, 'a')).endedAtMs, null);
    const items = await fetchItems(provider);
    await clock.advance(100);
    const endMs = clock.nowMs();
    for (const item of items.slice(0, 2)) await commit(provider, item, { status: item.instanceId === 'a' ? 'Completed' : 'Failed' });
    await provider.controlInstances([{ kind: 'terminate', instanceId: 'c', output: '"t"', parentMessage: null, closeChildren: closing }]);
    await clock.advance(100);
    for (const id of ['a', 'b', 'c', 'child']) assert.equal((await read(provider, id)).endedAtMs, endMs, id);
  },
  'who lives has no time of an end': async ({ provider }) => {
    await run(provider, 'quarantined', { status: 'Quarantined', output: '"q"' });
    await run(provider, 'again', { next: nextExecution });
    await start(provider, 'suspended');
    await provider.controlInstances([{ kind: 'suspend', instanceId: 'suspended' }]);
    await start(provider, 'pending');
    for (const record of await listAll(provider)) assert.equal(record.endedAtMs, null, record.status);
    assert.deepEqual(await ids(provider, { orderBy: 'endedAt' }), []);
  },
  'who was replaced after the end lives, without one': async ({ provider }) => {
    await run(provider, 'a', { status: 'Completed' });
    assert.notEqual((await read(provider, 'a')).endedAtMs, null);
    assert.equal(await startOne(provider, 'a', { policy: 'replaceTerminal' }), 'replaced');
    assert.equal((await read(provider, 'a')).endedAtMs, null);
    assert.deepEqual(await ids(provider, { orderBy: 'endedAt' }), []);
  },
});

/** See the head of this file. */
export const listingCases: readonly ConformanceCase[] = [...orders, ...pages, ...filters, ...ends, ...searching];
