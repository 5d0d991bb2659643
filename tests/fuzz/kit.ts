// What the fuzzers share: how long they run, values that break things, a store with instances at rest, and damage done to it by SQL.
import Database from 'better-sqlite3';
import { Client, defineActivity, defineOrchestration, DurableError, Runtime, type RuntimeOptions } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { fcParameters } from '../support/seed.ts';

/** How many times as many cases to try as in CI. */
const FACTOR = Number(process.env['DURALOOM_FUZZ_FACTOR'] ?? 1);

/** Longest time of one test, in milliseconds. */
export const LIMIT_MS: number = 120_000 + FACTOR * 120_000;

/** Parameters of `fc.assert`: the seed, and a number of cases that a long run multiplies by `DURALOOM_FUZZ_FACTOR`. */
export function fuzz(numRuns: number): ReturnType<typeof fcParameters> {
  return fcParameters({ numRuns: Math.max(1, Math.ceil(numRuns * FACTOR)) });
}

/** No wait of a fuzzer is longer: what takes longer hangs. */
export const PATIENCE = '10s';

// --- values --------------------------------------------------------------------------------------------------------------------------

/** Values that break careless code; made anew for each use. */
export const WILD: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  'minus one': () => -1,
  half: () => 0.5,
  NaN: () => Number.NaN,
  'minus zero': () => -0,
  infinity: () => Number.POSITIVE_INFINITY,
  'too large an integer': () => 2 ** 60,
  bigint: () => 10n,
  'empty text': () => '',
  text: () => 'text',
  'lone surrogate': () => '\uD800',
  'long text': () => 'x'.repeat(100_000),
  true: () => true,
  symbol: () => Symbol('wild'),
  function: () => () => undefined,
  'bound function': () => fail.bind(null),
  'empty array': () => [],
  'sparse array': () => Object.assign([], { 3: 1 }),
  'array of null': () => [null],
  'empty object': () => ({}),
  'object without prototype': () => Object.create(null) as unknown,
  'JSON with __proto__': () => JSON.parse('{"__proto__":{"polluted":true}}') as unknown,
  date: () => new Date(Number.NaN),
  map: () => new Map([[1, 2]]),
  'typed array': () => new Uint8Array(3),
  'rejected promise': () => {
    const promise = Promise.reject(new RangeError('wild'));
    promise.catch(() => undefined);
    return promise;
  },
  'revoked proxy': () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  'proxy that throws': () =>
    new Proxy(
      {},
      {
        get: fail,
        has: fail,
        ownKeys: fail,
        getPrototypeOf: fail,
        getOwnPropertyDescriptor: fail,
      },
    ),
  'proxy that has everything': () => new Proxy({}, { get: () => 1, has: () => true }),
  'toString that throws': () => ({ toString: fail, valueOf: fail, [Symbol.toPrimitive]: fail }),
  'toJSON that throws': () => ({ toJSON: fail }),
  cycle: () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    return cycle;
  },
};

function fail(): never {
  throw new RangeError('a trap of the test');
}

/** A name and value of `WILD`. */
export const wild: fc.Arbitrary<{ readonly name: string; readonly make: () => unknown }> = fc
  .constantFrom(...Object.keys(WILD))
  .map((name) => ({ name, make: WILD[name] ?? fail }));

