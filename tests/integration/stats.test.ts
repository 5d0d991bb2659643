// What `runtime.stats()` shows of a real runtime, and that metrics and their list in the guide follow.
import type { RuntimeStats } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { modules, PATIENCE, quick, stage } from '../support/integration-stage.ts';

const root = dirname(dirname(import.meta.dirname));

/** Every path of the figures, `[]` for each list. */
function shapeOf(value: unknown, path = ''): readonly string[] {
  if (Array.isArray(value)) return [...new Set(value.flatMap((item) => shapeOf(item, `${path}[]`)))];
  if (typeof value !== 'object' || value === null) return [`${path}: ${value === null ? 'null' : typeof value}`];
  return Object.entries(value).flatMap(([name, field]) => shapeOf(field, path === '' ? name : `${path}.${name}`));
}

const THREAD = [
  'index',
  'restarts',
  'utilisation',
  'batchesSent',
  'itemsSent',
  'meanSent',
  'batchesReceived',
  'itemsReceived',
  'meanReceived',
];
const FETCH = ['fetches', 'items', 'lastItems', 'full', 'meanItems', 'fullShare'];
const REPLAY = [...THREAD, 'turnsInFlight', 'engines', 'cacheBytes', 'cacheHits', 'cacheMisses', 'evictions', 'replayedEvents'];
const STORE = ['commits', 'items', 'busyRetries', 'slowPaths', 'statementMs', 'commitMs', 'syncs', 'syncMs'];
const STORE_WINDOW = ['meanItemsPerCommit', 'meanCommitMs', 'meanSyncMs', 'transactionShare', 'syncShare'];
const NUMBERS = [
  'windowMs',
  'turnsInFlight',
  'turnsCommitted',
  'turnsPerSecond',
  'optimisticTurnsCommitted',
  'optimisticTurnsRefused',
  'stickyInstances',
  'activitiesInFlight',
  'activitiesCompleted',
  'activitiesPerSecond',
  'limits.turnsPerThread',
  'limits.activitiesPerThread',
  'autoTune.raised',
  'autoTune.takenBack',
  'autoTune.lowered',
  'main.utilisation',
  'main.loopDelay.p50Ms',
  'main.loopDelay.p99Ms',
  'main.loopDelay.maxMs',
  ...REPLAY.map((name) => `replayThreads[].${name}`),
  ...[...THREAD, 'activitiesInFlight', 'longestWaitMs'].map((name) => `activityThreads[].${name}`),
  ...FETCH.map((name) => `fetches.orchestrator.${name}`),
  ...FETCH.map((name) => `fetches.worker.${name}`),
  ...[...STORE, ...STORE_WINDOW].map((name) => `store.${name}`),
];
const SHAPE = ['state: string', 'autoTune.isOn: boolean', ...NUMBERS.map((name) => `${name}: number`)];

function assertSound(stats: RuntimeStats): void {
  const shares = [stats.main, ...stats.replayThreads, ...stats.activityThreads].map(({ utilisation }) => utilisation);
  for (const share of [...shares, stats.store?.syncShare ?? 0, stats.store?.transactionShare ?? 0]) {
    expect(share).toBeGreaterThanOrEqual(0);
    expect(share).toBeLessThanOrEqual(1);
  }
}

