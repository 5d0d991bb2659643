// Rows of a SQLite store with one cell that nobody can read: what the fuzzer of tests/fuzz/rows.test.ts has found, one by one.
import { Client, defineActivity, defineOrchestration, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { damage, VICTIM, World, type Cell } from '../fuzz/kit.ts';
import { PATIENCE, quick, rejection } from '../support/integration-stage.ts';

const text = (value: string): Cell => ({ kind: 'plain', value });
const number = (value: bigint): Cell => ({ kind: 'plain', value });
const nothing: Cell = { kind: 'plain', value: null };
const bytes: Cell = { kind: 'blob', hex: 'cb35' };
const noUtf8: Cell = { kind: 'raw', hex: '61ff' };

/** A store at rest with three instances, whose work is still to do; one of them is damaged, then all go on. */
async function damaged(table: string, column: string, cell: Cell, how: 'at rest' | 'closed' = 'at rest'): Promise<World> {
  const world = new World();
  onTestFinished(() => world[Symbol.asyncDispose]());
  await world.open();
  await world.start(false);
  await world.populate();
  await world.stop();
  await world.raiseAll();
  if (how === 'closed') await world.closeProvider();
  expect(damage(world.file, { table, column, cell }, world.where(table))).toBeGreaterThan(0);
  if (how === 'closed') await world.open();
  await world.start(true);
  await world.raiseAll();
  await world.expectNeighbours();
  await world.expectQuiet();
  return world;
}

describe('a queued activity', () => {
  test.each([
    ['work_items', 'name'],
    ['work_items', 'payload'],
    ['routed_items', 'name'],
    ['routed_items', 'payload'],
  ])('without %s.%s fails, and does not end the process (seeds 1873464893, 1058569455)', async (table, column) => {
    const world = await damaged(table, column, nothing);
    expect(await world.expectSettled()).toBe('ORCHESTRATION_FAILED');
  });

  test.each(['work_items', 'routed_items'])(
    'with text for its attempts fails, and does not end the process: %s (seed 1971801495)',
    async (table) => {
      const world = await damaged(table, 'attempts', text('many'));
      expect(await world.expectSettled()).toBe('ORCHESTRATION_FAILED');
    },
  );

  test.each([
    ['work_items', 'event_id'],
    ['work_items', 'execution_id'],
    ['routed_items', 'execution_id'],
  ])('with a key that nobody can read is lost, so its orchestration is quarantined: %s.%s (seed 1264739877)', async (table, column) => {
    const world = await damaged(table, column, text('x'));
    expect(await world.expectSettled()).toBe('INSTANCE_QUARANTINED');
  });

  test('whose place in the queue is no number is found when the store is opened', async () => {
    const world = await damaged('work_items', 'ready_at', text('soon'), 'closed');
    expect(await world.expectSettled()).toBe('ORCHESTRATION_FAILED');
  });
});

describe('an instance', () => {
  test.each([
    ['bytes', bytes],
    ['a number', number(2n ** 53n)],
    ['no UTF-8', noUtf8],
  ])('whose id is %s is quarantined under another id (seeds 1369595050, 1626793567)', async (_, cell) => {
    const world = await damaged('instances', 'instance_id', cell);
    const found = (await world.client.listInstances()).instances.filter(({ status }) => status === 'Quarantined');
    expect(found).toMatchObject([{ name: VICTIM, error: { code: 'MESSAGE_INVALID' } }]);
    expect(found[0]?.instanceId).toMatch(/^unreadable:[0-9A-F]+$/);
    expect(await world.client.terminate(found[0]?.instanceId ?? '')).toEqual({ done: true });
  });

  test('whose status is unknown takes its messages and goes on (seed 1369595050)', async () => {
    const world = await damaged('instances', 'status', text('Runing'));
    expect(await world.expectSettled()).toBe('ok');
  });

  test('whose place in the queue is no number is found when the store is opened', async () => {
    const world = await damaged('instances', 'ready_at', text('soon'), 'closed');
    expect(await world.expectSettled()).toBe('INSTANCE_QUARANTINED');
  });

  test('whose message number is out of range does not fail a publication to others (seed 1264739877)', async () => {
    const world = await damaged('instances', 'message_seq', number(2n ** 53n));
    expect(await world.client.publish('news/today')).toBeGreaterThanOrEqual(0);
    expect(await world.client.raiseEvent(VICTIM, 'more')).toHaveProperty('delivered');
  });

  test('that is damaged wakes who waits for it, and its parent is told', async () => {
    const world = new World();
    onTestFinished(() => world[Symbol.asyncDispose]());
    const provider = await SqliteProvider.open(world.file);
    onTestFinished(() => provider.close());
    const child = defineOrchestration('child', (ctx) => {
      ctx.setCustomStatus('waiting');
      return ctx.waitForEvent('go');
    });
    const parent = defineOrchestration('parent', (ctx) => {
      ctx.setCustomStatus('waiting');
      return ctx.scheduleSubOrchestration(child, undefined, { instanceId: VICTIM });
    });
    const runtime = await Runtime.start({ ...quick, provider, orchestrations: [child, parent], replayThreads: 0 });
    onTestFinished(() => runtime.shutdown());
    const client = new Client(provider);
    const handle = await client.startOrchestration('parent', parent);
    const isStarted = client.waitForCustomStatus('parent', { afterVersion: 0, timeout: PATIENCE });
    expect(await isStarted).toMatchObject({ customStatus: 'waiting' });
    await client.waitForCustomStatus(VICTIM, { afterVersion: 0, timeout: PATIENCE });
    const waiting = rejection(client.waitForResult(VICTIM, { timeout: '5s' }));
    expect(damage(world.file, { table: 'instances', column: 'created_at', cell: text('once') }, world.where('instances'))).toBe(1);
    await client.raiseEvent(VICTIM, 'go');
    expect(await waiting).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
    expect(await rejection(handle.result({ timeout: PATIENCE }))).toMatchObject({ code: 'ORCHESTRATION_FAILED' });
  });
});

describe('lists show a damaged row beside the others:', () => {
  /** A store with a parent, its child, and another instance, at rest. */
  async function openDamaged(table: string, column: string, cell: Cell): Promise<Client> {
    const world = new World();
    onTestFinished(() => world[Symbol.asyncDispose]());
    const provider = await SqliteProvider.open(world.file);
    onTestFinished(() => provider.close());
    const beat = defineActivity('beat', async (ctx) => {
      ctx.heartbeat({ at: 1 });
      await new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()));
    });
    const child = defineOrchestration('child', (ctx) => {
      ctx.setCustomStatus('working');
      return ctx.scheduleActivity(beat);
    });
    const parent = defineOrchestration('parent', (ctx) => ctx.scheduleSubOrchestration(child, undefined, { instanceId: VICTIM }));
    const runtime = await Runtime.start({
      ...quick,
      provider,
      orchestrations: [child, parent],
      activities: beat,
      replayThreads: 0,
      activityThreads: 0,
    });
    onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
    const client = new Client(provider);
    await client.startOrchestration('parent', parent);
    await expect.poll(async () => (await client.explainWaiting(VICTIM)).waits[0]).toMatchObject({ state: 'running', heartbeat: { at: 1 } });
    expect(damage(world.file, { table, column, cell }, world.where(table))).toBe(1);
    return client;
  }

  test.each([
    ['custom_status', text('{"a":')],
    ['custom_status', bytes],
    ['attributes', text('{')],
  ])('an instance with an unreadable %s', async (column, cell) => {
    const client = await openDamaged('instances', column, cell);
    const { instances } = await client.listInstances({ orderBy: 'id' });
    expect(instances).toMatchObject([
      { instanceId: VICTIM, status: 'Running', damage: expect.stringContaining(`of instance '${VICTIM}' cannot be read`) as string },
      { instanceId: 'parent', damage: null },
    ]);
    const tree = await client.getTree('parent');
    expect(tree).toMatchObject({ instance: { damage: null }, children: [{ instance: { damage: expect.any(String) as string } }] });
    expect(await rejection(client.getState(VICTIM))).toMatchObject({ code: 'MESSAGE_INVALID' });
  });

  test.each([
    ['payload', nothing],
    ['payload', bytes],
    ['heartbeat', text('{')],
    ['heartbeat', bytes],
  ])('an activity with an unreadable %s', async (column, cell) => {
    const client = await openDamaged('work_items', column, cell);
    const { items } = await client.peekQueue({ queue: 'worker' });
    expect(items).toMatchObject([
      {
        kind: 'workItem',
        instanceId: VICTIM,
        eventId: 3,
        damage: expect.stringContaining(column === 'payload' ? 'input' : column) as string,
      },
    ]);
    const [wait] = (await client.explainWaiting(VICTIM)).waits;
    expect(wait).toMatchObject({
      kind: 'activity',
      state: 'running',
      problem: column === 'payload' ? null : (expect.any(String) as string),
    });
  });
});
