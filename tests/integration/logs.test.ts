// Log lines over real threads, into a real pino: where they come from, that none appears twice, how many there may be, and what silence costs.
//
// Covered elsewhere: commits that fail in every way (tests/main/logs.test.ts), what a line keeps of its fields (tests/types/log-line.test.ts).
import { pino } from 'pino';
import { Client, type Logger, type MetricSeries, type Runtime, type RuntimeOptions } from 'duraloom';
import { faulty } from 'duraloom/testing';
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { fixture, PATIENCE, quick, stage } from '../support/integration-stage.ts';

type Line = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: number };

/** A pino that writes into memory, and what it has written. */
class Pino {
  readonly lines: Line[] = [];
  readonly #waiting = new Set<() => void>();
  readonly logger: pino.Logger;

  constructor(options: pino.LoggerOptions = {}) {
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.lines.push(JSON.parse(chunk.toString()) as Line);
        for (const look of this.#waiting) look();
        done();
      },
    });
    this.logger = pino({ level: 'debug', base: null, ...options }, stream);
  }

  /** Lines of an instance. */
  of(instanceId: string, msg?: string): readonly Line[] {
    return this.lines.filter((line) => line['instanceId'] === instanceId && (msg === undefined || line.msg === msg));
  }

  /** Resolves when something is there. */
  until(isThere: () => boolean): Promise<void> {
    if (isThere()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isThere()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }
}

const modules = { orchestrations: fixture('logs/orchestrations.ts'), activities: fixture('logs/activities.ts') };

async function open(
  logger: Logger | undefined,
  options: Partial<RuntimeOptions> = {},
): Promise<{ readonly runtime: Runtime; readonly client: Client }> {
  const stand = stage();
  const provider = await stand.openProvider();
  const given = { provider, ...quick, ...modules, nodeId: 'node-1', ...options, ...(logger === undefined ? {} : { logger }) };
  const runtime = await stand.startRuntime(given);
  return { runtime, client: new Client(provider) };
}

async function run(client: Client, id: string, name: string, input?: unknown): Promise<void> {
  const handle = await client.startOrchestration(id, name, input);
  await handle.result({ timeout: PATIENCE });
}

function dropsOf(runtime: Runtime): readonly MetricSeries[] {
  return runtime.metrics().filter(({ name }) => name === 'duraloom_log_lines_dropped_total');
}

describe('a line in pino', () => {
  test('says where it comes from', async () => {
    const book = new Pino();
    const { client } = await open(book.logger);
    await run(client, 'a', 'talks', 1);
    const origin = { instanceId: 'a', executionId: 1, nodeId: 'node-1' };
    const of = (msg: string): readonly Line[] => book.lines.filter((line) => line.msg === msg);
    expect(of('step')).toMatchObject([{ level: 30, ...origin, orchestration: 'talks', version: '2.1.0', thread: 'replay-0', step: 1 }]);
    expect(of('spoken')).toMatchObject([
      { level: 30, ...origin, activity: 'speak', eventId: 2, attempt: 1, thread: 'activity-0', step: 1 },
    ]);
    expect(of('done')).toMatchObject([{ ...origin, orchestration: 'talks' }]);
  });

  test('of an activity has the attempt that it sees itself, and the error that it logged', async () => {
    const book = new Pino();
    const { client } = await open(book.logger);
    await run(client, 'a', 'insists');
    expect(book.of('a')).toMatchObject([
      { level: 50, msg: 'stumbled', attempt: 1, eventId: 2, err: { name: 'RangeError', message: 'a stone' } },
      { level: 30, msg: 'got up', attempt: 2, eventId: 2 },
    ]);
  });

  test('of the runtime has the error where pino looks for it', async () => {
    const book = new Pino();
    const stand = stage();
    const plan = { seed: 1, script: [{ operation: 'ackOrchestrationItems', call: 1, fault: { kind: 'errorBefore' } }] } as const;
    const provider = faulty(await stand.openProvider(), plan);
    await stand.startRuntime({ provider, ...quick, ...modules, nodeId: 'node-1', maxAttempts: 100, logger: book.logger });
    await run(new Client(provider), 'a', 'talks', 1);
    const line = book.lines.find(({ operation }) => operation === 'ackOrchestrationItems');
    expect(line).toMatchObject({ level: 40, nodeId: 'node-1', err: { type: 'ProviderError', code: 'PROVIDER_FAILED' } });
  });

  test('of an activity that was answered for before it said it has its origin, too', async () => {
    const book = new Pino();
    const { client } = await open(book.logger, { activityGraceMs: 0 });
    const handle = await client.startOrchestration('a', 'runs', { activity: 'lateWords' });
    await book.until(() => book.of('a', 'begun').length > 0);
    await handle.cancel();
    await handle.result({ timeout: PATIENCE }).catch(() => undefined);
    await book.until(() => book.of('a', 'last words').length > 0);
    expect(book.of('a', 'last words')).toMatchObject([{ activity: 'lateWords', executionId: 1, thread: 'activity-0', attempt: 1 }]);
  });

  test('goes through child loggers', async () => {
    const book = new Pino();
    const { client } = await open(book.logger.child({ service: 'shop' }));
    await run(client, 'a', 'talks', 1);
    expect(book.of('a', 'done')).toMatchObject([{ service: 'shop', orchestration: 'talks' }]);
  });
});