describe('stats', () => {
  test('have the same shape before, during and after work, and after the shutdown', async () => {
    const { client, runtime } = await stage().open({ replayThreads: 2, activityThreads: 2 });
    const shapes = [shapeOf(runtime.stats())];
    const handle = await client.startOrchestration('one', 'fan', { activity: 'locate', count: 5 });
    shapes.push(shapeOf(runtime.stats()));
    await handle.result({ timeout: PATIENCE });
    await runtime.shutdown();
    shapes.push(shapeOf(runtime.stats()));
    for (const shape of shapes) expect(shape.toSorted()).toEqual(SHAPE.toSorted());
    expect(runtime.stats()).toMatchObject({ state: 'stopped', activitiesCompleted: 5 });
  });

  test('count what went over the ports, into the store and out of it', async () => {
    const { client, runtime } = await stage().open({ replayThreads: 1, activityThreads: 1, turnsPerThread: 4 });
    const handles = await Promise.all(
      Array.from({ length: 20 }, (_, index) => client.startOrchestration(`w${index}`, 'fan', { activity: 'locate', count: 5 })),
    );
    await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })));
    const stats = runtime.stats();
    assertSound(stats);
    const [replay] = stats.replayThreads;
    const [activity] = stats.activityThreads;
    expect(activity).toMatchObject({ itemsSent: 100, itemsReceived: 100, restarts: 0, activitiesInFlight: 0 });
    expect(replay?.itemsSent).toBe(replay?.itemsReceived);
    expect(replay?.itemsReceived).toBeGreaterThanOrEqual(stats.turnsCommitted);
    expect(replay?.meanSent).toBeGreaterThanOrEqual(1);
    expect(replay?.utilisation).toBeGreaterThan(0);
    expect(activity?.utilisation).toBeGreaterThan(0);
    // Every turn but the first of each found its engine.
    expect(replay).toMatchObject({ cacheMisses: 0, replayedEvents: 0, engines: 0 });
    expect(replay?.cacheHits).toBeGreaterThanOrEqual(20);
    expect(stats.fetches.worker.items).toBe(100);
    expect(stats.fetches.orchestrator.lastItems).toBeLessThanOrEqual(4);
    expect(stats.fetches.orchestrator.full).toBeGreaterThan(0);
    expect(stats.optimisticTurnsCommitted).toBeLessThanOrEqual(stats.turnsCommitted);
    expect(stats.store?.commits).toBeGreaterThan(0);
    expect(stats.store?.meanItemsPerCommit).toBeGreaterThanOrEqual(1);
    expect(stats.store?.syncs).toBeGreaterThan(0);
  });

  test('show turns that were replayed because nothing was kept', async () => {
    const { client, runtime } = await stage().open({ stickyCacheMb: 0, replayThreads: 0, activityThreads: 0 });
    await (await client.startOrchestration('cold', 'fan', { activity: 'locate', count: 3 })).result({ timeout: PATIENCE });
    const [replay] = runtime.stats().replayThreads;
    expect(replay).toMatchObject({ cacheHits: 0, engines: 0, cacheBytes: 0 });
    expect(replay?.cacheMisses).toBeGreaterThanOrEqual(1);
    expect(replay?.replayedEvents).toBeGreaterThanOrEqual(4);
    expect(replay?.evictions).toBeGreaterThanOrEqual(1);
  });

  test('go on counting when a thread has died', async () => {
    const { client, runtime } = await stage().open({ ...quick, replayThreads: 1 });
    const run = async (id: string): Promise<unknown> =>
      (await client.startOrchestration(id, 'fan', { activity: 'locate', count: 3 })).result({ timeout: PATIENCE });
    await run('before');
    const { replayThreads } = runtime.stats();
    expect(runtime.crashThread({ kind: 'replay' })).toBe(true);
    await run('after');
    const [thread] = runtime.stats().replayThreads;
    expect(thread).toMatchObject({ restarts: 1 });
    expect(thread?.cacheHits).toBeGreaterThan(replayThreads[0]?.cacheHits ?? Number.POSITIVE_INFINITY);
    assertSound(runtime.stats());
  });

  test('of a store that counts nothing are null; a side that a runtime does not have has no threads', async () => {
    const provider = new MemoryProvider();
    const runtime = await stage().startRuntime({ provider, orchestrations: modules.orchestrations });
    expect(runtime.stats()).toMatchObject({ store: null, activityThreads: [], replayThreads: [{ index: 0 }] });
    expect(runtime.stats().fetches.worker).toEqual({ fetches: 0, items: 0, lastItems: 0, full: 0, meanItems: 0, fullShare: 0 });
  });
});

// --- the list of metrics -----------------------------------------------------------------------------------------------------

type Documented = { readonly kind: string; readonly labels: readonly string[] };

function documented(): ReadonlyMap<string, Documented> {
  const reference = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
  const rows = [...reference.matchAll(/^\| `(duraloom_\w+)` *\| (\w+) *\| [^|]*\| ([^|]*?) *\|/gm)];
  return new Map(rows.map(([, name = '', kind = '', labels = '']) => [name, { kind, labels: labels === '' ? [] : labels.split(', ') }]));
}

/** What looks like a metric in the source: the one of the overflow, and a function in SQL. */
const OTHER_NAMES: ReadonlySet<string> = new Set(['duraloom_other', 'duraloom_is_utf8']);

/** Names in the source. */
function named(): readonly string[] {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const names = files.flatMap((file) => [...readFileSync(join(root, 'src', file), 'utf8').matchAll(/'(duraloom_\w+)'/g)]);
  return [...new Set(names.map(([, name = '']) => name))].filter((name) => !OTHER_NAMES.has(name));
}

describe('the metrics of a runtime', () => {
  test('are those that the guide lists', () => {
    expect([...documented().keys()].toSorted()).toEqual(named().toSorted());
  });

  test('have the kind and the labels that the guide says', async () => {
    const { client, runtime } = await stage().open();
    await (await client.startOrchestration('one', 'fan', { activity: 'locate', count: 5 })).result({ timeout: PATIENCE });
    const list = documented();
    const series = runtime.metrics();
    expect(series.length).toBeGreaterThan(50);
    for (const { name, kind, labels } of series) {
      expect({ name, kind, labels: Object.keys(labels).toSorted() }).toEqual({
        name,
        kind: list.get(name)?.kind,
        labels: list.get(name)?.labels.toSorted(),
      });
    }
  });

  test('carry the same as the figures, and counters go on from where they were', async () => {
    const added = new Map<string, number>();
    const { client, runtime } = await stage().open({
      metrics: {
        record: ({ kind, name, value }) => {
          if (kind === 'counter') added.set(name, (added.get(name) ?? 0) + value);
        },
      },
    });
    for (const id of ['one', 'two']) {
      await (await client.startOrchestration(id, 'fan', { activity: 'locate', count: 5 })).result({ timeout: PATIENCE });
      const series = runtime.metrics();
      const { turnsCommitted, activitiesCompleted } = runtime.stats();
      const valueOf = (wanted: string): unknown => series.find(({ name }) => name === wanted);
      expect(valueOf('duraloom_turns_committed_total')).toMatchObject({ value: turnsCommitted });
      expect(valueOf('duraloom_activities_completed_total')).toMatchObject({ value: activitiesCompleted });
      expect(added.get('duraloom_turns_committed_total')).toBe(turnsCommitted);
    }
  });
});
