// Connecting to a PostgreSQL server that is not there, not right or not willing: each failure has its code, says what to do, comes in time, and
// tells no secret. Neighbours: postgres-trouble.test.ts (what happens later), src/provider/postgres/trouble.ts (the codes).
import { PostgresProvider, type PooledPostgresClient, type PostgresOptions, type PostgresPool } from 'duraloom/postgres';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { dropSchema, queryServer } from '../../postgres-server/schemas.ts';
import { startOwnPostgres, type PostgresServer } from '../../postgres-server/server.ts';
import { fetchOne, start } from '../../src/conformance/case-kit.ts';
import { Child } from '../support/integration-child.ts';
import { rejection, stage } from '../support/integration-stage.ts';
import { freshSchema, openPostgres, postgresUrl, query } from '../support/postgres.ts';

const PASSWORD = 'Sesam#öffne dich%';
/** Beyond the time for connecting: for a machine that is busy with other things. */
const LENIENCE_MS = 3_000;

type Failure = Error & { readonly code?: string; readonly retryable?: boolean };

/** What connecting rejects with, in time and without a secret. */
async function failure(options: PostgresOptions): Promise<Failure> {
  const { connectTimeoutMs = 5_000 } = options;
  const startedMs = performance.now();
  const error: Failure = await rejection(PostgresProvider.connect({ ...options, connectTimeoutMs }));
  expect(performance.now() - startedMs).toBeLessThan(connectTimeoutMs + LENIENCE_MS);
  expect(error.name).toBe('ProviderError');
  expect(error).toMatchObject({ operation: 'connect' });
  assertNoSecret(error);
  return error;
}

/** Looks into all that an error holds, hidden properties and causes included. */
function assertNoSecret(error: unknown): void {
  const seen = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), 'Sesam']) expect(seen).not.toContain(secret);
}

function urlWith(url: string, changes: Partial<Pick<URL, 'hostname' | 'password' | 'pathname' | 'port' | 'username'>>): string {
  const { password } = changes;
  return Object.assign(new URL(url), changes, password === undefined ? {} : { password: encodeURIComponent(password) }).href;
}

/** A server of the given manners, on a port of its own. */
async function listen(answer: (socket: Socket) => void): Promise<{ readonly url: string; readonly server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket)));
    answer(socket.resume());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { url: `postgresql://me:${encodeURIComponent(PASSWORD)}@127.0.0.1:${(server.address() as AddressInfo).port}/db`, server };
}

/** "You are in", "ready": then it is silent. */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);

/** How many connections the server has of a name. */
async function connectionsOf(name: string): Promise<number> {
  const [row] = await query('SELECT count(*)::integer AS count FROM pg_stat_activity WHERE application_name = $1', [name]);
  return Number(row?.['count']);
}

describe('a server that cannot be reached', () => {
  test('has a name that nobody knows: unreachable', async () => {
    const url = `postgresql://me:${encodeURIComponent(PASSWORD)}@no-such-host.invalid/db`;
    const error = await failure({ connectionString: url, connectTimeoutMs: 4_000 });
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true });
    expect(error.message).toContain('no-such-host.invalid:5432/db');
  });

  test.each<readonly [string, (socket: Socket) => void]>([
    ['takes the connection and says nothing', () => undefined],
    ['lets the user in and says nothing after that', (socket) => void socket.once('data', () => socket.write(WELCOME))],
    ['lets the user in and hangs up', (socket) => void socket.once('data', () => socket.end(WELCOME))],
    ['hangs up at once', (socket) => void socket.end()],
  ])('%s: unreachable, in time, and no connection stays', async (_, answer) => {
    const { url, server } = await listen(answer);
    const error = await failure({ connectionString: url, connectTimeoutMs: 400 });
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true });
    await expect.poll(() => new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))).toBe(0);
  });

  test.each([
    'localhost:5432/db',
    'https://me@localhost/db',
    `postgresql://me:${PASSWORD}@localhost/db`,
    'postgresql://me@localhost:99999/db',
    'postgresql://me:Sesam%zz@localhost/db',
    '',
  ])('cannot be made out of %j: not passing, and says what a connection string is', async (connectionString) => {
    const error = await failure({ connectionString });
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: false });
    expect(error.message).toContain('postgresql://user:password@host:port/database');
  });

  test('has no such database', async () => {
    const error = await failure({ connectionString: urlWith(postgresUrl(), { pathname: '/no_such_database' }) });
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: false });
    expect(error.message).toMatch(/no_such_database.*3D000.*Create it/);
  });
});

