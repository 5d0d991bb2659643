// Several processes on one SQLite file: they share the work, wake each other up, and stand in for each other.
import { Client } from 'duraloom';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Child, startHost, type Host } from '../support/integration-child.ts';
import { fixture, modules, PATIENCE, stage } from '../support/integration-stage.ts';
import type { Place } from './fixtures/activities.ts';

const texts = { orchestrations: modules.orchestrations.href, activities: modules.activities.href };

/** Where nobody dies, no lease is to run out on a busy machine. */
const patient = { activityLockMs: 30_000, orchestrationLockMs: 30_000 };

/** What two hosts must never say: that the other one is in their way. */
function troubles(hosts: readonly Host[]): readonly string[] {
  return hosts.flatMap(({ log }) => log.lines.filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => message));
}

function countByPid(places: readonly Place[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const { pid } of places) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  return counts;
}

describe('two hosts on one file', () => {
  test('share the work fairly and without lock errors, and both stop cleanly', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const options = { ...texts, ...patient, activitiesPerThread: 4 };
    const hosts = await Promise.all([startHost(stand, options), startHost(stand, options)]);
    const handles = await Promise.all(
      Array.from({ length: 400 }, (_, index) =>
        client.startOrchestration<Place[]>(`shared${index}`, 'fan', { activity: 'dawdle', count: 5, input: 5 }),
      ),
    );
    const places = (await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })))).flat();
    expect(places).toHaveLength(2_000);
    const counts = countByPid(places);
    for (const { pid } of hosts) expect(counts.get(pid) ?? 0, `activities of ${pid}`).toBeGreaterThan(300);
    expect(places.filter(({ attempt }) => attempt > 1)).toEqual([]);
    expect(troubles(hosts)).toEqual([]);
    const ends = await Promise.all(hosts.map((host) => host.stop()));
    expect(ends.map(({ code, stderr }) => ({ code, stderr }))).toEqual([
      { code: 0, stderr: '' },
      { code: 0, stderr: '' },
    ]);
  });

  test('leave long activities to each other also after many short ones made one of them look fast', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const first = await startHost(stand, { ...texts, ...patient, activitiesPerThread: 1 });
    // Alone, the first host runs thousands of trivial activities.
    const quickOnes = await Promise.all(
      Array.from({ length: 10 }, (_, index) => client.startOrchestration(`quick${index}`, 'fan', { activity: 'locate', count: 300 })),
    );
    await Promise.all(quickOnes.map((handle) => handle.result({ timeout: PATIENCE })));
    const second = await startHost(stand, { ...texts, ...patient, activitiesPerThread: 1 });
    const long = await client.startOrchestration<Place[]>('long', 'fan', { activity: 'dawdle', count: 20, input: 50 });
    const counts = countByPid(await long.result({ timeout: PATIENCE }));
    for (const { pid } of [first, second]) expect(counts.get(pid) ?? 0, `long activities of ${pid}`).toBeGreaterThanOrEqual(5);
  });

  test('finish everything when one of them is killed', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const options = { ...texts, orchestrationLockMs: 400, activityLockMs: 400, maxAttempts: 10 };
    const [victim, survivor] = await Promise.all([startHost(stand, options), startHost(stand, options)]);
    const handles = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        client.startOrchestration<Place[]>(`k${index}`, 'fan', { activity: 'dawdle', count: 5, input: 20 }),
      ),
    );
    await client.getHandle('k5').result({ timeout: PATIENCE });
    await victim.kill();
    const places = (await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })))).flat();
    expect(places).toHaveLength(300);
    expect(countByPid(places).get(survivor.pid)).toBeGreaterThan(0);
    expect((await survivor.stop()).code).toBe(0);
  });

  test('hand an instance back and forth between their caches', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const options = { ...texts, ...patient };
    const hosts = await Promise.all([startHost(stand, options), startHost(stand, options)]);
    const handles = await Promise.all(Array.from({ length: 20 }, (_, index) => client.startOrchestration(`h${index}`, 'collect', 25)));
    const items = Array.from({ length: 25 }, (_, index) => index);
    for (const item of items) await Promise.all(handles.map(({ instanceId }) => client.raiseEvent(instanceId, 'item', item)));
    for (const handle of handles) expect(await handle.result({ timeout: PATIENCE })).toEqual(items);
    expect(troubles(hosts)).toEqual([]);
  });
});

describe('a client in a process without a runtime', () => {
  test('gets results and status changes as they happen, not at the next slow poll', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    await startHost(stand, texts);
    const startedMs = performance.now();
    for (let round = 0; round < 10; round += 1) {
      const handle = await client.startOrchestration(`r${round}`, 'chain', 2);
      const state = await client.waitForCustomStatus(`r${round}`, { afterVersion: 0, timeout: PATIENCE });
      expect(state.customStatusVersion).toBeGreaterThan(0);
      expect(await handle.result({ timeout: PATIENCE })).toBe(3);
    }
    // A slow poll takes 15 s; a single missed wake-up would show.
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  test('stays alive while it waits, and ends when it has its result', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    await client.startOrchestration('awaited', 'collect', 1);
    const waiting = new Child(stand, fileURLToPath(fixture('waiting-client.ts')), [stand.file(), 'awaited']);
    await once(waiting.process, 'message');
    await startHost(stand, texts);
    await client.waitForCustomStatus('awaited', { afterVersion: 0, timeout: PATIENCE });
    await client.raiseEvent('awaited', 'item', 'at last');
    expect(await waiting.ended).toEqual({ code: 0, signal: null, stdout: "[ 'at last' ]\n", stderr: '' });
  });

  test('waits out a host that is restarted', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider());
    const handle = await client.startOrchestration('late', 'hello', 'late');
    const result = handle.result({ timeout: PATIENCE });
    result.catch(() => undefined);
    const early = await startHost(stand, { orchestrations: texts.orchestrations });
    await early.stop();
    await startHost(stand, texts);
    expect(await result).toBe('Hello, late!');
  });
});
