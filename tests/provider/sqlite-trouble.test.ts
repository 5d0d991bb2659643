// A SQLite store that is damaged or changed while callers wait: they hear of it, and the process goes on.
import Sqlite from 'better-sqlite3';
import { SqliteProvider } from 'duraloom/sqlite';
import { describe, expect, test } from 'vitest';
import { start } from '../../src/conformance/case-kit.ts';
import { rejection, stage } from '../support/integration-stage.ts';

/** A store, and another connection to its file. */
async function setUp() {
  const stand = stage();
  const provider = await stand.openProvider();
  const other = new Sqlite(stand.file());
  stand.defer(() => void other.close());
  return { stand, provider, other };
}

const long = { maxItems: 1, lockMs: 1_000, waitMs: 60_000 };

describe('a call that waits', () => {
  test.each<readonly [string, string, (provider: SqliteProvider) => Promise<unknown>]>([
    ['for a turn', 'instances', (provider) => provider.fetchOrchestrationItems(long)],
    ['for work', 'work_items', (provider) => provider.fetchWorkItems(long)],
    [
      'for an instance',
      'instances',
      (provider) => provider.waitForInstance({ instanceId: 'a', condition: { kind: 'ended' }, waitMs: 60_000 }),
    ],
    [
      'for a message to a session',
      'session_messages',
      (provider) => provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 60_000 }),
    ],
  ])('%s rejects when another program has damaged the tables', async (_, table, wait) => {
    const { provider, other } = await setUp();
    await provider.startInstances([]);
    if (table === 'instances') {
      await start(provider, 'a');
      await provider.fetchOrchestrationItems({ ...long, lockMs: 60_000, waitMs: 0 });
    }
    const waiting = wait(provider);
    other.exec(`ALTER TABLE ${table} RENAME TO gone`);
    expect(await rejection(waiting)).toMatchObject({
      code: 'PROVIDER_FAILED',
      retryable: false,
      message: expect.stringContaining(`no such table: ${table}`) as unknown,
    });
  });

  test('for messages of a session is refused when the store is closed while it begins', async () => {
    const { provider } = await setUp();
    const receiving = provider.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 60_000 });
    void provider.close();
    expect(await rejection(receiving)).toMatchObject({ code: 'PROVIDER_CLOSED' });
  });
});

test('a fetch finds what is ready in a file that was just opened, also when a fetch of work looked before it', async () => {
  const { stand, provider } = await setUp();
  await start(provider, 'a');
  await provider.close();
  const opened = await stand.openProvider();
  const work = opened.fetchWorkItems(long);
  const { items } = await opened.fetchOrchestrationItems({ ...long, waitMs: 5_000 });
  expect(items.map(({ instanceId }) => instanceId)).toEqual(['a']);
  await opened.close();
  expect((await work).items).toEqual([]);
});

test.each([0, -1, 1.5, Number.NaN])('a fetch of %s items is refused', async (maxItems) => {
  const { provider } = await setUp();
  for (const fetch of [provider.fetchOrchestrationItems({ ...long, maxItems }), provider.fetchWorkItems({ ...long, maxItems })]) {
    expect(await rejection(fetch)).toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringContaining(String(maxItems)) as unknown,
    });
  }
});

test('a file whose newer schema is still in its log only is refused and left as it is', async () => {
  const { stand, provider, other } = await setUp();
  await provider.close();
  other.pragma('user_version = 999');
  expect(await rejection(SqliteProvider.open(stand.file()))).toMatchObject({ code: 'SCHEMA_TOO_NEW', operation: 'open' });
  expect(other.pragma('user_version', { simple: true })).toBe(999);
});
