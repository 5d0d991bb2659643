// A rolling deployment: three runtimes on one store, of the old code, of both, and of the new code.
import { Client, type InstanceHandle, type InstanceState, type Runtime } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { release } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { modules, PATIENCE, stage, type Stage } from '../support/integration-stage.ts';
import { LEDGERS_VARIABLE, notes } from './fixtures/outside.ts';

const v1 = new URL('fixtures/deployment-v1.ts', import.meta.url);
const v2 = new URL('fixtures/deployment-v2.ts', import.meta.url);
const packing = new URL('fixtures/deployment-pack.ts', import.meta.url);

/** Which code each of the runtimes has. The activity `pack` is old, `insure` is new. */
const CODE = {
  old: { orchestrations: [v1], activities: [v1] },
  both: { orchestrations: [v1, v2], activities: [v1, v2] },
  new: { orchestrations: [v2], activities: [packing, v2] },
  conductor: { orchestrations: [v2, modules.orchestrations] },
  oldWorker: { activities: [v1], maxAttempts: 1_000 },
  newWorker: { activities: [packing, v2], maxAttempts: 1_000 },
  busyWorker: { activities: [v2, modules.activities], activitiesPerThread: 1 },
  // Gives up soon: with the default of ten attempts and pauses of up to a minute the same takes four minutes.
  hastyWorker: { activities: [v1], maxAttempts: 2 },
} as const;

/** Runtimes of a fleet on one file, each with its own connection, and what each of them logged. */
class Fleet {
  readonly client: Client;
  readonly logs = new Map<keyof typeof CODE, LogBook>();
  readonly #stand: Stage;
  readonly #threads: number;
  readonly #running = new Map<keyof typeof CODE, Runtime>();

  constructor(stand: Stage, client: Client, threads: number) {
    this.#stand = stand;
    this.client = client;
    this.#threads = threads;
  }

  static async open(threads: number): Promise<Fleet> {
    const stand = stage();
    process.env[LEDGERS_VARIABLE] = stand.folder;
    return new Fleet(stand, new Client(await stand.openProvider({ synchronous: 'NORMAL' })), threads);
  }

  async start(which: keyof typeof CODE): Promise<void> {
    const logger = this.logs.get(which) ?? new LogBook();
    this.logs.set(which, logger);
    const runtime = await this.#stand.startRuntime({
      provider: await this.#stand.openProvider({ synchronous: 'NORMAL' }),
      ...CODE[which],
      replayThreads: this.#threads,
      activityThreads: this.#threads,
      retryBackoff: { initialMs: 10, maximumMs: 100 },
      logger,
    });
    this.#running.set(which, runtime);
  }

  async stop(which: keyof typeof CODE): Promise<void> {
    await this.#running.get(which)?.shutdown();
  }

  /** Starts instances and waits until each of them waits for its event. */
  async begin(ids: readonly string[], name: string, options: { readonly version?: string; readonly input?: unknown } = {}): Promise<void> {
    await this.client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: name, ...options })));
    await Promise.all(ids.map((id) => this.client.waitForCustomStatus(id, { afterVersion: 0, timeout: PATIENCE })));
  }

  async go(ids: readonly string[]): Promise<void> {
    await this.client.raiseEvents(ids.map((instanceId) => ({ instanceId, name: 'go' })));
  }

  results(ids: readonly string[]): Promise<readonly unknown[]> {
    return Promise.all(ids.map((id) => this.client.waitForResult(id, { timeout: PATIENCE })));
  }

  /** Versions that a runtime ran. */
  versions(which: keyof typeof CODE): ReadonlySet<unknown> {
    return new Set(
      this.logs
        .get(which)
        ?.lines.filter(({ message }) => message === 'runs')
        .map(({ fields }) => fields['version']),
    );
  }
}

const named = (prefix: string, count: number): readonly string[] => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

