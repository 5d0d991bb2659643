// Restarts and lost processes: what was promised before is kept after.
//
// The catalogue's cases on work items that crash between two writes cannot happen here: a turn is one transaction, and so is the answer of an activity.
//
// Covered elsewhere:
// | case                                                                    | where                                                  |
// | ----------------------------------------------------------------------- | ------------------------------------------------------ |
// | kill -9 at several points, in the middle of many, during an activity    | tests/integration/restart.test.ts                      |
// | a crash before and after a timer; several timers                        | tests/integration/restart.test.ts                      |
// | duplicate answers, acks that fail, leases that are lost                 | tests/integration/traps.test.ts, dispatchers.test.ts   |
// | shutdown with work under way                                            | tests/integration/shutdown.test.ts                     |
// | two hosts on one file                                                   | tests/integration/two-processes.test.ts                |
// | restarts inside of each feature                                         | the other files of this folder                         |
import { Client, Runtime, type HistoryEvent } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { startHost } from '../support/integration-child.ts';
import { PATIENCE, quick, stage } from '../support/integration-stage.ts';
import { describeInHouses, Gate, ofKind } from './fixtures/house.ts';

const modules = {
  orchestrations: new URL('./fixtures/recovery-definitions.ts', import.meta.url),
  activities: new URL('./fixtures/recovery-definitions.ts', import.meta.url),
};

/** Rules that hold for every history. */
function checkHistory(history: readonly HistoryEvent[]): void {
  expect(history.map(({ id }) => id)).toEqual(history.map((_, index) => index + 1));
  expect(history.map(({ atMs }) => atMs)).toEqual(history.map(({ atMs }) => atMs).toSorted((left, right) => left - right));
  const ends = history.filter(({ kind }) => /^Orchestration(Completed|Failed|Cancelled|ContinuedAsNew)$/.test(kind));
  expect(ends).toEqual(history.slice(-1));
  const answered = history.flatMap((event) => ('sourceId' in event ? [event.sourceId] : []));
  expect(new Set(answered).size).toBe(answered.length);
  for (const { id } of [...ofKind(history, 'ActivityScheduled'), ...ofKind(history, 'TimerCreated')]) expect(answered).toContain(id);
}

describeInHouses('a restart', (house) => {
  test('in the middle of everything changes no result', async () => {
    const deed = house.deed((ctx) => ctx.eventId);
    const child = house.deed(() => 'of a child');
    const handles = [];
    for (let index = 0; index < 20; index += 1) {
      handles.push(
        await house.play(async (ctx) => {
          const id = house.cast(`${ctx.instanceId}-child`, (inner) => inner.scheduleActivity('perform', child));
          const [work, timer, family] = await ctx.all([
            ctx.scheduleActivity('perform', deed),
            ctx.scheduleTimer(index),
            ctx.scheduleSubOrchestration('play', undefined, { instanceId: id }),
          ]);
          ctx.kv.set('work', work);
          const event = await ctx.waitForEvent('go');
          return [work, timer === undefined, family, event, ctx.kv.get('work')];
        }),
      );
    }
    await house.restart();
    for (const handle of handles) await handle.raiseEvent('go', 'went');
    await house.restart();
    for (const handle of handles) {
      expect(await handle.result({ timeout: PATIENCE })).toEqual([2, true, 'of a child', 'went', 2]);
      checkHistory(await handle.readHistory());
    }
  });

  test('without a word keeps what waits: events, timers, starts that are put off', async () => {
    const waiting = await house.play((ctx) => ctx.waitForEvent('go'));
    const sleeping = await house.play((ctx) => ctx.scheduleTimer(30).then(() => 'woke'));
    const later = await house.play(() => 'began', undefined, { startAfter: 30 });
    await house.runtime.shutdown({ timeoutMs: 0 });
    await waiting.raiseEvent('go', 'while nobody was there');
    await house.restart();
    expect(await Promise.all([waiting, sleeping, later].map((handle) => handle.result({ timeout: PATIENCE })))).toEqual([
      'while nobody was there',
      'woke',
      'began',
    ]);
  });

  test('runs an activity again that was cut off, and counts its result once', async () => {
    const started = new Gate();
    let runs = 0;
    const deed = house.deed(async (ctx) => {
      runs += 1;
      if (runs > 1) return `run ${runs}, attempt ${ctx.attempt}`;
      started.open();
      return await new Promise(() => undefined);
    });
    const handle = await house.play((ctx) => ctx.scheduleActivity('perform', deed));
    await started.opened;
    await house.runtime.shutdown({ timeoutMs: 0 });
    await house.restart();
    expect(await handle.result({ timeout: PATIENCE })).toMatch(/^run 2, attempt [12]$/);
    expect(ofKind(await handle.readHistory(), 'ActivityCompleted')).toHaveLength(1);
  });
});

describe('a host that is killed', () => {
  test('leaves retries, values, events, subscriptions and children to the next one', async () => {
    const stand = stage();
    const urls = { orchestrations: modules.orchestrations.href, activities: modules.activities.href };
    const host = await startHost(stand, { ...urls, sessionLeaseMs: 500 });
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const handle = await client.startOrchestration('order', 'everything');
    await handle.waitForCustomStatus({ afterVersion: 0, timeout: PATIENCE });
    await handle.raiseEvent('item', 'before', { key: 'k1' });
    await handle.waitForReceipt('k1', { timeout: PATIENCE });
    await host.kill();
    await handle.raiseEvent('item', 'before, again', { key: 'k1' });
    await handle.raiseEvent('item', 'while nobody was there', { key: 'k2' });
    expect(await client.publish('news/today', 'published to nobody alive')).toBe(1);
    const runtime = await Runtime.start({ provider, ...quick, ...modules });
    stand.defer(() => runtime.shutdown());
    expect(await handle.result({ timeout: PATIENCE })).toEqual({
      items: ['before', 'while nobody was there'],
      news: 'published to nobody alive',
      retried: 'attempt 3',
      kept: 'set before the crash',
      child: 4,
      executionId: 2,
    });
    for (const executionId of [1, 2]) checkHistory(await handle.readHistory(executionId));
  });
});
