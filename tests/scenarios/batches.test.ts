// Aggregator, sliding window.
import { expect, test } from 'vitest';
import { aggregate, sensor, slideOver } from './fixtures/batches.ts';
import { inEveryMode } from './world.ts';

/** Most records that were at work at once. */
function highestOverlap(lines: readonly string[]): number {
  let [now, highest] = [0, 0];
  for (const line of lines) {
    now += line.startsWith('begin') ? 1 : -1;
    highest = Math.max(highest, now);
  }
  return highest;
}

inEveryMode({ module: 'batches.ts' }, (world) => {
  test('aggregator: adds up what clients and orchestrations publish, each message once, over executions and restarts', async () => {
    await world.client.startOrchestration('aggregator', aggregate, { house: 'home' });
    await world.reach('aggregator', 'listening');
    await world.client.startOrchestration('sensor', sensor, { room: 'kitchen', celsius: [20, 21, 22] });
    for (let celsius = 1; celsius <= 20; celsius += 1) {
      if (celsius === 10) await world.interrupt();
      const publish = (): Promise<number> => world.client.publish('home/hall/temperature', { celsius }, { key: `hall ${celsius}` });
      const [subscribers] = await Promise.all([publish(), publish()]);
      expect(subscribers).toBe(1);
    }
    expect(await world.client.publish('home/hall/humidity', { percent: 60 })).toBe(0);
    await world.result('sensor');
    await world.client.raiseEvent('aggregator', 'flush');
    const totals = { count: 23, sum: 273, byRoom: { hall: 210, kitchen: 63 } };
    expect(await world.result('aggregator')).toEqual(totals);
    expect(await world.client.getValue('aggregator', 'totals')).toEqual(totals);
    expect(await world.client.getState('aggregator')).toMatchObject({ executionId: 3 });
    expect(await world.client.publish('home/hall/temperature', { celsius: 99 })).toBe(0);
  });

  test('aggregator: readings that came before the order to flush count, however late they are taken', async () => {
    await world.client.startOrchestration('late', aggregate, { house: 'office' });
    await world.reach('late', 'listening');
    await world.client.suspend('late');
    for (let celsius = 1; celsius <= 30; celsius += 1) await world.client.publish('office/attic/temperature', { celsius });
    await world.client.raiseEvent('late', 'flush');
    await world.interrupt();
    await world.client.resume('late');
    expect(await world.result('late')).toEqual({ count: 30, sum: 465, byRoom: { attic: 465 } });
  });

  test('sliding window: all records are processed once, never more than the window at once', async () => {
    const records = 25;
    await world.client.startOrchestration('batch', slideOver, { records, size: 4, next: 0, atWork: [] });
    await world.reach('batch', (status: unknown) => Number((status as { readonly started: number } | undefined)?.started) >= 8);
    await world.interrupt();
    expect(await world.result('batch')).toEqual({ executions: 5 });
    const notes = world.notes('batch');
    const all = Array.from({ length: records }, (_, record) => record);
    expect(notes.toSorted()).toEqual(all.flatMap((record) => [`begin ${record}`, `end ${record}`]).toSorted());
    expect(highestOverlap(notes)).toBeLessThanOrEqual(4);
    await Promise.all(all.map((record) => world.result(`batch-${record}`)));
    expect((await world.outline('batch', 1)).at(-1)).toBe('OrchestrationContinuedAsNew');
  });
});
