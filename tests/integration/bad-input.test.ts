// Bad options, names, ids and files: a typed error that says what, where and what to do; nothing half-written, others unaffected.
import Database from 'better-sqlite3';
import { Client, defineActivity, defineOrchestration, Runtime, type RuntimeOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { SqliteProvider, type SqliteOptions } from 'duraloom/sqlite';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Child, startHost } from '../support/integration-child.ts';
import { LogBook } from '../support/integration-log.ts';
import { fixture, modules, PATIENCE, quick, rejection, shareRuntime, stage, type Stage } from '../support/integration-stage.ts';

const inline = { replayThreads: 0, activityThreads: 0 };
const nothing = defineOrchestration('nothing', () => null);

/** What JavaScript callers can pass. */
function wrong<Type>(value: unknown): Type {
  return value as Type;
}

describe('options of a runtime', () => {
  const valid: RuntimeOptions = { provider: new MemoryProvider(), orchestrations: nothing, replayThreads: 0 };

  test.each([
    ['replayThreads', -1, '0 to 256'],
    ['replayThreads', 1.5, '0 to 256'],
    ['replayThreads', 257, '0 to 256'],
    ['activityThreads', '4', '0 to 256'],
    ['activityThreads', Number.NaN, '0 to 256'],
    ['activitiesPerThread', 0, '1 to 100000'],
    ['turnsPerThread', 10_001, '1 to 10000'],
    ['stickyCacheMb', -0.5, '0 to 65536'],
    ['turnTimeoutMs', 99, '100 to 3600000'],
    ['turnTimeoutMs', Number.POSITIVE_INFINITY, '100 to 3600000'],
    ['orchestrationLockMs', 199, '200 to 3600000'],
    ['activityLockMs', -5, '200 to 3600000'],
    ['maxAttempts', 0, '1 to 1000'],
    ['maxAttempts', true, '1 to 1000'],
    ['replayThreadMemoryMb', 15, '16 to 1048576'],
    ['activityThreadMemoryMb', {}, '16 to 1048576'],
    ['retryBackoff', { initialMs: 0, maximumMs: 10 }, 'initialMs ≥ 1'],
    ['retryBackoff', { initialMs: 20, maximumMs: 10 }, 'maximumMs ≥ initialMs'],
    ['retryBackoff', { initialMs: 20 }, 'maximumMs ≥ initialMs'],
    ['retryBackoff', 5, 'initialMs ≥ 1'],
    ['replayCheckRate', -0.1, '0 to 1'],
    ['replayCheckRate', 1.1, '0 to 1'],
    ['replayCheckRate', Number.NaN, '0 to 1'],
    ['replayCheckRate', '0.5', '0 to 1'],
    ['onReplayMismatch', {}, 'a function'],
    ['onReplayMismatch', null, 'a function'],
    ['logger', { info: () => undefined }, 'debug'],
    ['clock', {}, 'nowMs'],
    ['provider', {}, 'SqliteProvider.open'],
    ['provider', undefined, 'SqliteProvider.open'],
    ['orchestrations', [], 'empty array'],
    ['orchestrations', 42, 'module URLs'],
    ['orchestrations', [null], 'module URLs'],
    ['activities', [undefined], 'module URLs'],
  ])('%s: %j is refused', async (name, value, range) => {
    const start = Runtime.start(wrong({ ...valid, [name]: value }));
    // Should it be accepted, it must not run on.
    start.then(
      (runtime) => runtime.shutdown(),
      () => undefined,
    );
    const error = await rejection(start);
    expect(error).toMatchObject({ name: 'OptionError', code: 'OPTION_INVALID' });
    expect(error.message).toContain(`\`${name}\``);
    expect(error.message).toContain(range);
    if (typeof value === 'number' && !name.startsWith('retry') && !name.startsWith('orch')) expect(error.message).toContain(`got ${value}`);
  });

  test('an unknown name is refused and the known ones are listed', async () => {
    const error = await rejection(Runtime.start(wrong({ ...valid, activityThread: 4 })));
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).toContain('`activityThread`');
    expect(error.message).toContain('activityThreads');
  });

  test('no modules at all are refused', async () => {
    expect(await rejection(Runtime.start({ provider: valid.provider }))).toMatchObject({ code: 'OPTION_INVALID' });
    expect(await rejection(Runtime.start(wrong(undefined)))).toMatchObject({ code: 'OPTION_INVALID' });
    expect(await rejection(Runtime.start(wrong(null)))).toMatchObject({ code: 'OPTION_INVALID' });
  });

  test('a definition of the other kind is refused inline', async () => {
    const activity = defineActivity('a', () => 1);
    const error = await rejection(Runtime.start({ ...valid, orchestrations: wrong(activity) }));
    expect(error.code).toBe('DEFINITION_INVALID');
  });
});

