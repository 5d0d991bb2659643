// A restart loses memory and nothing else: planned ones between every step of an instance, and kill -9 in the middle of things.
import { Client, type HistoryEvent, type RuntimeOptions } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { startHost } from '../support/integration-child.ts';
import { release } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { fixture, modules, PATIENCE, quick, stage, type Stage } from '../support/integration-stage.ts';

const inline = { replayThreads: 0, activityThreads: 0 };
const texts = { orchestrations: modules.orchestrations.href, activities: modules.activities.href };

/** Everything but times: two runs at different times are to decide the same. */
function timeless(history: readonly HistoryEvent[]): readonly unknown[] {
  return history.map((event) => ({ ...event, atMs: 0, ...('fireAtMs' in event ? { fireAtMs: 0 } : {}) }));
}

/** Walks the instance 'journey' through its steps; `restart` runs between every two of them. */
async function travel(
  open: () => Promise<Client>,
  restart: () => Promise<Client>,
): Promise<{ readonly result: unknown; readonly histories: readonly (readonly unknown[])[] }> {
  let client = await open();
  let seen = 0;
  const reach = async (step: string): Promise<void> => {
    for (;;) {
      const state = await client.waitForCustomStatus('journey', { afterVersion: seen, timeout: PATIENCE });
      seen = state.customStatusVersion;
      if ((state.customStatus as { readonly step: string }).step === step) break;
    }
    client = await restart();
    // What clients see survives as well.
    expect(await client.getState('journey')).toMatchObject({ customStatus: { step }, customStatusVersion: seen, status: 'Running' });
  };
  await client.startOrchestration('journey', 'journey', 'journey');
  await reach('start');
  // Buffered until they are wanted, through several restarts.
  await client.raiseEvent('journey', 'two', { data: 2 });
  client = await restart();
  await client.raiseEvent('journey', 'go', 'went');
  await reach('early');
  await client.raiseEvent('journey', 'early', null);
  await reach('child');
  await client.raiseEvent('journey-child', 'item', 'for the child');
  await reach('end');
  await client.raiseEvent('journey', 'finish');
  const result = await client.getHandle('journey').result({ timeout: PATIENCE });
  const histories = [timeless(await client.readHistory('journey')), timeless(await client.readHistory('journey-child'))];
  return { result, histories };
}

async function travelWith(
  stand: Stage,
  options: Partial<RuntimeOptions>,
  restarts: boolean,
): Promise<{ readonly result: unknown; readonly histories: readonly (readonly unknown[])[] }> {
  let close = async (): Promise<void> => undefined;
  const open = async (): Promise<Client> => {
    const provider = await stand.openProvider();
    const runtime = await stand.startRuntime({ provider, ...modules, ...quick, ...inline, ...options });
    close = async () => {
      await runtime.shutdown();
      await provider.close();
    };
    return new Client(provider);
  };
  let current: Client | null = null;
  return travel(
    async () => (current = await open()),
    async () => {
      if (!restarts && current !== null) return current;
      await close();
      return open();
    },
  );
}

describe('an instance that is restarted between every step', () => {
  test('ends with the same result and history as one that was never restarted, sticky or cold', async () => {
    const undisturbed = await travelWith(stage(), {}, false);
    expect(undisturbed.result).toMatchObject({ length: 9 });
    expect(await travelWith(stage(), {}, true)).toEqual(undisturbed);
    expect(await travelWith(stage(), { stickyCacheMb: 0 }, false)).toEqual(undisturbed);
    expect(await travelWith(stage(), { stickyCacheMb: 0 }, true)).toEqual(undisturbed);
  });
});

describe('a restart', () => {
  test('keeps timers: one that was due meanwhile fires at once, one that was not fires at its time', async () => {
    const stand = stage();
    const { client, provider, runtime } = await stand.open(inline);
    const short = await client.startOrchestration<number>('short', 'sleeper', 1);
    const long = await client.startOrchestration<number>('long', 'sleeper', 400);
    await client.waitForCustomStatus('long', { afterVersion: 0, timeout: PATIENCE });
    await runtime.shutdown();
    await provider.close();
    const second = await stand.openProvider();
    await stand.startRuntime({ provider: second, ...modules, ...quick, ...inline });
    const again = new Client(second);
    expect(await again.getHandle<number>(short.instanceId).result({ timeout: PATIENCE })).toBeGreaterThanOrEqual(1);
    expect(await again.getHandle<number>(long.instanceId).result({ timeout: PATIENCE })).toBeGreaterThanOrEqual(400);
  });

  test('runs an activity again whose result was not stored, and none whose result was', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider, runtime } = await stand.open({ ...inline, logger });
    const chain = await client.startOrchestration('chain', 'chain', 5);
    await chain.result({ timeout: PATIENCE });
    const held = await client.startOrchestration<{ attempt: number }>('held', 'call', { activity: 'hold', input: 'again' });
    await logger.message('holding', 'held');
    await runtime.shutdown({ timeoutMs: 0 });
    const book = new LogBook();
    const next = await stand.startRuntime({ provider, ...modules, ...quick, ...inline, logger: book });
    await book.message('holding', 'held');
    release('again');
    // Given back by a planned shutdown: not charged.
    expect(await held.result({ timeout: PATIENCE })).toMatchObject({ attempt: 1 });
    expect(next.stats()).toMatchObject({ activitiesCompleted: 1 });
  });
});

