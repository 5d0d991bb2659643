// Turns that go straight to a fetch that waits for them, in the transaction that makes them ready: what it gets is what it would have got from a
// look at the table after that transaction. Neighbour: sqlite-demand.test.ts has the same for activities.
import type { NewInstance, OrchestrationFetchParams, OrchestrationItem, Provider } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  abandon,
  ackFor,
  activity,
  attempts,
  closing,
  commit,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  instanceIds,
  newInstance,
  page,
  payloads,
  queued,
  run,
  start,
  timer,
  workAckFor,
} from '../../src/conformance/case-kit.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import { MAX_MESSAGES_PER_TURN } from '../../src/types/limits.ts';

const START_MS = 1_700_000_000_000;

async function open(): Promise<{ readonly clock: SimulatedClock; readonly provider: Provider }> {
  const clock = new SimulatedClock(START_MS);
  const provider: Provider = await SqliteProvider.open(':memory:', { clock });
  onTestFinished(() => provider.close());
  return { clock, provider };
}

type Waiting = { readonly items: Promise<readonly OrchestrationItem[]>; readonly abort: () => void };

/** A fetch that waits. What it gets is awaited after everything that may still be handed out was. */
async function park(
  { clock, provider }: { readonly clock: SimulatedClock; readonly provider: Provider },
  changes: Partial<OrchestrationFetchParams> = {},
): Promise<Waiting> {
  const controller = new AbortController();
  const params = { maxItems: 100, lockMs: 1_000, waitMs: 60_000, signal: controller.signal, ...changes };
  const items = provider.fetchOrchestrationItems(params).then((fetched) => fetched.items);
  await clock.advance(0);
  return { items, abort: () => controller.abort() };
}

const control = (provider: Provider, kind: 'suspend' | 'resume', instanceId: string) => provider.controlInstances([{ kind, instanceId }]);
const terminate = (provider: Provider, instanceId: string) =>
  provider.controlInstances([{ kind: 'terminate', instanceId, output: '"over"', parentMessage: null, closeChildren: closing }]);
const starts = (...those: readonly (readonly [string, Partial<NewInstance>])[]): readonly NewInstance[] =>
  those.map(([instanceId, changes]) => newInstance(instanceId, changes));

