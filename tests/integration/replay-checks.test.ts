// Replay checks of committed turns: what they find, what they leave alone, and what becomes of them when something goes wrong meanwhile.
import {
  Client,
  defineOrchestration,
  HistoryMismatchError,
  type MetricPoint,
  type MetricsSink,
  type Provider,
  type ReplayMismatch,
  type RuntimeOptions,
} from 'duraloom';
import { faulty, type FaultPlan, type FaultyProvider } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { GATE_CHANNEL } from '../support/integration-gate.ts';
import { LogBook } from '../support/integration-log.ts';
import { DURALOOM_URL, fixture, modules, PATIENCE, quick, rejection, stage, type Stage } from '../support/integration-stage.ts';

type Outcome = 'match' | 'mismatch' | 'skipped';

/** What became of the checks of a runtime, counted as its metrics do. */
class CheckBook implements MetricsSink {
  readonly mismatches: ReplayMismatch[] = [];
  readonly onReplayMismatch = (mismatch: ReplayMismatch): void => void this.mismatches.push(mismatch);
  readonly #counts = new Map<string, number>();
  readonly #waiters = new Set<() => void>();

  record({ name, value, labels }: MetricPoint): void {
    if (name !== 'duraloom_replay_checks_total') return;
    const key = `${labels['orchestration']} ${labels['outcome']}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + value);
    for (const waiter of this.#waiters) waiter();
  }

  count(outcome: Outcome, orchestration?: string): number {
    const wanted = orchestration === undefined ? ` ${outcome}` : `${orchestration} ${outcome}`;
    return [...this.#counts].reduce((sum, [key, count]) => sum + (key.endsWith(wanted) ? count : 0), 0);
  }

  /** Resolves when there are as many of an outcome. */
  waitFor(outcome: Outcome, count: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter = (): void => {
        if (this.count(outcome) < count) return;
        this.#waiters.delete(waiter);
        resolve();
      };
      this.#waiters.add(waiter);
      waiter();
    });
  }
}

const orchestrations = fixture('leaking-orchestrations.ts');
const inline = { replayThreads: 0, activityThreads: 0 };

type Opened = {
  readonly stand: Stage;
  readonly client: Client;
  readonly book: CheckBook;
  readonly logger: LogBook;
  readonly store: FaultyProvider;
  readonly runtime: Awaited<ReturnType<Stage['startRuntime']>>;
};

/** A runtime that checks every turn, on a store with faults. */
async function open(
  options: Partial<RuntimeOptions> = {},
  plan: Partial<FaultPlan> = {},
  wrap: (store: Provider) => Provider = (store) => store,
): Promise<Opened> {
  const stand = stage();
  const provider = await stand.openProvider();
  const store = faulty(provider, { seed: 1, ...plan });
  stand.defer(() => store.calm());
  const book = new CheckBook();
  const logger = new LogBook();
  const runtime = await stand.startRuntime({
    provider: wrap(store),
    orchestrations,
    activities: modules.activities,
    ...quick,
    replayCheckRate: 1,
    onReplayMismatch: book.onReplayMismatch,
    metrics: book,
    logger,
    ...options,
  });
  return { stand, client: new Client(provider), book, logger, store, runtime };
}

/** A store of which one method is another. */
function around<Name extends 'enqueueMessages' | 'readHistory'>(store: Provider, method: Name, instead: Provider[Name]): Provider {
  return new Proxy(store, { get: (target, name): unknown => (name === method ? instead : Reflect.get(target, name, target)) });
}

describe('a replay check', () => {
  test('finds a variable of the module in a decision, shows both sides, and leaves the instance alone', async () => {
    const { client, book, logger } = await open();
    const handle = await client.startOrchestration('n', 'numbers');
    expect(await handle.result({ timeout: PATIENCE })).toBe(1);
    await book.waitFor('mismatch', 2);
    const [first] = book.mismatches;
    expect(first).toMatchObject({ instanceId: 'n', executionId: 1, orchestration: 'numbers', version: '1.0.0', eventId: 2 });
    const { error } = first as ReplayMismatch & { readonly error: HistoryMismatchError };
    expect(error).toBeInstanceOf(HistoryMismatchError);
    expect(error).toMatchObject({ code: 'NONDETERMINISM', eventId: 2, recorded: 'ActivityScheduled {name: "echo", input: 1}' });
    expect(error.emitted).toMatch(/^ActivityScheduled \{name: "echo", input: 2\} \(.*leaking-orchestrations\.ts/);
    expect(error.diff).toMatch(
      /^- history\n\+ code\n {2}1 {2}OrchestrationStarted.*\n- 2 {2}ActivityScheduled.*\n\+ 2 {2}ActivityScheduled/,
    );
    expect(logger.lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual(
      book.mismatches.map((mismatch) => `replay check: ${mismatch.error.message}`),
    );
    expect(await handle.state()).toMatchObject({ status: 'Completed' });
  });

  test('finds what no decision shows yet, and leaves the live engine alone', async () => {
    let reads = 0;
    const { client, book, runtime } = await open(inline, {}, (store) =>
      around(store, 'readHistory', (requests) => {
        reads += 1;
        return store.readHistory(requests);
      }),
    );
    const handle = await client.startOrchestration('w', 'warmsUp');
    await book.waitFor('mismatch', 1);
    expect(runtime.stats().stickyInstances).toBe(1);
    const [{ error } = {}] = book.mismatches;
    expect(error).toMatchObject({
      code: 'NONDETERMINISM',
      recorded: 'randomNumbersDrawn: [2]',
      emitted: 'randomNumbersDrawn: [0]',
      diff: '- engine that ran the turn\n+ engine rebuilt from history\n- randomNumbersDrawn: [2]\n+ randomNumbersDrawn: [0]',
    });
    expect(error?.message).toContain('such as a variable of the module');
    await handle.raiseEvent('go', 'on');
    expect(await handle.result({ timeout: PATIENCE })).toBe('on');
    await book.waitFor('mismatch', 2);
    // Those of the checks: no turn had to.
    expect(reads).toBe(2);
  });

  test('finds variables around closures, inline', async () => {
    let calls = 0;
    const decides = defineOrchestration('decides', (ctx) => {
      calls += 1;
      return calls === 1 ? ctx.waitForEvent('one') : ctx.scheduleTimer('1h');
    });
    const draws = defineOrchestration('draws', (ctx) => {
      calls += 1;
      for (let left = calls; left > 0; left -= 1) ctx.random();
      return ctx.waitForEvent('go');
    });
    const { client, book } = await open({ ...inline, orchestrations: [decides, draws] });
    await client.startOrchestration('decides', decides);
    await book.waitFor('mismatch', 1);
    await client.startOrchestration('draws', draws);
    await book.waitFor('mismatch', 2);
    expect(book.mismatches.map(({ error }) => error)).toMatchObject([
      { eventId: 2, recorded: 'EventAwaited {name: "one"}', emitted: expect.stringContaining('TimerCreated') as string },
      { eventId: 2, recorded: 'randomNumbersDrawn: [6]', emitted: 'randomNumbersDrawn: [8]' },
    ]);
  });

  test('finds a failure that is worded differently', async () => {
    const { client, book } = await open(inline);
    await client.startOrchestration('f', 'failsAgain');
    await book.waitFor('mismatch', 1);
    expect(book.mismatches[0]?.error).toMatchObject({
      recorded: 'outcome: ["failed with RangeError: failure 1"]',
      emitted: 'outcome: ["failed with RangeError: failure 2"]',
    });
  });

  test('runs in another thread than the turn when there is one', async () => {
    const alone = await open();
    await (await alone.client.startOrchestration('t', 'tellsThread')).result({ timeout: PATIENCE });
    await alone.book.waitFor('match', 2);
    const several = await open({ replayThreads: 2 });
    await (await several.client.startOrchestration('t', 'tellsThread')).result({ timeout: PATIENCE });
    await several.book.waitFor('mismatch', 2);
    expect([alone.book.count('mismatch'), several.book.count('match')]).toEqual([0, 0]);
  });

  test.each([
    ['inline', inline],
    ['in a thread', {}],
    ['in two threads, without live engines', { replayThreads: 2, stickyCacheMb: 0 }],
  ])('agrees with everything that the language offers, %s', async (_, options) => {
    const { client, book } = await open(options);
    const all = await client.startOrchestration('all', 'doesAll', 1);
    const random = await client.startOrchestration<unknown[]>('random', 'looksRandom', 5);
    await client.startOrchestration('cancelled', 'cleansUp');
    await client.waitForCustomStatus('cancelled', { afterVersion: 0, timeout: PATIENCE });
    await client.cancel('cancelled', 'enough');
    expect(await all.result({ timeout: PATIENCE })).toBe('2 rounds, quick');
    expect(await random.result({ timeout: PATIENCE })).toHaveLength(5);
    await client.waitForResult('cancelled', { timeout: PATIENCE }).catch(() => undefined);
    expect((await client.getState('cancelled'))?.status).toBe('Cancelled');
    // The last turn of each, and many before it.
    await book.waitFor('match', 30);
    expect(book.mismatches).toEqual([]);
    expect(book.count('mismatch')).toBe(0);
  });

  test('is made for the wanted share of the turns, the same ones everywhere', async () => {
    const run = async (replayCheckRate: number): Promise<readonly string[]> => {
      const { client, runtime, logger } = await open({ ...inline, replayCheckRate });
      const requests = Array.from({ length: 60 }, (_, index) => ({ instanceId: `n${index}`, orchestration: 'numbers' }));
      const started = await client.startOrchestrations(requests);
      await Promise.all(started.map(({ handle }) => handle.result({ timeout: PATIENCE })));
      await runtime.shutdown();
      // Those that the shutdown was faster than are skipped.
      const lines = logger.lines.filter(({ message }) => message.startsWith('replay check'));
      return lines.map(({ fields }) => String(fields['instanceId'])).toSorted();
    };
    const [none, some, again] = [await run(0), await run(0.25), await run(0.25)];
    expect(none).toEqual([]);
    // 120 turns.
    expect(some.length).toBeGreaterThan(15);
    expect(some.length).toBeLessThan(45);
    expect(again).toEqual(some);
  });
});

describe('a check in trouble', () => {
  test('is skipped when the store fails', async () => {
    const { client, book, logger } = await open(inline, {
      script: [{ operation: 'readHistory', call: 1, fault: { kind: 'errorBefore' } }],
    });
    const handle = await client.startOrchestration('random', 'looksRandom', 1);
    expect(await handle.result({ timeout: PATIENCE })).toHaveLength(1);
    await book.waitFor('match', 2);
    expect(book.count('skipped', 'looksRandom')).toBe(1);
    expect(book.count('mismatch')).toBe(0);
    const line = await logger.waitFor(({ message }) => message.startsWith('replay check skipped'));
    expect(line[0]?.message).toContain('its history cannot be read: ProviderError');
  });

  test('reports a history that cannot be used', async () => {
    const { client, book } = await open(inline, {}, (store) =>
      around(store, 'readHistory', async (requests) => {
        const histories = await store.readHistory(requests);
        return histories.map(([first, ...rest]) => (first === undefined || rest.length === 0 ? [] : [{ ...first, events: '[]' }, ...rest]));
      }),
    );
    const handle = await client.startOrchestration('x', 'waitsOnly');
    // Its first page alone is not shown at all.
    await book.waitFor('skipped', 1);
    await handle.raiseEvent('go', 'on');
    expect(await handle.result({ timeout: PATIENCE })).toBe('on');
    await book.waitFor('mismatch', 1);
    const { error } = book.mismatches[0] as ReplayMismatch;
    expect(error).not.toBeInstanceOf(HistoryMismatchError);
    expect({ code: error.code, cause: error.cause }).toMatchObject({ code: 'HISTORY_INVALID', cause: { name: 'HistoryError' } });
  });

  test('tells the store nothing of code that goes on between its turns: its live engine does', async () => {
    const reported: string[] = [];
    const { client, book } = await open({ ...inline, orchestrations: fixture('dispatch-orchestrations.ts') }, {}, (store) =>
      around(store, 'enqueueMessages', (messages) => {
        reported.push(...messages.map(({ instanceId }) => instanceId));
        return store.enqueueMessages(messages);
      }),
    );
    await client.startOrchestration('late', 'callsLate');
    expect(await rejection(client.waitForResult('late', { timeout: PATIENCE }))).toMatchObject({ cause: { code: 'LATE_CALL' } });
    // By the second answer the code of the first check has gone on, too.
    await book.waitFor('match', 2);
    expect(book.mismatches).toEqual([]);
    expect(reported).toEqual(['late']);
  });

  test('is skipped in a thread that has no such code any more', async () => {
    const stand = stage();
    const name = 'changing.ts';
    const write = (orchestration: string): URL =>
      stand.writeModule(
        name,
        `import { defineOrchestration } from '${DURALOOM_URL}';
         export const x = defineOrchestration('${orchestration}', (ctx) => {
           ctx.setCustomStatus('waiting');
           return ctx.waitForEvent('go');
         });`,
      );
    const { client, book, store, runtime, logger } = await open({ orchestrations: write('before') });
    const point = store.debugPoint('readHistory:before');
    await client.startOrchestrations(['x', 'y'].map((instanceId) => ({ instanceId, orchestration: 'before' })));
    for (const id of ['x', 'y']) await client.waitForCustomStatus(id, { afterVersion: 0, timeout: PATIENCE });
    await point.reached;
    write('after');
    expect(runtime.crashThread({ kind: 'replay' })).toBe(true);
    await book.waitFor('skipped', 1);
    point.release();
    await book.waitFor('skipped', 2);
    const lines = await logger.waitFor(({ message }) => message.startsWith('replay check skipped'), 2);
    expect(lines[1]?.message).toContain("orchestration 'before' version 1.0.0 is not registered");
  });

  test('is skipped when another instance has taken the id', async () => {
    const { client, book, store } = await open(inline);
    const point = store.debugPoint('readHistory:before');
    await client.startOrchestration('x', 'waits', 'old');
    await point.reached;
    await client.startOrchestration('x', 'waits', 'new', { onExisting: 'terminateExisting' });
    await client.waitForCustomStatus('x', { afterVersion: 0, timeout: PATIENCE });
    const done = book.waitFor('skipped', 1);
    point.release();
    await done;
    await book.waitFor('match', 1);
    expect(book.mismatches).toEqual([]);
  });

  test('is made against the history up to its turn when the instance is further by then', async () => {
    const { client, book, store } = await open(inline);
    const point = store.debugPoint('readHistory:before');
    const handle = await client.startOrchestration('x', 'waitsOnly');
    await point.reached;
    await handle.raiseEvent('go', 'gone');
    expect(await handle.result({ timeout: PATIENCE })).toBe('gone');
    point.release();
    await book.waitFor('match', 2);
    expect([book.count('mismatch'), book.count('skipped')]).toEqual([0, 0]);
  });

  test('is skipped when too many wait, and turns go on', async () => {
    // A turn that lost its lease, or an optimistic one that lost to an event, would read its history, too, and wait with the checks.
    const { client, book, store, logger } = await open({ ...inline, orchestrationLockMs: 600_000 });
    const point = store.debugPoint('readHistory:before');
    const ids = Array.from({ length: 100 }, (_, index) => `x${index}`);
    await client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: 'waitsOnly' })));
    await Promise.all(ids.map((id) => client.raiseEvent(id, 'go').then(() => client.waitForResult(id, { timeout: PATIENCE }))));
    await book.waitFor('skipped', 100 - 1 - 64);
    expect(point.hits).toBe(1);
    expect(logger.lines.filter(({ message }) => message.startsWith('replay check skipped: too many')).length).toBe(book.count('skipped'));
    point.release();
    await book.waitFor('match', 65);
    expect(book.count('mismatch')).toBe(0);
  });

  test('ends its thread when it does not end, charges nobody, and is not made again of that code', async () => {
    const { client, book, logger, runtime } = await open();
    const handle = await client.startOrchestration('s', 'spinsAgain');
    await book.waitFor('mismatch', 1);
    const { error, eventId } = book.mismatches[0] as ReplayMismatch;
    expect({ code: error.code, eventId }).toEqual({ code: 'TURN_TIMEOUT', eventId: 4 });
    expect(error.message).toContain('Last call: ctx.now()');
    await handle.raiseEvent('go', 'on');
    expect(await handle.result({ timeout: PATIENCE })).toBe('on');
    await book.waitFor('skipped', 1);
    expect(logger.lines.filter(({ fields }) => 'attempt' in fields)).toEqual([]);
    expect(runtime.stats().turnsCommitted).toBe(3);
    expect([book.count('match'), book.count('mismatch'), book.count('skipped')]).toEqual([1, 1, 1]);
  });

  test('is skipped when its thread dies, and charges nobody', async () => {
    const { client, book, logger } = await open();
    const handle = await client.startOrchestration('e', 'exitsAgain');
    await book.waitFor('skipped', 1);
    await handle.raiseEvent('go', 'on');
    expect(await handle.result({ timeout: PATIENCE })).toBe('on');
    await book.waitFor('skipped', 2);
    expect(logger.lines.filter(({ fields }) => 'attempt' in fields)).toEqual([]);
    expect([book.count('match'), book.count('mismatch')]).toEqual([0, 0]);
  });

  test('is skipped when its thread dies while the history is read', async () => {
    const { client, book, store, runtime } = await open();
    const point = store.debugPoint('readHistory:before');
    await client.startOrchestration('x', 'waits', 'status');
    await point.reached;
    const done = book.waitFor('skipped', 1);
    expect(runtime.crashThread({ kind: 'replay' })).toBe(true);
    await done;
    point.release();
    await client.raiseEvent('x', 'go', 'on');
    expect(await client.waitForResult('x', { timeout: PATIENCE })).toBe('on');
    await book.waitFor('match', 1);
    expect(book.count('mismatch')).toBe(0);
  });

  test('does not keep a shutdown waiting for the store', async () => {
    const { client, book, store, runtime } = await open(inline);
    const point = store.debugPoint('readHistory:before');
    await client.startOrchestration('x', 'waits', 'status');
    await client.startOrchestration('y', 'waits', 'status');
    await client.waitForCustomStatus('y', { afterVersion: 0, timeout: PATIENCE });
    await point.reached;
    await runtime.shutdown({ timeoutMs: 60_000 });
    expect(book.count('skipped')).toBe(runtime.stats().turnsCommitted);
    point.release();
  });

  test('does not keep a shutdown waiting for a thread', async () => {
    const { client, book, runtime, stand } = await open({ turnTimeoutMs: 600_000 });
    const channel = new BroadcastChannel(GATE_CHANNEL);
    stand.defer(() => channel.close());
    const spinning = new Promise((resolve) => channel.addEventListener('message', resolve));
    await client.startOrchestration('s', 'spinsAgain');
    await spinning;
    await runtime.shutdown({ timeoutMs: 60_000 });
    expect([book.count('match'), book.count('skipped')]).toEqual([1, 1]);
  });

  test('survives a listener that throws', async () => {
    const { client, book, logger } = await open({
      ...inline,
      onReplayMismatch: () => {
        throw new RangeError('listener');
      },
    });
    await (await client.startOrchestration('n', 'numbers')).result({ timeout: PATIENCE });
    await book.waitFor('mismatch', 2);
    const lines = await logger.waitFor(({ message }) => message === '`onReplayMismatch` has thrown', 2);
    expect(lines[0]?.fields['err']).toMatchObject({ message: 'listener' });
  });
});