describe('a server that does not let in', () => {
  let server: PostgresServer;
  /** Of a user with a password. */
  let userUrl: string;
  const run = (text: string): Promise<unknown> => queryServer(server.url, text);

  beforeAll(async () => {
    server = await startOwnPostgres({ fsync: 'off', maxConnections: 20 });
    await run(`CREATE ROLE keeper LOGIN PASSWORD '${PASSWORD}'`);
    // The server writes the file that says who gets in how.
    await run(`DO $$ BEGIN EXECUTE format(
      'COPY (VALUES (''host all postgres 127.0.0.1/32 trust''), (''host all all 127.0.0.1/32 scram-sha-256'')) TO %L', current_setting('hba_file'));
    END $$`);
    await server.takeDown('fast');
    await server.bringUp();
    userUrl = urlWith(server.url, { username: 'keeper', password: PASSWORD });
  });
  afterAll(() => server.stop());

  test('because it is down: unreachable, passing, with the address, and it works when it is back', async () => {
    const options = { connectionString: userUrl, schema: 'later' };
    await run('CREATE SCHEMA later AUTHORIZATION keeper');
    onTestFinished(() => server.bringUp());
    await server.takeDown('fast');
    const error = await failure(options);
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true });
    expect(error.message).toMatch(new RegExp(`127\\.0\\.0\\.1:${new URL(userUrl).port}/.*ECONNREFUSED.*Check host, port and network`));
    await server.bringUp();
    const provider = await PostgresProvider.connect(options);
    await start(provider, 'a');
    await provider.close();
  });

  test('because of the password', async () => {
    const error = await failure({ connectionString: urlWith(userUrl, { password: `not ${PASSWORD}` }) });
    expect(error).toMatchObject({ code: 'DATABASE_DENIED', retryable: false });
    expect(error.message).toMatch(/keeper.*28P01.*Check user and password/);
  });

  test('because there is no password', async () => {
    const error = await failure({ connectionString: urlWith(userUrl, { password: '' }) });
    expect(error).toMatchObject({ retryable: false });
    expect(error.message).toMatch(/password/);
  });

  test('to make a schema, until an administrator makes one for the user', async () => {
    const denied = await failure({ connectionString: userUrl, schema: 'tenant' });
    expect(denied).toMatchObject({ code: 'DATABASE_DENIED', retryable: false });
    expect(denied.message).toMatch(/42501.*GRANT CREATE ON DATABASE .* or create the schema tenant/);
    await run('CREATE SCHEMA tenant AUTHORIZATION keeper');
    const provider = await PostgresProvider.connect({ connectionString: userUrl, schema: 'tenant' });
    await start(provider, 'a');
    await provider.close();
  });

  test('into the store of another user', async () => {
    const owner = await PostgresProvider.connect({ connectionString: server.url, schema: 'owned' });
    await owner.close();
    const error = await failure({ connectionString: userUrl, schema: 'owned' });
    expect(error).toMatchObject({ code: 'DATABASE_DENIED', retryable: false });
    expect(error.message).toContain('owned');
  });

  test('because it has no connection left: passing, and it works when one is free', async () => {
    await run('CREATE ROLE single LOGIN CONNECTION LIMIT 1');
    await run(`ALTER ROLE single PASSWORD '${PASSWORD}'`);
    await run('CREATE SCHEMA single AUTHORIZATION single');
    const connectionString = urlWith(userUrl, { username: 'single' });
    const holder = new pg.Client({ connectionString });
    await holder.connect();
    const error = await failure({ connectionString, schema: 'single' });
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true });
    expect(error.message).toContain('53300');
    await holder.end();
    await expect
      .poll(async () => {
        const provider = await PostgresProvider.connect({ connectionString, schema: 'single' });
        await provider.close();
        return 'connected';
      })
      .toBe('connected');
  });
});

