// Named regression tests for the traps of the reference system that live in the store; each on every provider, beside the contract cases of
// tests/provider. docs/traps.md lists all traps with their tests.
import { describe, expect, onTestFinished, test } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toProviderError } from '../../src/provider/sqlite/group-commit.ts';
import { SqliteProvider } from '../../src/provider/sqlite/sqlite-provider.ts';
import { isFaultOfItem } from '../../src/main/store-fault.ts';
import { MAX_PRIORITY } from '../../src/types/limits.ts';
import {
  abandon,
  ackWork,
  activity,
  attempts,
  closing,
  commit,
  effects,
  enqueue,
  fetchItems,
  fetchNone,
  fetchOne,
  fetchOneWork,
  fetchWork,
  history,
  instanceIds,
  link,
  LOCK_MS,
  newInstance,
  payloads,
  queued,
  read,
  renewWork,
  routing,
  run,
  start,
  startOne,
  timer,
} from '../../src/conformance/case-kit.ts';
import { openStore } from '../support/client-stores.ts';

describe.each(['memory', 'sqlite'] as const)('on %s', (store) => {
  describe('starts', () => {
    test('T4: whoever starts a taken id by an ack is told, whatever the policy and the owner of the id', async () => {
      const { provider } = await openStore(store);
      await run(provider, 'living', { status: 'Running' });
      await run(provider, 'ended', { status: 'Completed' });
      const taken = (instanceId: string, policy: 'fail' | 'replaceTerminal'): object => ({
        ...newInstance(instanceId, { policy, parent: link('a', 2) }),
        conflictPayload: `${instanceId} is taken for ${policy}`,
      });
      const starts = [
        taken('living', 'fail'),
        taken('living', 'replaceTerminal'),
        taken('ended', 'fail'),
        taken('ended', 'replaceTerminal'),
      ];
      await run(provider, 'a', { starts: starts as [] });
      const items = await fetchItems(provider);
      expect(items.flatMap(payloads).toSorted()).toEqual([
        'ended is taken for fail',
        'living is taken for fail',
        'living is taken for replaceTerminal',
        'start ended',
      ]);
    });

    test.each(['fail', 'useExisting', 'replaceTerminal'] as const)(
      'T5: a second start with %s reaches nothing of a living instance',
      async (policy) => {
        const { provider } = await openStore(store);
        await run(provider, 'a', { workItems: [activity(2)], customStatus: '1' });
        const before = await read(provider, 'a');
        const other = { policy, name: 'other', version: '9.0.0', payload: 'other', priority: MAX_PRIORITY, parent: link('p') };
        expect(await startOne(provider, 'a', other)).toBe('exists');
        expect(await read(provider, 'a')).toEqual(before);
        expect(await queued(provider)).toEqual([0, 1]);
        await fetchNone(provider);
      },
    );

    test('T31: of many starts that replace an ended instance one wins, and the check is part of its transaction', async () => {
      const { provider } = await openStore(store);
      await run(provider, 'a', { status: 'Failed', output: '"old"' });
      const starts = Array.from({ length: 20 }, (_, index) =>
        provider.startInstances([newInstance('a', { policy: 'replaceTerminal', payload: `start ${index}` }), newInstance(`free ${index}`)]),
      );
      const outcomes = await Promise.all(starts);
      expect(outcomes.filter(([first]) => first === 'exists')).toHaveLength(19);
      expect(outcomes.map(([, second]) => second)).toEqual(Array.from({ length: 20 }, () => 'started'));
      const winner = outcomes.findIndex(([first]) => first === 'replaced');
      const item = (await fetchItems(provider)).find(({ instanceId }) => instanceId === 'a');
      expect(item?.messages.map(({ payload }) => payload)).toEqual([`start ${winner}`]);
    });

    test('T31: a running instance is never replaced by accident, nor are its children ended', async () => {
      const { provider } = await openStore(store);
      await run(provider, 'a');
      await startOne(provider, 'child', { parent: link('a'), onParentClose: 'terminate' });
      expect(await startOne(provider, 'a', { policy: 'replaceTerminal' })).toBe('exists');
      expect([(await read(provider, 'a')).status, (await read(provider, 'child')).status]).toEqual(['Running', 'Pending']);
    });

    test('T57: messages without an instance are refused, kept nowhere, and wake nobody', async () => {
      const { provider, clock } = await openStore(store);
      for (let round = 0; round < 3; round += 1) expect(await enqueue(provider, 'a', 'early', 'early')).toEqual(['notFound', 'notFound']);
      expect(await queued(provider)).toEqual([0, 0]);
      await fetchNone(provider);
      await startOne(provider, 'a', { delayMs: 1_000 });
      expect(await enqueue(provider, 'a', 'in time')).toEqual(['enqueued']);
      for (let round = 0; round < 3; round += 1) await fetchNone(provider);
      await clock.advance(1_000);
      const item = await fetchOne(provider);
      expect([payloads(item), attempts(item)]).toEqual([
        ['start a', 'in time'],
        [1, 1],
      ]);
    });
  });

  describe('messages', () => {
    test('T6: publications, cancellations and terminations for who is gone keep nobody from the queue', async () => {
      const { provider } = await openStore(store);
      await run(provider, 'ended', { effects: effects({ subscriptions: [{ pattern: 't', subscribed: true }] }) });
      await enqueue(provider, 'ended', 'last');
      await commit(provider, await fetchOne(provider), { status: 'Completed' });
      await start(provider, 'a', 'b');
      const [a, b] = await fetchItems(provider);
      expect(await provider.publish([{ topic: 't', payload: 'm' }])).toEqual([0]);
      if (a === undefined || b === undefined) throw new TypeError('expected two instances');
      await commit(provider, a, {
        messages: [
          { instanceId: 'nobody', payload: 'x' },
          { instanceId: 'ended', payload: 'y' },
          { instanceId: 'b', payload: 'z' },
        ],
        effects: effects({
          publications: [{ topic: 't', payload: 'm' }],
          terminations: [{ instanceId: 'nobody', parent: link('a'), output: '"x"', cancelPayload: 'x' }],
        }),
      });
      await commit(provider, b);
      expect(payloads(await fetchOne(provider))).toEqual(['z']);
    });

    test('T55: equal messages are kept; one with the key of a queued one is not', async () => {
      const { provider } = await openStore(store);
      await run(provider, 'a', { effects: effects({ subscriptions: [{ pattern: 't', subscribed: true }] }) });
      const keyed = { instanceId: 'a', payload: 'keyed', key: 'k' };
      const plain = { instanceId: 'a', payload: 'plain' };
      expect(await provider.enqueueMessages([plain, keyed, plain, keyed])).toEqual(['enqueued', 'enqueued', 'enqueued', 'duplicate']);
      expect(
        await provider.publish([
          { topic: 't', payload: 'm' },
          { topic: 't', payload: 'm' },
        ]),
      ).toEqual([1, 1]);
      expect(payloads(await fetchOne(provider))).toEqual(['plain', 'keyed', 'plain', 'm', 'm']);
    });

    test('T49: attempts of an old message are not those of the new ones beside it', async () => {
      const { provider } = await openStore(store);
      await run(provider, 'a');
      await enqueue(provider, 'a', 'old');
      for (let attempt = 1; attempt <= 5; attempt += 1) await abandon(provider, await fetchOne(provider));
      await enqueue(provider, 'a', 'new');
      const item = await fetchOne(provider);
      expect([payloads(item), attempts(item)]).toEqual([
        ['old', 'new'],
        [6, 1],
      ]);
      await commit(provider, item, { consumedMessageIds: item.messages.slice(0, 1).map(({ messageId }) => messageId) });
      expect(attempts(await fetchOne(provider))).toEqual([1]);
    });
  });

  describe('work', () => {
    test('T33, T61: what an ended instance had queued is gone, however it ended: timers, work, messages', async () => {
      const { provider, clock } = await openStore(store);
      const busy = { workItems: [activity(2), activity(3)], timers: [timer(4, clock.nowMs() + 1_000)] };
      const ends: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
        completed: async (id) => {
          await enqueue(provider, id, 'end');
          await commit(provider, await fetchOne(provider), { status: 'Completed' });
        },
        terminated: (id) =>
          provider.controlInstances([{ kind: 'terminate', instanceId: id, output: '"x"', parentMessage: null, closeChildren: closing }]),
        replaced: async (id) => {
          await startOne(provider, id, { policy: 'terminateExisting' });
          await commit(provider, await fetchOne(provider), { status: 'Completed' });
        },
      };
      for (const [id, end] of Object.entries(ends)) {
        await run(provider, id, busy);
        const running = await fetchWork(provider, { maxItems: 1 });
        await end(id);
        expect(await queued(provider)).toEqual([0, 0]);
        expect(await renewWork(provider, running, LOCK_MS)).toEqual(['gone']);
      }
      await clock.advance(1_000);
      await fetchNone(provider);
    });

    test('T36: tokens that have expired on messages and work do not count twice in the depths', async () => {
      const { provider, clock } = await openStore(store);
      await run(provider, 'a', { workItems: [activity(2)], timers: [timer(3, clock.nowMs() + 3_600_000)] });
      await enqueue(provider, 'a', 'm');
      for (let round = 0; round < 3; round += 1) {
        await fetchOne(provider);
        await fetchOneWork(provider);
        await clock.advance(LOCK_MS);
        expect(await queued(provider)).toEqual([2, 1]);
      }
    });

    test('T37: work of a tag that nobody takes keeps no other work back, and is handed out once as expired', async () => {
      const { provider, clock } = await openStore(store);
      const tagged = Array.from({ length: 300 }, (_, index) =>
        activity(2 + index, { routing: routing({ tag: 'gpu', priority: MAX_PRIORITY, expiresAfterMs: 1_000 }) }),
      );
      await run(provider, 'a', { workItems: [...tagged, activity(900)] });
      const select = { kind: 'queue', tags: { kind: 'default' }, session: null } as const;
      expect((await fetchWork(provider, { maxItems: 1, select })).map(({ eventId }) => eventId)).toEqual([900]);
      expect(await fetchWork(provider, { select: { kind: 'expired' } })).toEqual([]);
      await clock.advance(1_001);
      expect(await fetchWork(provider, { select: { ...select, tags: { kind: 'any' } } })).toEqual([]);
      const expired = await fetchWork(provider, { maxItems: 1_000, select: { kind: 'expired' } });
      expect(expired).toHaveLength(300);
      expect(await fetchWork(provider, { maxItems: 1_000, select: { kind: 'expired' } })).toEqual([]);
      const [first] = expired;
      if (first !== undefined) expect(await ackWork(provider, first, 'expired')).toBe('done');
      expect(payloads(await fetchOne(provider))).toEqual(['expired']);
    });

    test('T50: an instance with many messages and priority keeps others waiting for a bounded time only', async () => {
      const { provider, clock } = await openStore(store);
      await startOne(provider, 'hot', { priority: MAX_PRIORITY });
      await commit(provider, await fetchOne(provider));
      await start(provider, 'patient');
      await clock.advance(60_000 * (MAX_PRIORITY + 1));
      await enqueue(provider, 'hot', ...Array.from({ length: 50 }, (_, index) => `m${index}`));
      expect(instanceIds(await fetchItems(provider, { maxItems: 1 }))).toEqual(['patient']);
      expect(instanceIds(await fetchItems(provider))).toEqual(['hot']);
    });
  });

  describe('reading', () => {
    test('T28: damaged events are handed on as they are, not left out', async () => {
      const { provider } = await openStore(store);
      const events = '[{"id":1,"kind":"Unheard';
      await run(provider, 'a', { page: { lastEventId: 2, events } });
      expect((await history(provider, 'a')).map((part) => part.events)).toEqual([events]);
    });

    test('T35: lists are longer than a statement of a database has parameters', async () => {
      const { provider } = await openStore(store);
      await run(provider, 'a', { effects: effects({ values: [{ key: 'k 39999', value: '1' }] }) });
      const many = Array.from({ length: 40_000 }, (_, index) => index);
      expect((await provider.readInstances([...many.map((index) => `nobody ${index}`), 'a'])).at(-1)?.instanceId).toBe('a');
      expect(
        await provider.readValues(
          'a',
          many.map((index) => `k ${index}`),
        ),
      ).toHaveLength(1);
    });

    test('T29: times of creation and update are those of the store, also of a replaced instance', async () => {
      const { provider, clock } = await openStore(store);
      const startMs = clock.nowMs();
      await run(provider, 'a', { status: 'Completed' });
      await clock.advance(5_000);
      await startOne(provider, 'a', { policy: 'replaceTerminal' });
      await clock.advance(1_000);
      await commit(provider, await fetchOne(provider));
      expect(await read(provider, 'a')).toMatchObject({ createdAtMs: startMs + 5_000, updatedAtMs: startMs + 6_000 });
    });

    test('T30: lock tokens are random, not made of clock or process', async () => {
      const { provider } = await openStore(store);
      const ids = Array.from({ length: 200 }, (_, index) => `i${index}`);
      await start(provider, ...ids);
      const tokens: string[] = [];
      for (;;) {
        const [item] = await fetchItems(provider, { maxItems: 1 });
        if (item === undefined) break;
        tokens.push(item.lockToken);
      }
      // Two fetches of one millisecond of a clock that stands still have nothing in common.
      expect(new Set(tokens).size).toBe(200);
      expect(new Set(tokens.map((token) => token.slice(0, 8))).size).toBeGreaterThan(190);
    });
  });
});

test('T28: many providers that open a new file at once find one schema', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-trap-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'store.db');
  const providers = await Promise.all(Array.from({ length: 6 }, () => SqliteProvider.open(file)));
  onTestFinished(async () => {
    for (const provider of providers) await provider.close();
  });
  const outcomes = await Promise.all(providers.map((provider) => provider.startInstances([newInstance('a')])));
  expect(outcomes.flat().toSorted()).toEqual(['exists', 'exists', 'exists', 'exists', 'exists', 'started']);
});

test.each([
  ['SQLITE_BUSY', true],
  ['SQLITE_BUSY_SNAPSHOT', true],
  ['SQLITE_FULL', true],
  ['SQLITE_IOERR_WRITE', true],
  ['SQLITE_CONSTRAINT_PRIMARYKEY', false],
  ['SQLITE_TOOBIG', false],
])('T53: %s is trouble of the store, to be tried again: %s; only what is not may be the fault of an item', (code, isTrouble) => {
  const error = toProviderError('ackOrchestrationItems', Object.assign(new Error(code), { name: 'SqliteError', code }));
  expect(error).toMatchObject({ code: 'PROVIDER_FAILED', retryable: isTrouble });
  expect(isFaultOfItem(error)).toBe(!isTrouble);
});