/** Text that looks like what the store holds, or nearly. */
export const storedText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '',
    'null',
    '5',
    '"text"',
    '[]',
    '{}',
    '[null]',
    '{"',
    '[{"id":1}]',
    '[{"id":1,"id":2,"kind":"OrchestrationStarted"}]',
    '{"kind":"EventRaised"}',
    '{"kind":"EventRaised","name":"go","kind":"TimerFired"}',
    '{"kind":"Unheard"}',
    '{"kind":"__proto__"}',
    '{"kind":"constructor","__proto__":{"kind":"EventRaised"}}',
    '{"__proto__":{"kind":"EventRaised","name":"go"}}',
    '"\uD800"',
    '"\\ud800"',
    '1e999',
    '-0',
    '{"kind":"TimerFired","executionId":1e999,"sourceId":-1}',
    `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
    'a',
    'victim',
    'Quarantined',
    'Completed',
    'terminate',
    '\u0000',
    'duraloom:system',
  ),
  fc.json({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

/** What a damaged cell holds; `raw` text is given as bytes, so that it need not be UTF-8. */
export type Cell =
  | { readonly kind: 'plain'; readonly value: string | number | bigint | null }
  | { readonly kind: 'blob'; readonly hex: string }
  | { readonly kind: 'raw'; readonly hex: string };

const hex = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('hex'));

/** Anything that SQLite can store in a cell. */
export const cell: fc.Arbitrary<Cell> = fc.oneof(
  { weight: 5, arbitrary: storedText.map((value): Cell => ({ kind: 'plain', value })) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom<number | bigint | null>(
        null,
        0,
        -1,
        1,
        2,
        999,
        1.5,
        1e308,
        2 ** 53,
        9_223_372_036_854_775_807n,
        -9_223_372_036_854_775_808n,
      )
      .map((value): Cell => ({
        kind: 'plain',
        value: typeof value === 'number' && Number.isInteger(value) && value < 2 ** 63 ? BigInt(value) : value,
      })),
  },
  { weight: 1, arbitrary: hex.map((bytes): Cell => ({ kind: 'blob', hex: bytes })) },
  { weight: 2, arbitrary: fc.constantFrom('ff', 'c0', '61ff', 'edA080').map((bytes): Cell => ({ kind: 'raw', hex: bytes })) },
);

// --- damage --------------------------------------------------------------------------------------------------------------------------

/** The columns of each table of a store. */
export function columnsOf(file: string): readonly { readonly table: string; readonly column: string }[] {
  const database = new Database(file);
  try {
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").pluck().all();
    return (tables as string[]).flatMap((table) =>
      (database.pragma(`table_info(${table})`) as readonly { readonly name: string }[]).map(({ name }) => ({ table, column: name })),
    );
  } finally {
    database.close();
  }
}

/** What happens to the rows of one table that belong to the victim. */
export type Damage = { readonly table: string; readonly column: string; readonly cell: Cell | 'row removed' };

/** Damage to one of these columns. */
export function damageOf(columns: readonly { readonly table: string; readonly column: string }[]): fc.Arbitrary<Damage> {
  return fc
    .record({
      place: fc.constantFrom(...columns),
      cell: fc.oneof({ weight: 20, arbitrary: cell }, { weight: 1, arbitrary: fc.constant('row removed' as const) }),
    })
    .map(({ place, cell }) => ({ ...place, cell }));
}

/**
 * Changes rows of a table from another connection, whatever type and nullability the schema declares.
 *
 * @returns how many rows were changed; 0 also when SQLite refuses: two rows would have one key
 */
export function damage(file: string, { table, column, cell }: Damage, where: string): number {
  const sql = relax(file, table);
  const database = new Database(file, { timeout: 5_000 });
  try {
    if (cell === 'row removed') return database.prepare(`DELETE FROM ${table} WHERE ${where}`).run().changes;
    const value = cell.kind === 'plain' ? '?' : cell.kind === 'blob' ? `x'${cell.hex}'` : `CAST(x'${cell.hex}' AS TEXT)`;
    const values = cell.kind === 'plain' ? [cell.value] : [];
    return database.prepare(`UPDATE ${table} SET ${column} = ${value} WHERE ${where}`).run(...values).changes;
  } catch (error) {
    if (error instanceof Error && /constraint|datatype mismatch/i.test(error.message)) return 0;
    throw error;
  } finally {
    database.close();
    writeSchema(file, table, sql);
  }
}

/** Takes STRICT, NOT NULL and all types from a table. The cookie of the schema stays, so other connections notice nothing. Returns the true schema. */
function relax(file: string, table: string): string {
  const database = new Database(file);
  const sql = database.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?").pluck().get(table) as string;
  database.close();
  const relaxed = sql
    .replaceAll(' NOT NULL', '')
    .replaceAll(/ TEXT| INTEGER(?! PRIMARY KEY)/g, '')
    .replace(/STRICT(?:, )?/, '');
  writeSchema(file, table, relaxed);
  return sql;
}

function writeSchema(file: string, table: string, sql: string): void {
  const database = new Database(file, { timeout: 5_000 });
  database.unsafeMode(true);
  database.pragma('writable_schema = ON');
  database.prepare("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?").run(sql, table);
  database.close();
}

// --- a store with instances ----------------------------------------------------------------------------------------------------------

/** Instances that are damaged. Each has an orchestration of its own, so that rows of code are of it alone. */
export const VICTIMS: readonly string[] = Array.from({ length: 8 }, (_, index) => `m-victim-${index}`);
export const [VICTIM = ''] = VICTIMS;
/** Instances before and behind it in every order. */
export const NEIGHBOURS = ['a-neighbour', 'z-neighbour'] as const;

const EXPECTED = ['plain', 'tagged', 'in session', 'limited', 'raised'];

const orchestrations = ['neighbour', ...VICTIMS].map((name) =>
  defineOrchestration(name, async (ctx) => {
    ctx.sendToSession(`${ctx.instanceId}-session`, 1);
    ctx.subscribe('news/*');
    ctx.kv.set('key', { a: 1 });
    const far = ctx.scheduleTimer('1h');
    ctx.setCustomStatus('waiting');
    const results = await ctx.all([
      ctx.scheduleActivity('echo', 'plain'),
      ctx.scheduleActivity('echo', 'tagged', { tag: 'gpu', priority: 1 }),
      ctx.scheduleActivity('echo', 'in session', { sessionId: `${ctx.instanceId}-session` }),
      ctx.scheduleActivity('echo', 'limited', {
        limit: { key: `${ctx.instanceId}-limit`, concurrency: 1, rate: { count: 1, perMs: 10 } },
      }),
      ctx.waitForEvent('go'),
    ]);
    far.cancel();
    return results;
  }),
);
const inline: Partial<RuntimeOptions> = {
  replayThreads: 0,
  activityThreads: 0,
  stickyCacheMb: 0,
  maxAttempts: 2,
  retryBackoff: { initialMs: 1, maximumMs: 2 },
  tags: 'any',
  maxSessions: 20,
};

/** A store in a folder of its own with two neighbours and some victims, and the runtimes on it. */
export class World implements AsyncDisposable {
  readonly victims: readonly string[];
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'duraloom-fuzz-'));
  readonly file: string = join(this.#folder, 'store.db');
  #provider: SqliteProvider | null = null;
  #runtime: Runtime | null = null;
  #letActivitiesEnd = (): void => undefined;

  constructor(victims: readonly string[] = [VICTIM]) {
    this.victims = victims;
  }

  get provider(): SqliteProvider {
    if (this.#provider === null) throw new TypeError('the world is opened first');
    return this.#provider;
  }

  get client(): Client {
    return new Client(this.provider);
  }

  async open(): Promise<void> {
    this.#provider = await SqliteProvider.open(this.file, { synchronous: 'NORMAL' });
  }

  async closeProvider(): Promise<void> {
    await this.#provider?.close();
    this.#provider = null;
  }

  /** Starts a runtime; `withActivities` false: what activities are to do stays in the store. They run until `raiseAll`. */
  async start(withActivities: boolean): Promise<void> {
    const gate = new Promise<void>((resolve) => {
      this.#letActivitiesEnd = resolve;
    });
    const activities = defineActivity('echo', async (_ctx, value: unknown) => {
      await gate;
      return value;
    });
    this.#runtime = await Runtime.start({
      ...inline,
      provider: this.provider,
      orchestrations,
      ...(withActivities ? { activities } : {}),
    });
  }

  /** Lets go on what waits: activities, and instances for their event. */
  async raiseAll(): Promise<void> {
    this.#letActivitiesEnd();
    for (const id of NEIGHBOURS) await this.client.raiseEvent(id, 'go', 'raised');
    // A victim may be gone for every call.
    for (const id of this.victims) await outcomeOf(() => this.client.raiseEvent(id, 'go', 'raised'));
  }

  async stop(): Promise<void> {
    await this.#runtime?.shutdown({ timeoutMs: 100 });
    this.#runtime = null;
  }

  /** Starts the instances and lets them come to rest: each has rows in nearly all tables then. */
  async populate(): Promise<void> {
    for (const id of NEIGHBOURS) await this.client.startOrchestration(id, 'neighbour');
    for (const id of this.victims) await this.client.startOrchestration(id, id);
    for (const id of [...NEIGHBOURS, ...this.victims]) await this.client.waitForCustomStatus(id, { afterVersion: 0, timeout: PATIENCE });
  }

  /** Which rows of a table damage to a victim hits. */
  where(table: string, victim: string = VICTIM): string {
    switch (table) {
      case 'codes':
        return `name = '${victim}'`;
      case 'sessions':
      case 'session_messages':
        return `session_id = '${victim}-session'`;
      case 'limits':
        return `limit_key = '${victim}-limit'`;
      case 'runtimes':
        return '1';
      case 'history':
      case 'instance_attributes':
        return `instance_key = (SELECT instance_key FROM instances WHERE instance_id = '${victim}')`;
      case 'leases':
        return `instance_ids LIKE '%"${victim}"%'`;
      default:
        return `instance_id = '${victim}'`;
    }
  }

  /** The neighbours complete as if nothing had happened. */
  async expectNeighbours(): Promise<void> {
    for (const id of NEIGHBOURS) expect(await this.client.waitForResult(id, { timeout: PATIENCE })).toEqual(EXPECTED);
  }

  /** A victim goes on to its end, or is taken out of service. Returns which. */
  async expectSettled(victim: string = VICTIM): Promise<string> {
    const outcome = await outcomeOf(() => this.client.waitForResult(victim, { timeout: PATIENCE }));
    expect(outcome, victim).not.toBe('WAIT_TIMEOUT');
    return outcome;
  }

  /** Every call about the victims gives a value or a typed error, and none harms the others. */
  async expectTyped(): Promise<void> {
    const { client } = this;
    // What is for all must not fail for one.
    await client.publish('news/today', 1);
    await outcomeOf(() => client.listRuntimes());
    await outcomeOf(() => client.listInstances());
    for (const victim of this.victims) {
      const calls: readonly (() => Promise<unknown>)[] = [
        () => client.getState(victim),
        () => client.readHistory(victim),
        () => client.getValues(victim),
        () => client.getValue(victim, 'key'),
        () => client.listActivities(victim),
        () => client.waitForReceipt(victim, 'key', { timeout: 0 }),
        () => client.waitForResult(victim, { timeout: 0 }),
        () => client.suspend(victim),
        () => client.resume(victim),
        () => client.terminate(victim),
      ];
      for (const call of calls) await outcomeOf(call);
    }
  }

  /** Nothing turns in circles: with nothing to do there are hardly any transactions. */
  async expectQuiet(): Promise<void> {
    const before = this.provider.commitStats.commits;
    for (let tick = 0; tick < 25; tick += 1) {
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
    }
    expect(this.provider.commitStats.commits - before, 'transactions of a quiet store').toBeLessThan(12);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.closeProvider();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** `ok`, or the code of a typed error; anything else that is thrown fails the test. */
export async function outcomeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'ok';
  } catch (error) {
    if (!(error instanceof DurableError)) throw error;
    expect(error.message.length).toBeGreaterThan(10);
    return error.code;
  }
}
