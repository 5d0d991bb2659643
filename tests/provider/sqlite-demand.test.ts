// Activities that go straight to a fetch that waits for them, in the transaction that schedules them: it gets what is still wanted at the end of
// that transaction, and nothing else.
import type { Provider } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  activity,
  ackFor,
  closing,
  eventIds,
  fetchItems,
  fetchOne,
  fetchWork,
  newInstance,
  routing,
  start,
} from '../../src/conformance/case-kit.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';

/** A store with instances whose first turns are locked, and a fetch of activities that waits. */
async function setUp(...instanceIds: readonly string[]) {
  const clock = new SimulatedClock(1_000);
  const provider: Provider = await SqliteProvider.open(':memory:', { clock });
  onTestFinished(() => provider.close());
  await start(provider, ...instanceIds);
  const items = await fetchItems(provider);
  const taken = provider.fetchWorkItems({ maxItems: 100, lockMs: 1_000, waitMs: 1_000 });
  await clock.advance(0);
  return { clock, provider, items, taken };
}

const item = (items: Awaited<ReturnType<typeof fetchItems>>, instanceId: string) =>
  items.find((candidate) => candidate.instanceId === instanceId) ?? expect.fail(`no turn of ${instanceId}`);

describe('a fetch that waits', () => {
  test('gets what a turn schedules, but not what the same turn cancels', async () => {
    const { provider, items, taken } = await setUp('a');
    const workItems = [activity(2), activity(3), activity(4)];
    await provider.ackOrchestrationItems([ackFor(item(items, 'a'), { workItems, cancelledActivities: [3] })]);
    expect(eventIds((await taken).items)).toEqual([2, 4]);
    expect(await provider.readWorkItems('a')).toMatchObject([{ eventId: 2 }, { eventId: 4 }]);
  });

  test('gets nothing of an instance that is terminated in the same transaction', async () => {
    const { provider, items, taken } = await setUp('a', 'b');
    const acks = ['a', 'b'].map((instanceId) => ackFor(item(items, instanceId), { workItems: [activity(2)] }));
    const [, outcomes] = await Promise.all([
      provider.ackOrchestrationItems(acks),
      provider.controlInstances([{ kind: 'terminate', instanceId: 'a', output: '"over"', parentMessage: null, closeChildren: closing }]),
    ]);
    expect(outcomes).toEqual(['done']);
    expect((await taken).items.map(({ instanceId }) => instanceId)).toEqual(['b']);
  });

  test('gets what is older first, and what has priority before what has not', async () => {
    const { clock, provider, items, taken } = await setUp('a', 'b');
    const urgent = activity(3, { routing: routing({ priority: 5 }) });
    await provider.ackOrchestrationItems([ackFor(item(items, 'a'), { workItems: [activity(2), urgent] })]);
    expect(eventIds((await taken).items)).toEqual([3, 2]);
    await clock.advance(1);
    await provider.ackOrchestrationItems([ackFor(item(items, 'b'), { workItems: [activity(2)] })]);
    expect((await fetchWork(provider)).map(({ instanceId }) => instanceId)).toEqual(['b']);
  });

  test('gets no more than it has room for; the rest waits, uncharged', async () => {
    const clock = new SimulatedClock(1_000);
    const provider = await SqliteProvider.open(':memory:', { clock });
    onTestFinished(() => provider.close());
    await provider.startInstances([newInstance('a')]);
    const turn = await fetchOne(provider);
    const waiting = provider.fetchWorkItems({ maxItems: 2, lockMs: 1_000, waitMs: 1_000 });
    await provider.ackOrchestrationItems([ackFor(turn, { workItems: [activity(2), activity(3), activity(4)] })]);
    expect(eventIds((await waiting).items)).toEqual([2, 3]);
    expect(await fetchWork(provider)).toMatchObject([{ eventId: 4, attempt: 1 }]);
  });
});