describe('a schema that cannot be used', () => {
  test('because the server takes no writes', async () => {
    const schema = freshSchema();
    const readOnly = `${postgresUrl()}?options=${encodeURIComponent('-c default_transaction_read_only=on')}`;
    const error = await failure({ connectionString: readOnly, schema });
    expect(error).toMatchObject({ code: 'DATABASE_READ_ONLY', retryable: true });
    expect(error.message).toMatch(/read-only.*Connect to the primary/);
    expect(await query('SELECT FROM pg_namespace WHERE nspname = $1', [schema])).toEqual([]);
  });

  test('because a newer duraloom has changed it: nothing is changed back', async () => {
    const { schema } = await storeOf();
    await query(`INSERT INTO "${schema}".duraloom (version) VALUES (999)`);
    const error = await failure({ connectionString: postgresUrl(), schema });
    expect(error).toMatchObject({ code: 'SCHEMA_TOO_NEW', retryable: false });
    expect(error.message).toMatch(/version 999.*Upgrade duraloom/);
    expect(await query(`SELECT max(version) AS version FROM "${schema}".duraloom`)).toEqual([{ version: 999 }]);
  });

  test.each(['CREATE TABLE %.customers (id integer)', 'CREATE VIEW %.customers AS SELECT 1', 'CREATE TABLE %.instances (id integer)'])(
    'because it is of something else (%s): nothing is written into it',
    async (statement) => {
      const schema = freshSchema();
      await query(`CREATE SCHEMA "${schema}"`);
      await query(statement.replace('%', `"${schema}"`));
      const error = await failure({ connectionString: postgresUrl(), schema });
      expect(error).toMatchObject({ code: 'DATABASE_FOREIGN', retryable: false });
      expect(error.message).toMatch(/(customers|instances)\. Choose another `schema`/);
      expect(await query('SELECT FROM pg_class WHERE relnamespace = $1::regnamespace', [`"${schema}"`])).toHaveLength(1);
    },
  );

  test('because the table of its version is of something else', async () => {
    const schema = freshSchema();
    await query(`CREATE SCHEMA "${schema}"`);
    await query(`CREATE TABLE "${schema}".duraloom (name text)`);
    expect(await failure({ connectionString: postgresUrl(), schema })).toMatchObject({ code: 'DATABASE_UNREADABLE', retryable: false });
  });

  test('because the server is too old', async () => {
    // No old server is at hand: of a new one the answer about the version is changed, nothing else.
    const pool = poolOf();
    const old: PostgresPool = {
      connect: async () => {
        const client = await pool.connect();
        return {
          query: async (config: Parameters<PooledPostgresClient['query']>[0]) => {
            const answer = await client.query(config);
            return config.text.includes('server_version_num')
              ? { rows: [{ ...answer.rows?.[0], server: 140_011, name: '14.11' }] }
              : answer;
          },
          release: client.release.bind(client),
          on: client.on.bind(client),
          removeListener: client.removeListener.bind(client),
        };
      },
      on: pool.on.bind(pool),
      removeListener: pool.removeListener.bind(pool),
    };
    const schema = freshSchema();
    const error = await failure({ pool: old, schema });
    expect(error).toMatchObject({ code: 'DATABASE_TOO_OLD', retryable: false });
    expect(error.message).toMatch(/14\.11, older than 15. Upgrade the server/);
    expect(await query('SELECT FROM pg_namespace WHERE nspname = $1', [schema])).toEqual([]);
  });
});

/** A new store with nobody in it. */
async function storeOf(): Promise<{ readonly schema: string }> {
  const schema = freshSchema();
  await (await PostgresProvider.connect({ connectionString: postgresUrl(), schema })).close();
  return { schema };
}

/** A pool of an application. */
function poolOf(options: pg.PoolConfig = {}): PostgresPool & pg.Pool {
  const pool = new pg.Pool({ connectionString: postgresUrl(), max: 4, ...options });
  onTestFinished(() => (pool.ended ? undefined : pool.end()));
  return pool;
}

test('the driver is not installed: says how to get it', async () => {
  const stand = stage();
  stand.writeModule(
    'without-pg.mjs',
    `import { registerHooks } from 'node:module';
    registerHooks({ resolve(specifier, context, next) {
      if (specifier === 'pg') throw Object.assign(new Error("Cannot find package 'pg'"), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(specifier, context);
    } });
    const { PostgresProvider } = await import(${JSON.stringify(new URL('../../src/postgres.ts', import.meta.url).href)});
    try { await PostgresProvider.connect({ connectionString: 'postgresql://localhost' }); }
    catch (error) { console.log(JSON.stringify({ code: error.code, retryable: error.retryable, message: error.message })); }`,
  );
  const { stdout, stderr } = await new Child(stand, stand.file('without-pg.mjs'), []).ended;
  expect(JSON.parse(stdout || stderr)).toMatchObject({
    code: 'DRIVER_MISSING',
    retryable: false,
    message: expect.stringContaining('npm install pg') as unknown,
  });
});