describe('a fetch that waits for turns gets', () => {
  test('an instance that starts, locked for as long as it asked for', async () => {
    const stage = await open();
    const { clock, provider } = stage;
    const { items } = await park(stage);
    await start(provider, 'a');
    const [item] = await items;
    expect(item).toMatchObject({ instanceId: 'a', status: 'Pending', lastEventId: 0, messages: [{ payload: 'start a', attempt: 1 }] });
    await clock.advance(999);
    await fetchNone(provider);
    await clock.advance(1);
    expect(await fetchOne(provider)).toMatchObject({ instanceId: 'a', messages: [{ attempt: 2 }] });
  });

  test('all messages that one transaction sends to one instance, in their order', async () => {
    const stage = await open();
    const { provider } = stage;
    await run(provider, 'a', { page: page(9), workItems: [activity(2), activity(3)] });
    const work = (await provider.fetchWorkItems({ maxItems: 9, lockMs: 1_000, waitMs: 0 })).items;
    const { items } = await park(stage);
    await Promise.all([
      enqueue(provider, 'a', 'm1', 'm2'),
      provider.ackWorkItems(work.map((one) => workAckFor(one))),
      provider.enqueueMessages([{ instanceId: 'a', payload: 'keyed', key: 'k' }]),
      enqueue(provider, 'a', 'm3'),
    ]);
    const [item] = await items;
    expect(item === undefined ? [] : payloads(item)).toEqual(['m1', 'm2', 'done 2', 'done 3', 'keyed', 'm3']);
    expect(item?.lastEventId).toBe(9);
    await abandon(provider, item ?? expect.fail());
    const again = await fetchOne(provider);
    expect([payloads(again).length, ...new Set(attempts(again))]).toEqual([6, 2]);
    await commit(provider, again);
    expect(await queued(provider)).toEqual([0, 0]);
  });

  test('what starts, and what is sent to it meanwhile', async () => {
    const stage = await open();
    const { provider } = stage;
    const { items } = await park(stage);
    await Promise.all([start(provider, 'a'), enqueue(provider, 'a', 'm1'), start(provider, 'b'), enqueue(provider, 'a', 'm2')]);
    expect((await items).map((item) => payloads(item))).toEqual([['start a', 'm1', 'm2'], ['start b']]);
  });

  test('no more messages than a turn takes; the others come with the next turn, all in their order', async () => {
    const stage = await open();
    const { provider } = stage;
    await run(provider, 'a');
    const all = Array.from({ length: MAX_MESSAGES_PER_TURN + 8 }, (_, index) => `m${index}`);
    const send = (from: number, to: number): Promise<unknown> => {
      const messages = all.slice(from, to).map((payload) => ({ instanceId: 'a', payload }));
      return provider.enqueueMessages(messages);
    };
    const { items } = await park(stage);
    await Promise.all([send(0, all.length - 3), send(all.length - 3, all.length)]);
    const [item = expect.fail()] = await items;
    expect(payloads(item)).toEqual(all.slice(0, MAX_MESSAGES_PER_TURN));
    await commit(provider, item);
    const rest = await fetchOne(provider);
    expect([payloads(rest), new Set(attempts(rest))]).toEqual([all.slice(MAX_MESSAGES_PER_TURN), new Set([1])]);
  });

  test('a group of completions whole or not at all, and nothing that comes behind a group that it did not get', async () => {
    const stage = await open();
    const { provider } = stage;
    const events = Array.from({ length: 20 }, (_, index) => 2 + index);
    await run(provider, 'a', { page: page(40), workItems: events.map((eventId) => activity(eventId)) });
    const work = (await provider.fetchWorkItems({ maxItems: 20, lockMs: 1_000, waitMs: 0 })).items;
    const many = Array.from({ length: MAX_MESSAGES_PER_TURN - 10 }, (_, index) => `m${index}`);
    const { items } = await park(stage);
    await Promise.all([
      provider.enqueueMessages(many.map((payload) => ({ instanceId: 'a', payload }))),
      provider.ackWorkItems(work.map((one) => workAckFor(one))),
      enqueue(provider, 'a', 'last'),
    ]);
    const [item = expect.fail()] = await items;
    const seen = [...payloads(item)];
    await commit(provider, item);
    for (const next of await fetchItems(provider)) seen.push(...payloads(next));
    expect(seen).toEqual([...many, ...events.map((eventId) => `done ${eventId}`), 'last']);
  });

  test('instances in the ready order: priority first, running ones before new ones, then by their ids', async () => {
    const stage = await open();
    const { clock, provider } = stage;
    await run(provider, 'running');
    await clock.advance(1);
    const { items } = await park(stage);
    await Promise.all([provider.startInstances(starts(['b', {}], ['a', {}], ['c', { priority: 3 }])), enqueue(provider, 'running', 'm')]);
    expect(instanceIds(await items)).toEqual(['c', 'running', 'a', 'b']);
  });

  test('who comes first when there is no room for all, also when that one is ready last', async () => {
    const stage = await open();
    const { clock, provider } = stage;
    await run(provider, 'running');
    await clock.advance(1);
    const { items } = await park(stage, { maxItems: 2 });
    await Promise.all([provider.startInstances(starts(['b', {}], ['a', {}], ['c', { priority: 3 }])), enqueue(provider, 'running', 'm')]);
    expect(instanceIds(await items)).toEqual(['c', 'running']);
    const rest = await fetchItems(provider);
    expect([instanceIds(rest), rest.map(attempts)]).toEqual([
      ['a', 'b'],
      [[1], [1]],
    ]);
  });

  test('what is given back in the same transaction, when that comes first', async () => {
    const stage = await open();
    const { provider } = stage;
    await provider.startInstances(starts(['urgent', { priority: 9 }]));
    const urgent = await fetchOne(provider);
    const { items } = await park(stage, { maxItems: 1 });
    await Promise.all([start(provider, 'a'), abandon(provider, urgent, { countAttempt: false })]);
    expect(instanceIds(await items)).toEqual(['urgent']);
    expect(await fetchOne(provider)).toMatchObject({ instanceId: 'a', messages: [{ attempt: 1 }] });
  });

  test('what waits already before what starts in the same millisecond, as far as ids say so', async () => {
    const stage = await open();
    const { provider } = stage;
    await start(provider, 'b');
    const fetched = provider.fetchOrchestrationItems({ maxItems: 1, lockMs: 1_000, waitMs: 60_000 });
    await start(provider, 'c');
    expect(instanceIds((await fetched).items)).toEqual(['b']);
    expect(await fetchOne(provider)).toMatchObject({ instanceId: 'c', messages: [{ attempt: 1 }] });
  });

  test('only what it accepts; the others go to the next fetch', async () => {
    const stage = await open();
    const { provider } = stage;
    const first = await park(stage, { accepts: ({ name }) => name === 'x' });
    const second = await park(stage, { accepts: ({ name }) => name === 'y' });
    await provider.startInstances(starts(['a', { name: 'y' }], ['b', { name: 'x' }], ['c', { name: 'z' }]));
    expect(instanceIds(await first.items)).toEqual(['b']);
    expect(instanceIds(await second.items)).toEqual(['a']);
    expect(await fetchOne(provider)).toMatchObject({ instanceId: 'c', messages: [{ attempt: 1 }] });
  });

  test('no delayed instance, none that is held, and none with a timer before it is due', async () => {
    const stage = await open();
    const { clock, provider } = stage;
    await run(provider, 'held');
    await enqueue(provider, 'held', 'm1');
    await abandon(provider, await fetchOne(provider), { delayMs: 500 });
    await run(provider, 'timed', { timers: [timer(3, START_MS + 700)] });
    const { items } = await park(stage);
    await Promise.all([provider.startInstances(starts(['late', { delayMs: 600 }])), enqueue(provider, 'held', 'm2')]);
    await clock.advance(499);
    await enqueue(provider, 'held', 'm3');
    await clock.advance(1);
    expect((await items).map((item) => payloads(item))).toEqual([['m1', 'm2', 'm3']]);
    const next = await park(stage);
    await enqueue(provider, 'timed', 'early');
    expect((await next.items).map((item) => payloads(item))).toEqual([['early']]);
  });
});

