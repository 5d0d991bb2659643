// The group commit of the SQLite provider where the conformance cases cannot see it: their clock stands still, so no transaction takes too long.
import { expect, onTestFinished, test } from 'vitest';
import { ackFor, fetchItems, newInstance } from '../../src/conformance/case-kit.ts';
import type { Provider } from '../../src/provider/provider.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';

/** Each look at it takes a millisecond: so does each item of a batch. */
class SlowClock extends SimulatedClock {
  #extraMs = 0;

  override monotonicMs(): number {
    this.#extraMs += 1;
    return super.monotonicMs() + this.#extraMs;
  }
}

async function openSlow(maxCommitMs: number): Promise<SqliteProvider> {
  const provider = await SqliteProvider.open(':memory:', { clock: new SlowClock(Date.UTC(2030, 0, 1)), maxCommitMs });
  onTestFinished(() => provider.close());
  return provider;
}

const ids = Array.from({ length: 100 }, (_, index) => `i${String(index).padStart(2, '0')}`);

async function start(provider: Provider): Promise<void> {
  expect(await provider.startInstances(ids.map((id) => newInstance(id)))).toEqual(ids.map(() => 'started'));
}

test('a batch that takes longer than a transaction may is stored in several, and answered once, as a whole', async () => {
  const provider = await openSlow(10);
  await start(provider);
  expect(provider.commitStats.commits).toBeGreaterThan(5);
  expect((await fetchItems(provider)).map(({ instanceId }) => instanceId)).toEqual(ids);
});

test('batches that share transactions are each answered when their last item is stored', async () => {
  const provider = await openSlow(10);
  const answers = await Promise.all([
    provider.startInstances(ids.slice(0, 7).map((id) => newInstance(id))),
    provider.enqueueMessages(ids.slice(0, 30).map((instanceId) => ({ instanceId, payload: 'm' }))),
    provider.startInstances(ids.slice(7).map((id) => newInstance(id))),
  ]);
  expect(answers[0]).toEqual(ids.slice(0, 7).map(() => 'started'));
  expect(answers[1]).toEqual([...ids.slice(0, 7).map(() => 'enqueued'), ...ids.slice(7, 30).map(() => 'notFound')]);
  expect(answers[2]).toEqual(ids.slice(7).map(() => 'started'));
  expect(provider.commitStats.commits).toBeGreaterThan(5);
});

test('a batch that fits into a transaction takes one', async () => {
  const provider = await openSlow(1_000);
  await start(provider);
  expect(provider.commitStats.commits).toBe(1);
});

test('a turn that follows one of a batch is handed out after that batch is answered, however many transactions it takes', async () => {
  const provider = await openSlow(10);
  await start(provider);
  const turns = await fetchItems(provider);
  const messages = turns.slice(0, 5).map(({ instanceId }) => ({ instanceId, payload: 'm' }));
  await provider.enqueueMessages(messages);
  const order: string[] = [];
  const fetched = provider
    .fetchOrchestrationItems({ maxItems: 5, lockMs: 1_000, waitMs: 60_000 })
    .then(({ items }) => order.push(`fetched ${items.length}`));
  const before = provider.commitStats.commits;
  await provider.ackOrchestrationItems(turns.map((turn) => ackFor(turn))).then(() => order.push('answered'));
  await fetched;
  expect(provider.commitStats.commits - before).toBeGreaterThan(5);
  expect(order).toEqual(['answered', expect.stringMatching(/^fetched \d$/)]);
});