describe('options', () => {
  test.each(['a"b', 'a b', "a'b", 'pg_x', 'PG_X', 'pg_', '1a', '', 'information_schema', 'ä', 'a'.repeat(55), 'a;b', 'a.b', 'a\0b'])(
    'refuse the schema %j',
    async (schema) => {
      const error = await rejection(PostgresProvider.connect({ connectionString: postgresUrl(), schema }));
      expect(error).toMatchObject({ name: 'OptionError', message: expect.stringContaining('Expected `schema`') as unknown });
    },
  );

  test.each(['Mixed_Case', 'select', `x${'y'.repeat(50)}`])('take the schema %s, and processes hear each other in it', async (name) => {
    const schema = `${name}${process.pid % 1_000}`.slice(0, 54);
    onTestFinished(() => dropSchema(postgresUrl(), schema));
    const [here, there] = [await openPostgres({ schema, pollMs: 3_600_000 }), await openPostgres({ schema, pollMs: 3_600_000 })];
    const fetching = there.fetchOrchestrationItems({ maxItems: 1, lockMs: 60_000, waitMs: 20_000 });
    await start(here, 'a');
    expect((await fetching).items.map(({ instanceId }) => instanceId)).toEqual(['a']);
  });

  test.each<readonly [keyof PostgresOptions, readonly unknown[]]>([
    ['maxConnections', [2, 0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY, 1_001, '4']],
    ['partitions', [0, 257, 1.5]],
    ['pollMs', [9, 3_600_001]],
    ['connectTimeoutMs', [0, -1]],
    ['queryTimeoutMs', [0, 3_600_001]],
    ['pool', [{}, null, 'pool', 1]],
    ['connectionString', [1, {}, null]],
    ['clock', [{}, Date]],
  ])('refuse %s out of its range', async (name, values) => {
    for (const value of values) {
      const error = await rejection(PostgresProvider.connect({ [name]: value }));
      expect(error).toMatchObject({ name: 'OptionError', message: expect.stringContaining(name) as unknown });
    }
  });

  test('refuse a pool beside a connection string, and names that there are not; the connection string is not in the message', async () => {
    const connectionString = `postgresql://me:${encodeURIComponent(PASSWORD)}@localhost/db`;
    const pool = poolOf();
    for (const bad of [
      { pool, connectionString },
      { connectionString, shema: 'x' },
    ]) {
      const error = await rejection(PostgresProvider.connect(bad));
      expect(error.name).toBe('OptionError');
      assertNoSecret(error);
    }
  });
});

