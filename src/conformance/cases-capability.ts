// Contract cases: fetches that take instances of some code only. Neighbours: conformance-cases.ts lists them, case-kit.ts.
import assert from 'node:assert/strict';
import type { InstanceCode, OrchestrationFetchParams, Provider } from '../provider/provider.ts';
import { ENGINE_BEHAVIOUR } from '../types/history-event.ts';
import {
  abandon,
  ack,
  attempts,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchParams,
  history,
  instanceIds,
  link,
  newInstance,
  nextExecution,
  page,
  payloads,
  poll,
  run,
  start,
  startOne,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

type Accepts = NonNullable<OrchestrationFetchParams['accepts']>;

const byName =
  (...names: readonly string[]): Accepts =>
  ({ name }) =>
    names.includes(name);
const byVersion =
  (...versions: readonly (string | null)[]): Accepts =>
  ({ version }) =>
    versions.includes(version);

/** The code of everything that is ready. A provider may ask about other code, too: what counts is which answer brings something. */
async function codesOf(provider: Provider): Promise<readonly InstanceCode[]> {
  const asked: InstanceCode[] = [];
  await fetchItems(provider, { accepts: (code) => asked.push(code) === 0 });
  const found: InstanceCode[] = [];
  for (const [index, { name, version, engine }] of asked.entries()) {
    const isCode: Accepts = (code) => code.name === name && code.version === version && code.engine === engine;
    if (asked.findIndex(isCode) < index) continue;
    const items = await fetchItems(provider, { accepts: isCode });
    for (const item of items) await abandon(provider, item, { countAttempt: false });
    if (items.length > 0) found.push({ name, version, engine });
  }
  return found;
}

export const capabilityCases: readonly ConformanceCase[] = cases('capability filter', {
  'a fetch without filter takes instances of any code': async ({ provider }) => {
    await startOne(provider, 'a', { name: 'x', version: null });
    await startOne(provider, 'b', { name: 'y', version: '2.0.0' });
    assert.deepEqual(instanceIds(await fetchItems(provider)), ['a', 'b']);
  },
  'a fetch takes an instance whose code it accepts': async ({ provider }) => {
    await start(provider, 'a');
    assert.equal((await fetchOne(provider, { accepts: byName('order') })).instanceId, 'a');
  },
  'a fetch skips an instance whose code it does not accept': async ({ provider }) => {
    await start(provider, 'a');
    assert.deepEqual(await fetchItems(provider, { accepts: byName('other') }), []);
  },
  'a fetch finds what it accepts behind what it skips': async ({ provider, clock }) => {
    for (let index = 0; index < 20; index += 1) await startOne(provider, `old ${index}`, { name: 'old' });
    await clock.advance(1);
    await startOne(provider, 'new', { name: 'new' });
    assert.deepEqual(instanceIds(await fetchItems(provider, { maxItems: 1, accepts: byName('new') })), ['new']);
  },
  'skipped instances do not count against maxItems and keep the order of the others': async ({ provider, clock }) => {
    for (const instanceId of ['x1', 'y1', 'x2', 'y2', 'x3']) {
      await startOne(provider, instanceId, { name: instanceId.slice(0, 1), version: instanceId });
      await clock.advance(1);
    }
    assert.deepEqual(instanceIds(await fetchItems(provider, { maxItems: 2, accepts: byName('x') })), ['x1', 'x2']);
    assert.deepEqual(instanceIds(await fetchItems(provider, { maxItems: 9 })), ['y1', 'y2', 'x3']);
  },
  'a skipped instance is neither locked nor charged an attempt': async ({ provider }) => {
    await start(provider, 'a');
    for (let round = 0; round < 3; round += 1) await fetchItems(provider, { accepts: () => false });
    assert.deepEqual(attempts(await fetchOne(provider)), [1]);
  },
  'a filter that accepts nothing gets nothing': async ({ provider }) => {
    await start(provider, 'a', 'b');
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(await fetchItems(provider, { accepts: () => false }), []);
  },
  'the code of a new instance has no version and no engine yet': async ({ provider }) => {
    await startOne(provider, 'a', { version: null });
    assert.deepEqual(await codesOf(provider), [{ name: 'order', version: null, engine: 0 }]);
  },
  'the code of a new instance has the version that its start named': async ({ provider }) => {
    await startOne(provider, 'a', { version: '2.1.0' });
    assert.deepEqual(await codesOf(provider), [{ name: 'order', version: '2.1.0', engine: 0 }]);
  },
  'a committed turn pins version and engine': async ({ provider }) => {
    await startOne(provider, 'a', { version: null });
    await commit(provider, await fetchOne(provider), { version: '3.0.0', page: page(2) });
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(await codesOf(provider), [{ name: 'order', version: '3.0.0', engine: ENGINE_BEHAVIOUR }]);
    assert.deepEqual(await fetchItems(provider, { accepts: byVersion('2.0.0', null) }), []);
    assert.equal((await fetchOne(provider, { accepts: byVersion('3.0.0') })).version, '3.0.0');
  },
  'later turns leave the code as it is': async ({ provider }) => {
    await run(provider, 'a', { version: '3.0.0' });
    for (let turn = 3; turn < 6; turn += 1) {
      await enqueue(provider, 'a', 'm');
      await commit(provider, await fetchOne(provider), { page: turn === 4 ? null : page(turn) });
    }
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(await codesOf(provider), [{ name: 'order', version: '3.0.0', engine: ENGINE_BEHAVIOUR }]);
  },
  'the store does not hold a turn to the version before': async ({ provider }) => {
    await run(provider, 'a', { version: '1.0.0' });
    await enqueue(provider, 'a', 'm');
    await commit(provider, await fetchOne(provider), { version: '1.0.1', messages: [{ instanceId: 'a', payload: 'again' }] });
    assert.deepEqual(await fetchItems(provider, { accepts: byVersion('1.0.0') }), []);
    await fetchOne(provider, { accepts: byVersion('1.0.1') });
  },
  'a turn that was abandoned or refused pins nothing': async ({ provider }) => {
    await startOne(provider, 'a', { version: null });
    await abandon(provider, await fetchOne(provider));
    const item = await fetchOne(provider);
    assert.equal(await ack(provider, item, { baseEventId: 7, version: '9.0.0', page: page(9) }), 'conflict');
    await abandon(provider, item);
    assert.deepEqual(await codesOf(provider), [{ name: 'order', version: null, engine: 0 }]);
  },
  'the next execution has code of its own': async ({ provider }) => {
    await run(provider, 'a', { version: '1.0.0', next: { name: 'order 2', version: '2.0.0', payload: 'again' } });
    assert.deepEqual(await codesOf(provider), [{ name: 'order 2', version: '2.0.0', engine: 0 }]);
    await commit(provider, await fetchOne(provider, { accepts: byName('order 2') }), {
      page: page(1),
      next: { name: 'order 3', version: null, payload: 'again' },
    });
    assert.deepEqual(await codesOf(provider), [{ name: 'order 3', version: null, engine: 0 }]);
  },
  'a child has code of its own': async ({ provider }) => {
    const child = newInstance('child', { name: 'child', version: null, parent: link('a') });
    await run(provider, 'a', { starts: [{ ...child, conflictPayload: null }] });
    assert.deepEqual(await fetchItems(provider, { accepts: byName('order') }), []);
    await fetchOne(provider, { accepts: byName('child') });
  },
  'an instance that replaces another has code of its own': async ({ provider }) => {
    await run(provider, 'a', { version: '1.0.0', status: 'Completed' });
    await startOne(provider, 'a', { policy: 'replaceTerminal', name: 'new', version: null });
    assert.deepEqual(await codesOf(provider), [{ name: 'new', version: null, engine: 0 }]);
  },
  'code that looks alike is told apart': async ({ provider }) => {
    const codes: readonly (readonly [string, string | null])[] = [
      ['a', null],
      ['a', ''],
      ['a', 'null'],
      ['a,b', 'c'],
      ['a', 'b,c'],
      ['a"', 'b'],
    ];
    for (const [index, [name, version]] of codes.entries()) await startOne(provider, `i${index}`, { name, version });
    for (const [index, [name, version]] of codes.entries()) {
      const accepts: Accepts = (code) => code.name === name && code.version === version;
      assert.equal((await fetchOne(provider, { accepts })).instanceId, `i${index}`);
    }
  },
  'fetches with the same filter at the same time hand out different instances': async ({ provider }) => {
    const all = Array.from({ length: 20 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await start(provider, ...all);
    const accepts = byName('order');
    const batches = await Promise.all(Array.from({ length: 10 }, () => fetchItems(provider, { maxItems: 3, accepts })));
    assert.deepEqual(batches.flatMap(instanceIds).toSorted(), all);
  },
  'fetches with different filters at the same time share the instances': async ({ provider }) => {
    await startOne(provider, 'a', { name: 'x' });
    await startOne(provider, 'b', { name: 'y' });
    const [xs, ys] = await Promise.all([fetchItems(provider, { accepts: byName('x') }), fetchItems(provider, { accepts: byName('y') })]);
    assert.deepEqual([instanceIds(xs), instanceIds(ys)], [['a'], ['b']]);
  },
  'an expired lock is handed only to who accepts the code': async ({ provider, clock }) => {
    await start(provider, 'a');
    await fetchOne(provider, { lockMs: 1_000 });
    await clock.advance(1_000);
    assert.deepEqual(await fetchItems(provider, { accepts: byName('other') }), []);
    assert.deepEqual(attempts(await fetchOne(provider, { accepts: byName('order') })), [2]);
  },
  'a history that nobody can read is neither read nor in the way of the filter': async ({ provider }) => {
    await run(provider, 'a', { page: { lastEventId: 2, events: 'broken [' } });
    await enqueue(provider, 'a', 'm');
    assert.deepEqual(await fetchItems(provider, { accepts: byVersion('9.9.9') }), []);
    const item = await fetchOne(provider, { accepts: byVersion('1.0.0') });
    await commit(provider, item, { page: { lastEventId: 3, events: '[failed]' }, status: 'Failed' });
    assert.deepEqual(
      (await history(provider, 'a')).map(({ events }) => events),
      ['broken [', '[failed]'],
    );
  },
  'a waiting fetch is woken by what it accepts only': async (ctx) => {
    const { provider, clock } = ctx;
    const wait = await poll(ctx, { accepts: byName('x') });
    await startOne(provider, 'b', { name: 'y' });
    await clock.advance(10);
    assert.equal(wait.isOver(), false);
    await startOne(provider, 'a', { name: 'x' });
    assert.deepEqual(instanceIds((await wait.result).items), ['a']);
  },
  'a waiting fetch does not keep one back that accepts more': async (ctx) => {
    const { provider } = ctx;
    const [first, second] = [await poll(ctx, { accepts: byName('x') }), await poll(ctx)];
    await startOne(provider, 'b', { name: 'y' });
    assert.deepEqual(instanceIds((await second.result).items), ['b']);
    assert.equal(first.isOver(), false);
    await startOne(provider, 'a', { name: 'x' });
    assert.deepEqual(instanceIds((await first.result).items), ['a']);
  },
  'what a waiting fetch skips does not hide the time of what it accepts': async (ctx) => {
    const { provider, clock } = ctx;
    await startOne(provider, 'skipped', { name: 'y' });
    await startOne(provider, 'a', { name: 'x', delayMs: 1_000 });
    const wait = await poll(ctx, { accepts: byName('x') });
    await clock.advance(999);
    assert.equal(wait.isOver(), false);
    await clock.advance(1);
    assert.deepEqual(instanceIds((await wait.result).items), ['a']);
  },
  'a skipped instance does not make a waiting fetch spin': async (ctx) => {
    const { provider, clock } = ctx;
    await start(provider, 'a');
    let asked = 0;
    const wait = await poll(ctx, {
      accepts: () => {
        asked += 1;
        return false;
      },
    });
    const before = asked;
    await clock.advance(5_000);
    assert.ok(asked - before < 10, `asked ${asked - before} times without a change`);
    await clock.advance(5_000);
    assert.deepEqual((await wait.result).items, []);
  },
  'a waiting fetch gets the next execution when that is what it accepts': async (ctx) => {
    const { provider } = ctx;
    await start(provider, 'a');
    const item = await fetchOne(provider);
    const wait = await poll(ctx, { accepts: byVersion('2.0.0') });
    await commit(provider, item, { next: { name: 'order', version: '2.0.0', payload: 'again' } });
    assert.deepEqual((await wait.result).items.map(payloads), [['again']]);
  },
  'a filter may be a new function each time': async ({ provider }) => {
    await run(provider, 'a', { next: nextExecution });
    for (let round = 0; round < 3; round += 1) {
      const item = await fetchOne(provider, fetchParams({ accepts: ({ name, engine }) => name === 'order' && engine === 0 }));
      await abandon(provider, item, { countAttempt: false });
    }
    await fetchOne(provider);
    await fetchNone(provider);
  },
});