describe.each([
  ['inline', 0],
  ['in threads', 1],
] as const)('%s', (_name, threads) => {
  test('instances of each version run where its code is, wait where it is not, and none is quarantined', async () => {
    const fleet = await Fleet.open(threads);
    const { client } = fleet;
    const isVersion1 = (id: string): string => `${id} packed by version 1`;
    const isVersion2 = (id: string): string => `${id} packed and insured by version 2`;
    const [early, middle, late] = [named('early', 6), named('middle', 6), named('late', 6)];
    await fleet.start('old');
    await fleet.begin([...early, ...middle, ...late], 'ship');

    await fleet.start('both');
    await fleet.start('new');
    const fresh = named('fresh', 6);
    await fleet.begin(fresh, 'ship', { version: '2.0.0' });
    await fleet.go([...early, ...fresh]);
    expect(await fleet.results(early)).toEqual(early.map((id) => isVersion1(id)));
    expect(await fleet.results(fresh)).toEqual(fresh.map((id) => isVersion2(id)));

    await fleet.stop('old');
    await fleet.go(middle);
    expect(await fleet.results(middle)).toEqual(middle.map((id) => isVersion1(id)));

    await fleet.stop('both');
    await fleet.go(late);
    const fresher = named('fresher', 6);
    await fleet.begin(fresher, 'ship');
    await fleet.go(fresher);
    expect(await fleet.results(fresher)).toEqual(fresher.map((id) => isVersion2(id)));
    const waiting = (await client.listInstances({ status: 'Running', orderBy: 'id' })).instances;
    expect(waiting.map(({ instanceId, version }) => `${instanceId} ${version}`)).toEqual(late.map((id) => `${id} 1.0.0`));
    expect((await client.listInstances({ status: 'Quarantined' })).instances).toEqual([]);

    await fleet.start('both');
    expect(await fleet.results(late)).toEqual(late.map((id) => isVersion1(id)));
    expect(fleet.versions('old')).toEqual(new Set(['1.0.0']));
    expect(fleet.versions('new')).toEqual(new Set(['2.0.0']));
    expect(notes('packed').toSorted()).toEqual([...early, ...middle, ...late, ...fresh, ...fresher].toSorted());
    expect(notes('insured').toSorted()).toEqual([...fresh, ...fresher].toSorted());
    expect((await client.listInstances({ status: 'Quarantined' })).instances).toEqual([]);
    expect((await client.listInstances({ status: 'Failed' })).instances).toEqual([]);
  });

  test('an eternal orchestration moves to the new version at its next execution, with the events that it has not taken', async () => {
    const fleet = await Fleet.open(threads);
    const { client } = fleet;
    await fleet.start('old');
    await fleet.begin(['patrol'], 'patrol', { input: [] });
    const rounds = async (count: number): Promise<InstanceState> => {
      for (let afterVersion = 0; ;) {
        const state = await client.waitForCustomStatus('patrol', { afterVersion, timeout: PATIENCE });
        if (state.customStatus === count) return state;
        afterVersion = state.customStatusVersion;
      }
    };
    await client.raiseEvent('patrol', 'order', 'north');
    await rounds(1);
    await fleet.stop('old');
    for (const order of ['south', { go: 'east' }, { go: 'west' }]) await client.raiseEvent('patrol', 'order', order);
    // Only the new code is there: it cannot go on with the old execution, and leaves it alone.
    await fleet.start('new');
    const probe: InstanceHandle = await client.startOrchestration('probe', 'patrol', []);
    await probe.raiseEvent('order', 'home');
    await probe.result({ timeout: PATIENCE });
    expect(await client.getState('patrol')).toMatchObject({ status: 'Running', version: '1.0.0', customStatus: 1 });
    await fleet.start('both');
    expect(await rounds(4)).toMatchObject({ version: '2.0.0', executionId: 5 });
    await client.raiseEvent('patrol', 'order', { go: 'home' });
    expect(await client.waitForResult('patrol', { timeout: PATIENCE })).toEqual(['1.0.0', '1.0.0', '2.0.0', '2.0.0']);
    expect(fleet.versions('new')).toEqual(new Set(['2.0.0']));
  });

  test('a new activity is run by the worker that has it, while one that lacks it takes work from the same queue', async () => {
    const fleet = await Fleet.open(threads);
    for (const which of ['oldWorker', 'newWorker', 'conductor'] as const) await fleet.start(which);
    const ids = named('parcel', 20);
    await fleet.begin(ids, 'ship');
    await fleet.go(ids);
    expect(await fleet.results(ids)).toEqual(ids.map((id) => `${id} packed and insured by version 2`));
    expect(notes('insured').toSorted()).toEqual(ids.toSorted());
  });

  test('a new activity waits for the worker that has it while that one is busy, however often one that lacks it looks', async () => {
    const fleet = await Fleet.open(threads);
    const { client } = fleet;
    await fleet.start('conductor');
    await fleet.start('busyWorker');
    const logger = fleet.logs.get('busyWorker');
    const key = `busy ${threads}`;
    await client.startOrchestration('held', 'call', { activity: 'hold', input: key });
    await logger?.message('holding', 'held');
    await fleet.start('hastyWorker');
    await fleet.begin(['parcel'], 'ship', { version: '2.0.0' });
    await fleet.go(['parcel']);
    // Meanwhile the other worker does a lot.
    for (const id of named('other', 20)) {
      await client.startOrchestration(id, 'call', { activity: 'pack', input: id });
      await fleet.results([id]);
    }
    release(key);
    expect(await fleet.results(['held', 'parcel'])).toEqual([expect.anything(), 'parcel packed and insured by version 2']);
  });
});