describe('closing', () => {
  test('leaves no connection, and nothing that keeps a process', async () => {
    const stand = stage();
    const schema = freshSchema();
    const name = `closing_${process.pid}`;
    const url = `${postgresUrl()}?application_name=${name}`;
    stand.writeModule(
      'closes.mjs',
      `const { PostgresProvider } = await import(${JSON.stringify(new URL('../../src/postgres.ts', import.meta.url).href)});
      const provider = await PostgresProvider.connect({ connectionString: ${JSON.stringify(url)}, schema: '${schema}' });
      const fetching = provider.fetchWorkItems({ maxItems: 1, lockMs: 1000, waitMs: 60000 });
      const waiting = provider.fetchOrchestrationItems({ maxItems: 1, lockMs: 1000, waitMs: 60000 });
      await Promise.all(Array.from({ length: 20 }, (_, index) => provider.readInstances(['a' + index])));
      await provider.close();
      console.log(JSON.stringify([(await fetching).items, (await waiting).items]));`,
    );
    const child = new Child(stand, stand.file('closes.mjs'), []);
    expect(await child.ended).toMatchObject({ code: 0, stdout: '[[],[]]\n', stderr: '' });
    await expect.poll(() => connectionsOf(name)).toBe(0);
  });

  test('leaves the pool of the application as it was: neither ended nor with a listener, connections free', async () => {
    const pool = poolOf({ application_name: `pool_${process.pid}` });
    const before = pool.listenerCount('error');
    const provider = await PostgresProvider.connect({ pool, schema: freshSchema() });
    await start(provider, 'a');
    await fetchOne(provider);
    expect(pool.listenerCount('error')).toBe(before + 1);
    await provider.close();
    expect([pool.ended, pool.ending, pool.listenerCount('error')]).toEqual([false, false, before]);
    expect(pool.idleCount).toBe(pool.totalCount);
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    for (const client of await Promise.all(Array.from({ length: 4 }, () => pool.connect()))) {
      const listening = await client.query({ text: 'SELECT pg_listening_channels() AS channel' });
      expect(listening.rows).toEqual([]);
      client.release();
    }
  });

  test('twice is once, and calls after it are refused', async () => {
    const provider = await openPostgres();
    const closing = provider.close();
    await Promise.all([closing, provider.close()]);
    expect(await rejection(provider.readInstances(['a']))).toMatchObject({ code: 'PROVIDER_CLOSED', retryable: false });
    expect(await rejection(provider.fetchWorkItems({ maxItems: 1, lockMs: 1, waitMs: 1 }))).toMatchObject({ code: 'PROVIDER_CLOSED' });
  });

  test('after a failed connect nothing is left either', async () => {
    const pool = poolOf();
    const before = pool.listenerCount('error');
    const schema = freshSchema();
    await query(`CREATE SCHEMA "${schema}"`);
    await query(`CREATE TABLE "${schema}".customers (id integer)`);
    expect(await failure({ pool, schema })).toMatchObject({ code: 'DATABASE_FOREIGN' });
    expect([pool.ended, pool.listenerCount('error')]).toEqual([false, before]);
  });
});

describe('a pool of the application', () => {
  test('that has no connection to give: unreachable, in time, and the connection that comes late goes back', async () => {
    const pool = poolOf({ max: 1 });
    const holder = await pool.connect();
    const error = await failure({ pool, schema: freshSchema(), connectTimeoutMs: 300 });
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true });
    holder.release();
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('that gives none later: statements fail in time, to be tried again', async () => {
    const pool = poolOf({ max: 3 });
    const provider = await openPostgres({ pool, queryTimeoutMs: 300 });
    const holders = await Promise.all([pool.connect(), pool.connect()]);
    expect(await rejection(provider.readInstances(['a']))).toMatchObject({ code: 'PROVIDER_TIMEOUT', retryable: true });
    for (const holder of holders) holder.release();
    expect(await provider.readInstances(['a'])).toEqual([null]);
    expect(pool.idleCount).toBe(pool.totalCount - 1);
  });
});

test('T28: ten processes that start at once on an empty database all connect, and find one set of tables', async () => {
  const stand = stage();
  const schema = freshSchema();
  stand.writeModule(
    'starts.mjs',
    `const { PostgresProvider } = await import(${JSON.stringify(new URL('../../src/postgres.ts', import.meta.url).href)});
    process.send('loaded');
    await new Promise((resolve) => process.once('message', resolve));
    const provider = await PostgresProvider.connect(
      { connectionString: ${JSON.stringify(postgresUrl())}, schema: '${schema}', maxConnections: 3, connectTimeoutMs: 25000 });
    const [outcome] = await provider.startInstances([{ instanceId: 'one', name: 'x', version: null, payload: '{}', parent: null, onParentClose: 'cancel',
      policy: 'fail', priority: 0, startAtMs: null, delayMs: 0, closeChildren: null, parentNotice: null, attributes: null }]);
    await provider.close();
    console.log(outcome);
    process.disconnect();`,
  );
  const children = Array.from({ length: 10 }, () => new Child(stand, stand.file('starts.mjs'), []));
  await Promise.all(children.map((child) => once(child.process, 'message')));
  for (const child of children) child.process.send('go');
  const ended = await Promise.all(children.map((child) => child.ended));
  expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual(ended.map(() => [0, '']));
  expect(ended.map(({ stdout }) => stdout.trim()).toSorted()).toEqual([...Array.from({ length: 9 }, () => 'exists'), 'started']);
  expect(await query(`SELECT version FROM "${schema}".duraloom ORDER BY version`)).toEqual([{ version: 1 }, { version: 2 }]);
});