describe('options of a SQLite provider', () => {
  test.each([
    ['synchronous', 'OFF', "'FULL' or 'NORMAL'"],
    ['maxCommitMs', 0, '≥ 1'],
    ['maxCommitMs', Number.NaN, '≥ 1'],
    ['changePollMs', '10', '≥ 1'],
    ['changePollMs', Number.POSITIVE_INFINITY, '≥ 1'],
    ['clock', {}, 'nowMs'],
    ['pollMs', 5, 'changePollMs'],
  ])('%s: %j is refused and no file is made', async (name, value, range) => {
    const stand = stage();
    const opening = SqliteProvider.open(stand.file(), wrong<SqliteOptions>({ [name]: value }));
    opening.then(
      (provider) => provider.close(),
      () => undefined,
    );
    const error = await rejection(opening);
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).toContain(`\`${name}\``);
    expect(error.message).toContain(range);
    expect(readdirSync(stand.folder)).toEqual([]);
  });

  test.each(['', undefined, null, 7, new URL('file:///tmp/x.db')])('the file %j is refused', async (file) => {
    expect(await rejection(SqliteProvider.open(wrong(file)))).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});

describe('arguments of a client', () => {
  const shared = shareRuntime({ ...inline });

  test('a provider is needed', () => {
    for (const value of [undefined, null, {}, 'store.db']) expect(() => new Client(wrong(value))).toThrow('Expected provider');
  });

  test.each(['', 'a::b', 'x'.repeat(513), '\uD800', 'a\0b', 7, null, undefined])('the instance id %j is refused', async (id) => {
    const error = await rejection(shared.client.startOrchestration(wrong<string>(id), 'hello', 'x'));
    expect(error).toMatchObject({ name: 'ArgumentError', code: 'ARGUMENT_INVALID' });
    expect(error.message).toContain('instance id');
  });

  test.each(['', 'x'.repeat(257), '\uDC00', 7, null, {}, { kind: 'activity', name: 'a' }])(
    'the orchestration %j is refused',
    async (name) => {
      const error = await rejection(shared.client.startOrchestration('fine', wrong<string>(name), 'x'));
      expect(error.code).toBe('ARGUMENT_INVALID');
      expect(await shared.client.getState('fine')).toBeNull();
    },
  );

  test.each([{ version: '' }, { version: 7 }])('the start options %j are refused', async (options) => {
    expect(await rejection(shared.client.startOrchestration('fine', 'hello', 'x', wrong(options)))).toMatchObject({
      code: 'ARGUMENT_INVALID',
    });
    expect(await shared.client.getState('fine')).toBeNull();
  });

  test.each(['', 'x'.repeat(257), 7, undefined])('the event name %j is refused', async (name) => {
    expect(await rejection(shared.client.raiseEvent('any', wrong<string>(name)))).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  test.each([7, null, {}, 1n])('the reason of a cancellation %s is refused, and the instance goes on', async (reason) => {
    const { client } = shared;
    const id = `reason ${typeof reason} ${reason === null}`;
    const handle = await client.startOrchestration(id, 'collect', 1);
    const outcome = await client.cancel(id, wrong<string>(reason)).then(
      () => 'accepted',
      (error: unknown) => (error as { readonly code?: string }).code,
    );
    await client.raiseEvent(id, 'item', 'still here');
    const end = await handle.result({ timeout: PATIENCE }).catch((error: unknown) => (error as { readonly code?: string }).code);
    expect({ outcome, end }).toEqual({ outcome: 'ARGUMENT_INVALID', end: ['still here'] });
  });

  test.each([0, 1001, 1.5, '5', Number.NaN])('the page size %j is refused', async (limit) => {
    const error = await rejection(shared.client.listInstances({ limit: wrong<number>(limit) }));
    expect(error.code).toBe('ARGUMENT_INVALID');
    expect(error.message).toContain('1 to 1000');
  });

  test.each([-1, '5 minutes', '', Number.NaN, Number.POSITIVE_INFINITY])('the wait %j is refused', async (timeout) => {
    const handle = shared.client.getHandle('whatever');
    expect(await rejection(handle.result({ timeout: wrong<number>(timeout) }))).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  test('an id is given once, however many ask for it at the same time', async () => {
    const { client } = shared;
    const starts = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => client.startOrchestration('contested', 'hello', index)),
    );
    const winners = starts.filter(({ status }) => status === 'fulfilled');
    expect(winners).toHaveLength(1);
    const refused = starts.filter((start) => start.status === 'rejected').map(({ reason }) => reason as unknown);
    expect(refused).toHaveLength(19);
    for (const error of refused) expect(error).toMatchObject({ name: 'InstanceError', code: 'INSTANCE_EXISTS', instanceId: 'contested' });
    const index = starts.findIndex(({ status }) => status === 'fulfilled');
    expect(await client.getHandle('contested').result({ timeout: PATIENCE })).toBe(`Hello, ${index}!`);
    // Also of an instance that has ended.
    expect(await rejection(client.startOrchestration('contested', 'hello', 'again'))).toMatchObject({ code: 'INSTANCE_EXISTS' });
    expect(await client.raiseEvent('contested', 'item')).toEqual({ delivered: false });
    expect(await client.cancel('contested')).toEqual({ delivered: false });
  });

  test('an id that the store would write as another one reaches nobody', async () => {
    const { client } = shared;
    const handle = await client.startOrchestration('twin\uFFFD', 'collect', 1);
    for (const id of ['twin\uD800', 'twin\uDC00']) {
      expect(await rejection(client.raiseEvent(id, 'item', 'stray'))).toMatchObject({ code: 'ARGUMENT_INVALID' });
      expect(await rejection(client.cancel(id))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    }
    await client.raiseEvent('twin\uFFFD', 'item', 'meant');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['meant']);
  });

  test('an unknown instance is reported by every call that needs one', async () => {
    const { client } = shared;
    const calls = [
      client.raiseEvent('unknown', 'x'),
      client.cancel('unknown'),
      client.readHistory('unknown'),
      client.waitForCustomStatus('unknown', { afterVersion: 0 }),
      client.getHandle('unknown').result(),
      client.getHandle('unknown').state(),
    ];
    for (const error of await Promise.all(calls.map((call) => rejection(call)))) {
      expect(error).toMatchObject({ code: 'INSTANCE_NOT_FOUND', instanceId: 'unknown' });
    }
    expect(await client.getState('unknown')).toBeNull();
  });
});

describe('a closed provider', () => {
  test('refuses every call', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    await client.startOrchestration('x', 'hello', 'x');
    await provider.close();
    await provider.close();
    const calls = [
      client.startOrchestration('y', 'hello', 'x'),
      client.raiseEvent('x', 'x'),
      client.cancel('x'),
      client.getState('x'),
      client.listInstances(),
      client.readHistory('x'),
      client.waitForCustomStatus('x', { afterVersion: 0 }),
      client.getHandle('x').result(),
      client.getHandle('x').state(),
    ];
    for (const error of await Promise.all(calls.map((call) => rejection(call)))) {
      expect(error).toMatchObject({ name: 'ProviderError', code: 'PROVIDER_CLOSED' });
      expect(error.message).toContain('after the provider was closed');
    }
  });

  test('is no store for a runtime to start on', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    await provider.close();
    const start = Runtime.start({ provider, orchestrations: nothing, replayThreads: 0 });
    start.then(
      (runtime) => runtime.shutdown(),
      () => undefined,
    );
    expect(await rejection(start)).toMatchObject({ code: 'PROVIDER_CLOSED' });
  });
});

describe('names that nobody has registered', () => {
  /** Collects the warnings of this process while a test runs. */
  function collectWarnings(stand: Stage): readonly (Error & { readonly code?: string })[] {
    const warnings: Error[] = [];
    const listener = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', listener);
    stand.defer(() => void process.off('warning', listener));
    return warnings;
  }

  test('an unknown orchestration is warned about once and waits for a runtime that has it; others go on', async () => {
    const stand = stage();
    const warnings = collectWarnings(stand);
    const { client, provider } = await stand.open({ ...inline });
    const handles = await Promise.all([1, 2].map((index) => client.startOrchestration(`unknown${index}`, 'unknown')));
    const other = await client.startOrchestration('known', 'hello', 'x');
    expect(await other.result({ timeout: PATIENCE })).toBe('Hello, x!');
    expect(await client.getState('unknown1')).toMatchObject({ status: 'Pending' });
    const own = warnings.filter(({ code }) => code === 'DURALOOM_NOT_REGISTERED');
    expect(own).toHaveLength(1);
    expect(own[0]?.message).toContain("'unknown'");
    const unknown = defineOrchestration('unknown', async () => 'known now');
    await stand.startRuntime({ provider, ...quick, orchestrations: unknown, replayThreads: 0 });
    for (const handle of handles) expect(await handle.result({ timeout: PATIENCE })).toBe('known now');
  });

  test('an unknown version is named, with those that there are', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client } = await stand.open({ ...inline, logger });
    await client.startOrchestration('future', 'hello', 'x', { version: '9.9.9' });
    const [line] = await logger.waitFor(({ fields }) => fields['version'] === '9.9.9');
    expect(line?.message).toContain("'hello' version 9.9.9");
    expect(line?.message).toContain('1.0.0');
  });

  test('an unknown activity is tried again, warned about once, then fails in its orchestration', async () => {
    const stand = stage();
    const warnings = collectWarnings(stand);
    const { client } = await stand.open({ ...inline });
    const handles = await Promise.all([1, 2].map((index) => client.startOrchestration(`call${index}`, 'call', { activity: 'misspelt' })));
    for (const handle of handles) {
      const error = await rejection(handle.result({ timeout: PATIENCE }));
      expect(error).toMatchObject({
        code: 'ORCHESTRATION_FAILED',
        cause: { code: 'TOO_MANY_ATTEMPTS', cause: { code: 'ACTIVITY_NOT_REGISTERED' } },
      });
      expect(error.message).toContain("activity 'misspelt'");
    }
    expect(warnings.filter(({ code }) => code === 'DURALOOM_NOT_REGISTERED')).toHaveLength(1);
  });

  test('an activity that is deployed while it is tried completes', async () => {
    const stand = stage();
    const logger = new LogBook();
    const { client, provider } = await stand.open({ ...inline, maxAttempts: 1000, logger });
    const handle = await client.startOrchestration('deployed', 'call', { activity: 'later', input: 5 });
    const later = defineActivity('later', (_ctx, value: number) => value * 2);
    await stand.startRuntime({ provider, ...quick, activities: later, activityThreads: 0, maxAttempts: 1000 });
    expect(await handle.result({ timeout: PATIENCE })).toBe(10);
  });
});