describe('what a transaction has given away and takes back', () => {
  test.each([
    { how: 'terminated', takeBack: (provider: Provider) => terminate(provider, 'a') },
    { how: 'suspended', takeBack: (provider: Provider) => control(provider, 'suspend', 'a') },
  ])('is not handed out: $how', async ({ takeBack }) => {
    const stage = await open();
    const { clock, provider } = stage;
    const { items } = await park(stage);
    await Promise.all([start(provider, 'a'), start(provider, 'b'), takeBack(provider)]);
    expect(instanceIds(await items)).toEqual(['b']);
    await clock.advance(1_000);
    expect(instanceIds(await fetchItems(provider))).toEqual(['b']);
  });

  test('is handed out by its second start when it is replaced', async () => {
    const stage = await open();
    const { provider } = stage;
    const { items } = await park(stage);
    const again = newInstance('a', { payload: 'again', policy: 'terminateExisting' });
    await Promise.all([start(provider, 'a'), enqueue(provider, 'a', 'm'), provider.startInstances([again])]);
    const [item = expect.fail()] = await items;
    expect([payloads(item), item.executionId]).toEqual([['again'], 2]);
    await commit(provider, item, { page: page(2) });
    expect(await queued(provider)).toEqual([0, 0]);
  });

  test('can be resumed in that transaction, and is handed out once', async () => {
    const stage = await open();
    const { provider } = stage;
    const { items } = await park(stage);
    await Promise.all([start(provider, 'a'), control(provider, 'suspend', 'a'), control(provider, 'resume', 'a')]);
    const [item = expect.fail(), ...others] = await items;
    expect([payloads(item), attempts(item), others]).toEqual([['start a'], [1], []]);
    await commit(provider, item);
  });

  test('waits, uncharged and in its place, when the fetch was aborted meanwhile', async () => {
    const stage = await open();
    const { clock, provider } = stage;
    await run(provider, 'old');
    const { items, abort } = await park(stage);
    const sent = Promise.all([start(provider, 'new'), enqueue(provider, 'old', 'm')]);
    abort();
    await sent;
    expect(await items).toEqual([]);
    await clock.advance(0);
    const got = await fetchItems(provider, { maxItems: 1 });
    expect([instanceIds(got), got.map(attempts)]).toEqual([['old'], [[1]]]);
    expect(await fetchOne(provider)).toMatchObject({ instanceId: 'new', messages: [{ attempt: 1 }] });
  });

  test('goes to the next fetch that waits when the first was aborted meanwhile', async () => {
    const stage = await open();
    const { clock, provider } = stage;
    const first = await park(stage);
    const second = await park(stage);
    const sent = start(provider, 'a');
    first.abort();
    await sent;
    await clock.advance(0);
    expect([await first.items, instanceIds(await second.items)]).toEqual([[], ['a']]);
  });

  test('is handed out after the transaction failed for one of its items and was repeated', async () => {
    const stage = await open();
    const { provider } = stage;
    const { items } = await park(stage);
    const broken = { ...newInstance('broken'), name: Symbol('no text') as unknown as string };
    const [, refusal] = await Promise.allSettled([start(provider, 'a'), provider.startInstances([broken]), enqueue(provider, 'a', 'm')]);
    expect(refusal.status).toBe('rejected');
    const [item = expect.fail(), ...others] = await items;
    expect([payloads(item), attempts(item), others]).toEqual([['start a', 'm'], [1, 1], []]);
    await commit(provider, item);
    await fetchNone(provider);
  });
});

describe('a turn that was given away', () => {
  test('can be committed, given back and renewed like any other', async () => {
    const stage = await open();
    const { clock, provider } = stage;
    const { items } = await park(stage);
    await start(provider, 'a', 'b', 'c');
    const [a = expect.fail(), b = expect.fail(), c = expect.fail()] = await items;
    await clock.advance(600);
    expect(await provider.renewOrchestrationLocks([c], 1_000)).toEqual(['done']);
    await commit(provider, a, { page: page(2), workItems: [activity(2)] });
    await abandon(provider, b);
    expect((await fetchOneWork(provider)).instanceId).toBe('a');
    expect(instanceIds(await fetchItems(provider))).toEqual(['b']);
    await clock.advance(999);
    expect(await provider.ackOrchestrationItems([ackFor(c)])).toEqual(['committed']);
  });
});