describe('kill -9', () => {
  const runtime = { ...texts, orchestrationLockMs: 300, activityLockMs: 300, maxAttempts: 10 };

  test('at several points of an instance changes neither its result nor its history', async () => {
    const undisturbed = await travelWith(stage(), {}, false);
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    let host = await startHost(stand, runtime);
    let kills = 0;
    const killed = await travel(
      async () => client,
      async () => {
        await host.kill();
        kills += 1;
        host = await startHost(stand, runtime);
        return client;
      },
    );
    expect(killed).toEqual(undisturbed);
    expect(kills).toBe(5);
  });

  test('while an activity runs makes it run again on the next host, with its attempt counted', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const first = await startHost(stand, runtime);
    const handle = await client.startOrchestration<{ pid: number; attempt: number }>('held', 'call', {
      activity: 'dawdle',
      input: 600_000,
    });
    const locator = await client.startOrchestration('beside', 'call', { activity: 'locate' });
    await locator.result({ timeout: PATIENCE });
    const held = await client.startOrchestration<{ pid: number; attempt: number }>('exit', 'call', {
      activity: 'hold',
      input: 'never released',
    });
    await first.log.message('holding', 'exit');
    await first.kill();
    const second = await startHost(stand, runtime);
    const line = await second.log.message('holding', 'exit');
    expect(line.fields).toMatchObject({ attempt: 2, pid: second.pid });
    await client.cancel(held.instanceId);
    await client.cancel(handle.instanceId);
    await second.log.message('aborted', 'exit');
  });

  test('in the middle of many instances loses none and repeats no stored result', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const count = 60;
    const handles = await Promise.all(
      Array.from({ length: count }, (_, index) => client.startOrchestration<number>(`c${index}`, 'chain', 8)),
    );
    let seen = 0;
    for (const victim of ['c0', 'c20', 'c40']) {
      const host = await startHost(stand, { ...runtime, activitiesPerThread: 2 });
      // At least one step further than at the last kill; in the middle of things for all the others.
      const state = await client.waitForCustomStatus(victim, { afterVersion: 0, timeout: PATIENCE });
      seen += state.customStatusVersion;
      await host.kill();
    }
    expect(seen).toBeGreaterThanOrEqual(3);
    await startHost(stand, runtime);
    const results = await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })));
    expect(results).toEqual(handles.map(() => 36));
    for (const { instanceId } of handles) {
      const kinds = (await client.readHistory(instanceId)).map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'ActivityScheduled')).toHaveLength(8);
      expect(kinds.filter((kind) => kind === 'ActivityCompleted')).toHaveLength(8);
      expect(kinds.at(-1)).toBe('OrchestrationCompleted');
    }
  });

  test('leaves continue-as-new and its unread events in order', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const goal = 9;
    const handle = await client.startOrchestration('eternal', 'eternal', { goal, taken: [] });
    const host = await startHost(stand, runtime);
    for (let item = 0; item < 5; item += 1) await client.raiseEvent('eternal', 'item', item);
    await host.kill();
    for (let item = 5; item < goal; item += 1) await client.raiseEvent('eternal', 'item', item);
    await startHost(stand, { ...runtime, maxAttempts: 100 });
    expect(await handle.result({ timeout: PATIENCE })).toEqual(Array.from({ length: goal }, (_, index) => index));
    expect(await handle.state()).toMatchObject({ executionId: goal });
  });
});

test('the versions of a running instance may be loaded from another module after a restart', async () => {
  const stand = stage();
  const { client, provider, runtime } = await stand.open({
    ...inline,
    orchestrations: [modules.orchestrations, fixture('trap-orchestrations.ts')],
  });
  const handle = await client.startOrchestration('moved', 'versioned');
  await client.waitForCustomStatus('moved', { afterVersion: 0, timeout: PATIENCE });
  await runtime.shutdown();
  await stand.startRuntime({ provider, ...modules, ...quick, ...inline, orchestrations: fixture('trap-orchestrations.ts') });
  await client.raiseEvent('moved', 'go');
  expect(await handle.result({ timeout: PATIENCE })).toBe('version 1');
});