/** Names and contents of all files in a folder. */
function fingerprint(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files
      .map(
        ({ parentPath, name }) =>
          [
            name,
            createHash('sha256')
              .update(readFileSync(join(parentPath, name)))
              .digest('hex'),
          ] as const,
      )
      .toSorted(([left], [right]) => (left < right ? -1 : 1)),
  );
}

describe('files that are no store', () => {
  const files: Readonly<Record<string, { readonly code: string; readonly make: (stand: Stage) => string }>> = {
    'in a folder that does not exist': { code: 'DATABASE_UNREADABLE', make: (stand) => stand.file('no/such/folder/store.db') },
    'whose name is too long for the system': { code: 'DATABASE_UNREADABLE', make: (stand) => stand.file(`${'x'.repeat(300)}.db`) },
    'that is a folder': {
      code: 'DATABASE_UNREADABLE',
      make: (stand) => {
        mkdirSync(stand.file('folder.db'));
        return stand.file('folder.db');
      },
    },
    'that is text': {
      code: 'DATABASE_UNREADABLE',
      make: (stand) => {
        writeFileSync(stand.file('text.db'), 'This is no database. '.repeat(100));
        return stand.file('text.db');
      },
    },
    'that is cut off': {
      code: 'DATABASE_UNREADABLE',
      make: (stand) => {
        const database = new Database(stand.file('whole.db'));
        database.exec("CREATE TABLE t (a); INSERT INTO t SELECT value FROM json_each('[1,2,3]')");
        database.close();
        writeFileSync(stand.file('cut.db'), readFileSync(stand.file('whole.db')).subarray(0, 700));
        return stand.file('cut.db');
      },
    },
    'of another program': {
      code: 'DATABASE_FOREIGN',
      make: (stand) => {
        const database = new Database(stand.file('foreign.db'));
        database.exec('CREATE TABLE customers (name TEXT)');
        database.close();
        return stand.file('foreign.db');
      },
    },
    'of another program with its mark but no table': {
      code: 'DATABASE_FOREIGN',
      make: (stand) => {
        const database = new Database(stand.file('marked.db'));
        database.pragma('application_id = 42');
        database.close();
        return stand.file('marked.db');
      },
    },
    'of another program with a version but no table': {
      code: 'DATABASE_FOREIGN',
      make: (stand) => {
        const database = new Database(stand.file('versioned.db'));
        database.pragma('user_version = 7');
        database.close();
        return stand.file('versioned.db');
      },
    },
    'of another program that crashed and left its log': {
      code: 'DATABASE_FOREIGN',
      make: (stand) => {
        const database = new Database(stand.file('living.db'));
        database.pragma('journal_mode = WAL');
        database.exec('CREATE TABLE customers (name TEXT)');
        mkdirSync(stand.file('crashed'));
        for (const suffix of ['', '-wal']) cpSync(stand.file(`living.db${suffix}`), stand.file(`crashed/store.db${suffix}`));
        database.close();
        return stand.file('crashed/store.db');
      },
    },
  };

  test.each(Object.entries(files))('a file %s is refused and left as it is', async (_, { code, make }) => {
    const stand = stage();
    const file = make(stand);
    const before = fingerprint(stand.folder);
    const error = await rejection(stand.openProvider({ file: file.slice(stand.folder.length + 1) }));
    expect(error, error.message).toMatchObject({ name: 'ProviderError', code });
    expect(error.message).toContain(`'${file}'`);
    expect(fingerprint(stand.folder)).toEqual(before);
  });

  test('a store of a newer version is refused and left as it is', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    await new Client(provider).startOrchestration('kept', 'hello', 'x');
    await provider.close();
    const database = new Database(stand.file());
    database.pragma('user_version = 99');
    database.close();
    const before = fingerprint(stand.folder);
    const error = await rejection(stand.openProvider());
    expect(error).toMatchObject({ name: 'ProviderError', code: 'SCHEMA_TOO_NEW', retryable: false });
    expect(error.message).toContain('99');
    expect(fingerprint(stand.folder)).toEqual(before);
  });

  test('an empty file becomes a store', async () => {
    const stand = stage();
    writeFileSync(stand.file(), '');
    const { client } = await stand.open({ ...inline });
    expect(await (await client.startOrchestration('x', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
  });

  test('a file that another program holds for a moment is waited for', async () => {
    const stand = stage();
    const holder = new Database(stand.file());
    holder.exec('BEGIN EXCLUSIVE');
    const opening = stand.openProvider();
    await new Promise((resolve) => setImmediate(resolve));
    holder.exec('COMMIT');
    holder.close();
    expect((await new Client(await opening).listInstances()).instances).toEqual([]);
  });
});

/** A store with an instance that waits ('broken') and another one ('sound'), and no runtime. */
async function prepare(stand: Stage): Promise<void> {
  const { client, provider, runtime } = await stand.open({ ...inline });
  for (const id of ['broken', 'sound']) {
    await client.startOrchestration(id, 'collect', 2);
    await client.raiseEvent(id, 'item', 1);
    await client.waitForCustomStatus(id, { afterVersion: 1, timeout: PATIENCE });
  }
  await runtime.shutdown();
  await provider.close();
}

/** Changes the store behind our back. */
function tamper(stand: Stage, sql: string, ...parameters: unknown[]): void {
  const database = new Database(stand.file());
  expect(database.prepare(sql).run(...parameters).changes, sql).toBeGreaterThan(0);
  database.close();
}

describe('a history that was changed outside', () => {
  const changes: Readonly<Record<string, readonly [sql: string, ...parameters: unknown[]]>> = {
    'is not JSON': [
      `UPDATE history SET events = substr(events, 1, length(events) - 3) WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken') AND first_event_id = 1`,
    ],
    'is no array': [
      `UPDATE history SET events = '{"kind":"OrchestrationStarted"}' WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken') AND first_event_id = 1`,
    ],
    'is empty': [`DELETE FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken')`],
    'lacks its end': [
      `DELETE FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken') AND first_event_id > 1`,
    ],
    'lacks an event': [
      `UPDATE history SET events = json_remove(events, '$[1]') WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken') AND first_event_id = 1`,
    ],
    'has an unknown kind': [
      `UPDATE history SET events = replace(events, 'CustomStatusSet', 'Nonsense') WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken')`,
    ],
    'has a hole in its ids': [
      `UPDATE history SET events = replace(events, '"id":2', '"id":7') WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken')`,
    ],
    'holds no objects': [
      `UPDATE history SET events = '[1,null,"x"]' WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken') AND first_event_id = 1`,
    ],
  };

  test.each(Object.entries(changes))('and %s quarantines its instance and no other', async (_, [sql, ...parameters]) => {
    const stand = stage();
    await prepare(stand);
    tamper(stand, sql, ...parameters);
    const { client } = await stand.open({ ...inline });
    for (const id of ['broken', 'sound']) await client.raiseEvent(id, 'item', 2);
    const error = await rejection(client.getHandle('broken').result({ timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { name: 'HistoryError', code: 'HISTORY_INVALID' } });
    expect(error.message).toMatch(/history is not valid at event \d/);
    expect(await client.getHandle('sound').result({ timeout: PATIENCE })).toEqual([1, 2]);
  });

  test('and does not fit the code is NONDETERMINISM', async () => {
    const stand = stage();
    await prepare(stand);
    tamper(
      stand,
      `UPDATE history SET events = replace(events, '"name":"item"', '"name":"other"') WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken') AND first_event_id = 1`,
    );
    const { client } = await stand.open({ ...inline });
    await client.raiseEvent('broken', 'item', 2);
    const error = await rejection(client.getHandle('broken').result({ timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { code: 'NONDETERMINISM' } });
  });

  test('gives clients that read it a typed error', async () => {
    const stand = stage();
    await prepare(stand);
    tamper(
      stand,
      `UPDATE history SET events = '[{' WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = 'broken') AND first_event_id = 1`,
    );
    const client = new Client(await stand.openProvider());
    expect(await rejection(client.readHistory('broken'))).toMatchObject({ name: 'HistoryError', code: 'HISTORY_INVALID' });
    expect((await client.readHistory('sound')).length).toBeGreaterThan(3);
  });
});

describe('other data that was changed outside', () => {
  test.each([
    'garbage',
    'null',
    '[]',
    '"x"',
    '{}',
    '{"kind":"Nonsense"}',
    '{"kind":"EventRaised"}',
    '{"kind":"ActivityCompleted","executionId":1}',
    '',
  ])('the message %j quarantines its instance and no other', async (payload) => {
    const stand = stage();
    await prepare(stand);
    const provider = await stand.openProvider();
    const client = new Client(provider);
    for (const id of ['broken', 'sound']) await client.raiseEvent(id, 'item', 2);
    tamper(stand, `UPDATE orchestrator_queue SET payload = ? WHERE instance_id = 'broken'`, payload);
    await stand.startRuntime({ provider, ...modules, ...quick, ...inline });
    const error = await rejection(client.getHandle('broken').result({ timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'INSTANCE_QUARANTINED', cause: { code: 'MESSAGE_INVALID' } });
    expect(await client.getHandle('sound').result({ timeout: PATIENCE })).toEqual([1, 2]);
  });

  test('the input of a queued activity fails the activity with a typed error', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const first = await stand.startRuntime({ provider, ...quick, orchestrations: modules.orchestrations, replayThreads: 0 });
    await client.startOrchestration('activity', 'call', { activity: 'echo', input: 'x' });
    // Turns of one runtime are taken in order: when this one has ended, the one before it was taken.
    await (await client.startOrchestration('settled', 'collect', 0)).result({ timeout: PATIENCE });
    await first.shutdown();
    tamper(stand, `UPDATE work_items SET payload = '{"cut' WHERE instance_id = 'activity'`);
    await stand.startRuntime({ provider, ...modules, ...quick, ...inline });
    const error = await rejection(client.getHandle('activity').result({ timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: { code: 'MESSAGE_INVALID' } });
  });

  test('a result or status gives clients that read it a typed error', async () => {
    const stand = stage();
    await prepare(stand);
    tamper(stand, `UPDATE instances SET custom_status = '{"cut' WHERE instance_id = 'broken'`);
    tamper(stand, `UPDATE instances SET status = 'Completed', output = '{"cut' WHERE instance_id = 'sound'`);
    const client = new Client(await stand.openProvider());
    const calls = [client.getState('broken'), client.getHandle('sound').result()];
    for (const error of await Promise.all(calls.map((call) => rejection(call)))) expect(error).toMatchObject({ code: 'MESSAGE_INVALID' });
    const { instances } = await client.listInstances({ orderBy: 'id' });
    expect(instances.map(({ instanceId, damage }) => [instanceId, damage])).toEqual([
      ['broken', expect.stringContaining("custom status of instance 'broken'")],
      ['sound', expect.stringContaining("result of instance 'sound'")],
    ]);
  });
});

describe('a store that breaks while it is used', () => {
  test('does not end the process of a runtime, which goes on when it is repaired', async () => {
    const stand = stage();
    const host = await startHost(stand, { orchestrations: modules.orchestrations.href, activities: modules.activities.href });
    const database = new Database(stand.file());
    stand.defer(() => void database.close());
    database.exec('ALTER TABLE work_items RENAME TO gone');
    const trouble = await Promise.race([host.log.waitFor(({ message }) => message.includes('the store failed')), host.ended]);
    expect(trouble).not.toHaveProperty('stderr');
    database.exec('ALTER TABLE gone RENAME TO work_items');
    const client = new Client(await stand.openProvider());
    const handle = await client.startOrchestration('after', 'hello', 'x');
    expect(await handle.result({ timeout: PATIENCE })).toBe('Hello, x!');
    expect((await host.stop()).code).toBe(0);
  });

  test('does not end the process of a client, whose wait is rejected', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    await new Client(provider).startOrchestration('waited', 'hello', 'x');
    await provider.close();
    const child = new Child(stand, fileURLToPath(fixture('waiting-client.ts')), [stand.file(), 'waited', 'stay']);
    await once(child.process, 'message');
    const database = new Database(stand.file());
    database.exec('ALTER TABLE instances RENAME TO gone');
    database.close();
    expect(await child.ended).toMatchObject({ code: 0, stdout: 'PROVIDER_FAILED\n' });
  });
});