test('lines of orchestrations appear once while the store fails all the time', async () => {
  const book = new Pino();
  const stand = stage();
  const store = await stand.openProvider();
  const rates = { ackOrchestrationItems: { errorBefore: 0.15, errorAfter: 0.3, lockLost: 0.1, duplicate: 0.1 } };
  const provider = faulty(store, { seed: 7, rates });
  const runtime = await stand.startRuntime({ provider, ...quick, ...modules, maxAttempts: 1000, activityThreads: 2, logger: book.logger });
  const client = new Client(store);
  const ids = Array.from({ length: 20 }, (_, index) => `i${index}`);
  await client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: 'talks', input: 4 })));
  for (const id of ids) await client.waitForResult(id, { timeout: PATIENCE });
  const linesOf = (id: string): readonly Line[] =>
    book.of(id).filter(({ orchestration, level }) => orchestration === 'talks' && level === 30);
  await book.until(() => ids.every((id) => linesOf(id).length >= 5));
  await runtime.shutdown();
  const wanted = ['step 1', 'step 2', 'step 3', 'step 4', 'done undefined'];
  for (const id of ids) {
    expect(
      linesOf(id)
        .map(({ msg, step }) => `${msg} ${String(step)}`)
        .toSorted(),
    ).toEqual(wanted.toSorted());
  }
  expect(provider.log.length).toBeGreaterThan(5);
});

describe('more lines than there may be', () => {
  const LINES = 20_000;

  test('of one turn are dropped, counted, and told of in one line; the next turn begins anew', async () => {
    const book = new Pino();
    const { client, runtime } = await open(book.logger, { turnTimeoutMs: 10_000 });
    await run(client, 'a', 'floods', LINES);
    const kept = book.of('a', 'flood');
    // The beginning, without gaps.
    expect(kept.map(({ line }) => line)).toEqual(kept.map((_, index) => index));
    expect(kept.length).toBeGreaterThan(1_000);
    expect(kept.length).toBeLessThan(6_000);
    const dropped = LINES - kept.length;
    expect(book.lines.filter((line) => 'dropped' in line)).toMatchObject([
      {
        level: 40,
        instanceId: 'a',
        orchestration: 'floods',
        thread: 'replay-0',
        dropped,
        msg: expect.stringContaining(`${dropped} log lines were dropped`) as unknown,
      },
    ]);
    expect(dropsOf(runtime)).toMatchObject([{ kind: 'counter', labels: { thread: 'replay-0' }, value: dropped }]);
    expect(book.of('a', 'after')).toHaveLength(1);
  });

  test('of an activity that gives way to nobody are dropped, counted and told of; later ones arrive', async () => {
    const book = new Pino();
    // All of it is written in one go, which may take its time.
    const { client, runtime } = await open(book.logger, { activityLockMs: 20_000 });
    await run(client, 'a', 'runs', { activity: 'flood', input: 100_000 });
    await run(client, 'b', 'runs', { activity: 'flood', input: 10 });
    const kept = book.of('a', 'flood').length;
    expect(kept).toBeGreaterThan(5_000);
    expect(kept).toBeLessThan(15_000);
    const told = book.lines.filter((line) => 'dropped' in line);
    expect(told).toMatchObject([{ level: 40, thread: 'activity-0', nodeId: 'node-1', dropped: 100_000 - kept }]);
    expect(dropsOf(runtime)).toMatchObject([{ labels: { thread: 'activity-0' }, value: 100_000 - kept }]);
    expect(book.of('b', 'flood')).toHaveLength(10);
  });
});

describe('lines that nobody wants', () => {
  const LINES = 200;
  const received = (runtime: Runtime): number => runtime.stats().activityThreads[0]?.batchesReceived ?? 0;
  const mutter = { activity: 'mutter', input: LINES };

  test('do not leave their thread: the level of pino counts', async () => {
    const book = new Pino({ level: 'warn' });
    const { client, runtime } = await open(book.logger);
    await run(client, 'a', 'runs', mutter);
    expect(book.lines.map(({ msg }) => msg)).toEqual(['loud']);
    expect(received(runtime)).toBeLessThanOrEqual(2);
  });

  test('are none without a logger', async () => {
    const { client, runtime } = await open(undefined);
    await run(client, 'a', 'runs', mutter);
    await run(client, 'b', 'floods', 20_000);
    expect(received(runtime)).toBe(1);
    expect(dropsOf(runtime)).toEqual([]);
  });

  test('travel when somebody wants them', async () => {
    const book = new Pino();
    const { client, runtime } = await open(book.logger);
    await run(client, 'a', 'runs', mutter);
    expect(book.of('a', 'muttered').map(({ line }) => line)).toEqual(Array.from({ length: LINES }, (_, index) => index));
    expect(received(runtime)).toBeGreaterThan(2);
  });
});

test('pino, its children, and console have the type of a logger', () => {
  const loggers: readonly Logger[] = [pino({ level: 'silent' }), pino({ level: 'silent' }).child({ service: 'shop' }), console];
  expect(loggers.map((logger) => typeof logger.info)).toEqual(['function', 'function', 'function']);
});
