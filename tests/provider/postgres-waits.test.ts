// The parts of the PostgreSQL provider that need no server: batches (L1–L3), long polls on queues (K1–K4) and waits for changes (H1, H2).
import { describe, expect, test } from 'vitest';
import { ChangeWaits, hashOf } from '../../src/provider/postgres/change-waits.ts';
import { FetchWaits, type Look, type Wait } from '../../src/provider/postgres/fetch-waits.ts';
import { Lane, type LaneOperation } from '../../src/provider/postgres/lane.ts';
import { encodeJson, escapeValue, unescape } from '../../src/provider/postgres/texts.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { ProviderError } from '../../src/types/errors.ts';
import { rejection } from '../support/integration-stage.ts';

const POLL_MS = 1_000;
const fault = (retryable: boolean): ProviderError => new ProviderError('PROVIDER_FAILED', { operation: 'x', retryable, message: 'bad' });

/** A promise that a test settles. */
function gate<Value>(): { readonly promise: Promise<Value>; readonly open: (value: Value) => void } {
  let open: (value: Value) => void = () => undefined;
  return { promise: new Promise<Value>((resolve) => (open = resolve)), open: (value) => open(value) };
}

/** Lets everything happen that needs no more than turns of the event loop. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise<void>((resolve) => void setImmediate(resolve));
}

describe('a lane', () => {
  /** An operation that writes down its batches, and fails for batches with certain items. */
  function recorder({ bad = [], trouble = [], keys = false }: { bad?: string[]; trouble?: string[]; keys?: boolean } = {}) {
    const batches: (readonly string[])[] = [];
    const committed: string[] = [];
    const operation: LaneOperation<string, string> = {
      name: 'x',
      ...(keys ? { keysOf: (item) => [item.split(' ')[0] ?? ''] } : {}),
      run: async (items) => {
        batches.push(items);
        await settle();
        if (items.some((item) => trouble.includes(item))) throw fault(true);
        if (items.some((item) => bad.includes(item))) throw fault(false);
        committed.push(...items);
        return items.map((item) => `done ${item}`);
      },
    };
    return { operation, batches, committed };
  }

  test('L1: joins calls of one breath, and what comes meanwhile into the next batch, in order', async () => {
    const lane = new Lane(1);
    const { operation, batches } = recorder();
    const first = [lane.add(operation, ['a']), lane.add(operation, ['b', 'c'])];
    await settle();
    const second = [lane.add(operation, ['d']), lane.add(operation, ['e'])];
    expect(await Promise.all([...first, ...second])).toEqual([['done a'], ['done b', 'done c'], ['done d'], ['done e']]);
    expect(batches).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e'],
    ]);
    expect(await lane.add(operation, [])).toEqual([]);
    await lane.idle();
  });

  test('who waits for the calls of one breath is answered, also when the batch before has just taken them along', async () => {
    for (let turns = 0; turns < 30; turns += 1) {
      const lane = new Lane(1);
      const { promise, open } = gate<readonly string[]>();
      let isFirst = true;
      const operation: LaneOperation<string, string> = {
        name: 'x',
        run: (items) => {
          if (!isFirst) return Promise.resolve(items);
          isFirst = false;
          return promise;
        },
      };
      const first = lane.add(operation, ['a']);
      await settle();
      open(['a']);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      const fresh = new Promise<void>((resolve) => queueMicrotask(() => void lane.fresh().then(resolve)));
      const many = lane.add(
        operation,
        Array.from({ length: 128 }, () => 'b'),
      );
      await Promise.all([first, many]);
      await settle();
      expect(await Promise.race([fresh.then(() => 'answered'), settle().then(() => `waits, ${turns} turns on`)])).toBe('answered');
    }
  });

  test('L2: has one operation a batch, and each key once, in the batch and beside it', async () => {
    const lane = new Lane(2);
    const [one, other] = [recorder({ keys: true }), recorder()];
    const calls = [
      lane.add(one.operation, ['a 1', 'b 1']),
      lane.add(one.operation, ['a 2', 'a 3']),
      lane.add(other.operation, ['x']),
      lane.add(one.operation, ['c 1']),
    ];
    await Promise.all(calls);
    expect(one.committed).toEqual(['a 1', 'b 1', 'a 2', 'a 3', 'c 1']);
    for (const batch of one.batches) expect(new Set(batch.map((item) => item[0])).size).toBe(batch.length);
    expect(other.batches).toEqual([['x']]);
  });

  test('L3: a bad item fails its own call, once its neighbours are done; each item is committed once', async () => {
    const lane = new Lane(1);
    const { operation, committed } = recorder({ bad: ['b'] });
    const calls = [lane.add(operation, ['a']), lane.add(operation, ['b', 'c']), lane.add(operation, ['d'])];
    const [a, b, d] = await Promise.allSettled(calls);
    expect([a?.status, b?.status, d?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(committed).toEqual(['a', 'c', 'd']);
  });

  test('L3: of a call of several transactions those that were committed are not run again when a later one has a bad item', async () => {
    const lane = new Lane(1);
    const items = Array.from({ length: 1_300 }, (_, index) => `i${index}`);
    const { operation, committed } = recorder({ bad: ['i700'] });
    expect(await rejection(lane.add(operation, items))).toMatchObject({ retryable: false });
    expect(committed).toEqual(items.filter((item) => item !== 'i700'));
  });

  test('L3: trouble of the store fails who has not been committed, and nothing overtakes it', async () => {
    const lane = new Lane(1);
    const first = Array.from({ length: 500 }, (_, index) => `i${index}`);
    const { operation, committed } = recorder({ trouble: ['late'] });
    const calls = [lane.add(operation, [...first, ...first.slice(0, 100), 'late', ...first]), lane.add(operation, ['after'])];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(committed).toHaveLength(512 + 1);
  });
});

describe('fetches that wait', () => {
  type Asked = { readonly key: string; readonly answer: (items: readonly string[], nextAtMs?: number | null) => void };

  function setUp({ isTold = true }: { isTold?: boolean } = {}) {
    const clock = new SimulatedClock(0);
    const waits = new FetchWaits<string, string>(clock, { pollMs: () => POLL_MS, isTold: () => isTold });
    const asked: Asked[] = [];
    const fetch = (changes: Partial<Wait<string, string>> & { readonly key?: string } = {}): Promise<readonly string[]> => {
      const { key = 'k' } = changes;
      const look = (): Promise<Look<string>> => {
        const { promise, open } = gate<Look<string>>();
        asked.push({ key, answer: (items, nextAtMs = null) => open({ nowMs: clock.nowMs(), items, nextAtMs }) });
        return promise;
      };
      return waits.fetch({ key, wish: key, look, waitMs: 60_000, maxItems: 1, lockMs: 1, ...changes }).then(({ items }) => items);
    };
    return { clock, waits, asked, fetch };
  }

  test('K1: of those who want the same one asks at a time; those who want something else ask after each other', async () => {
    const { clock, waits, asked, fetch } = setUp();
    const [first, second, other] = [fetch(), fetch(), fetch({ key: 'other' })];
    await clock.advance(0);
    expect(asked.map(({ key }) => key)).toEqual(['k']);
    asked[0]?.answer(['a']);
    expect(await first).toEqual(['a']);
    await clock.advance(0);
    // It got all that it asked for, so there may be more: but the others came before.
    expect(asked.map(({ key }) => key).slice(0, 2)).toEqual(['k', 'other']);
    asked[1]?.answer(['b']);
    expect(await other).toEqual(['b']);
    await clock.advance(0);
    asked[2]?.answer(['c']);
    expect(await second).toEqual(['c']);
    waits.close();
  });

  test('K2: a queue that is known to be empty is asked again by a commit, at the time that was told, by the slow poll and by who will not wait', async () => {
    const { clock, waits, asked, fetch } = setUp();
    const waiting = fetch();
    await clock.advance(0);
    asked[0]?.answer([], 300);
    const later = fetch();
    await clock.advance(299);
    expect(asked).toHaveLength(1);
    await clock.advance(1);
    expect(asked).toHaveLength(2);
    asked[1]?.answer([]);
    await clock.advance(POLL_MS);
    expect(asked).toHaveLength(3);
    asked[2]?.answer([]);
    waits.wake();
    await clock.advance(0);
    waits.wake();
    await clock.advance(0);
    // Woken while it asked: it asks once more, not twice.
    expect(asked).toHaveLength(4);
    asked[3]?.answer([]);
    await clock.advance(0);
    expect(asked).toHaveLength(5);
    asked[4]?.answer([]);
    const now = fetch({ waitMs: 0 });
    await clock.advance(0);
    expect(asked).toHaveLength(6);
    asked[5]?.answer([]);
    expect(await now).toEqual([]);
    waits.close();
    expect([await waiting, await later]).toEqual([[], []]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('K2: while nobody tells of changes, each fetch asks', async () => {
    const { clock, waits, asked, fetch } = setUp({ isTold: false });
    void fetch();
    await clock.advance(0);
    asked[0]?.answer([]);
    await clock.advance(0);
    void fetch();
    await clock.advance(0);
    expect(asked).toHaveLength(2);
    asked[1]?.answer([]);
    waits.close();
  });

  test('K3: an item goes to who asked for it, also when the wait is over or broken off meanwhile', async () => {
    const { clock, asked, fetch } = setUp();
    const controller = new AbortController();
    const late = fetch({ waitMs: 10 });
    const aborted = fetch({ key: 'other', signal: controller.signal });
    await clock.advance(20);
    controller.abort();
    asked[0]?.answer(['a']);
    expect(await late).toEqual(['a']);
    await clock.advance(0);
    for (const { answer } of asked.slice(1)) answer(['b']);
    expect([['b'], []]).toContainEqual(await aborted);
    expect(clock.pendingTimers).toBe(0);
  });

  test('K4: who found nothing can be promised what is about to be committed; not who is asking, not for another wish, not twice', async () => {
    const { clock, waits, asked, fetch } = setUp();
    expect(waits.reserve(() => true)).toBeNull();
    const waiting = fetch();
    await clock.advance(0);
    expect(waits.reserve(() => true)).toBeNull();
    asked[0]?.answer([]);
    await clock.advance(0);
    expect(waits.reserve((wish) => wish === 'other')).toBeNull();
    const reservation = waits.reserve((wish) => wish === 'k');
    expect(waits.reserve(() => true)).toBeNull();
    waits.wake();
    await clock.advance(0);
    expect(asked).toHaveLength(1);
    reservation?.release();
    await clock.advance(0);
    // What woke it meanwhile is not forgotten.
    expect(asked).toHaveLength(2);
    asked[1]?.answer([]);
    await clock.advance(0);
    waits.reserve(() => true)?.give({ nowMs: 0, items: ['given'] });
    expect(await waiting).toEqual(['given']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a look that fails fails who asked; the next one asks itself', async () => {
    const { clock, waits, asked, fetch } = setUp();
    const failing = fetch({ look: () => Promise.reject(fault(true)) });
    const next = fetch();
    expect(await rejection(failing)).toMatchObject({ retryable: true });
    await clock.advance(0);
    asked[0]?.answer(['a']);
    expect(await next).toEqual(['a']);
    waits.close();
    expect(await fetch()).toEqual([]);
  });
});

describe('waits for changes', () => {
  const setUp = () => {
    const clock = new SimulatedClock(0);
    return { clock, waits: new ChangeWaits(clock, () => POLL_MS) };
  };

  test('H1: a change while the store is asked makes it ask again', async () => {
    const { clock, waits } = setUp();
    const answers = [gate<string | null>(), gate<string | null>()];
    let asked = 0;
    const attempt = (): Promise<string | null> => answers[asked++]?.promise ?? Promise.resolve('too often');
    const waiting = waits.wait({ key: 'a', waitMs: 60_000, signal: undefined, attempt, empty: async () => 'empty' });
    await settle();
    waits.touch(hashOf('a'));
    answers[0]?.open(null);
    await settle();
    expect(asked).toBe(2);
    answers[1]?.open('found');
    expect(await waiting).toBe('found');
    expect(clock.pendingTimers).toBe(0);
  });

  test('H2: is woken by its own hash, by all, by the slow poll; ends by time, signal and close', async () => {
    const { clock, waits } = setUp();
    let asked = 0;
    const attempt = async (): Promise<string | null> => {
      asked += 1;
      return null;
    };
    const controller = new AbortController();
    const wait = (waitMs: number, signal?: AbortSignal): Promise<string> =>
      waits.wait({ key: 'a', waitMs, signal, attempt, empty: async () => 'empty' });
    const waiting = wait(5 * POLL_MS, controller.signal);
    await settle();
    waits.touch(hashOf('b'));
    await settle();
    expect(asked).toBe(1);
    waits.touch(hashOf('a'));
    await settle();
    waits.touchAll();
    await settle();
    expect(asked).toBe(3);
    await clock.advance(POLL_MS);
    expect(asked).toBe(4);
    controller.abort();
    expect(await waiting).toBe('empty');
    const timed = wait(100);
    await clock.advance(100);
    expect(await timed).toBe('empty');
    expect(await wait(0)).toBe('empty');
    const closed = wait(POLL_MS);
    waits.close();
    expect(await closed).toBe('empty');
    expect(clock.pendingTimers).toBe(0);
  });
});

test.each(['', 'a\0b', '\0\0', '\u{10ffff}', '\u{10ffff}0', '\u{10ffff}1\0', '\\u0000', '\\\0', '\\\\\0', '"\0"'])(
  'N4: %j comes back, also out of JSON',
  (text) => {
    const stored = String(escapeValue(text));
    expect(stored).not.toContain('\0');
    expect(unescape(stored)).toBe(text);
    const json = String(escapeValue(encodeJson({ text })));
    expect(json).not.toContain('\0');
    expect((JSON.parse(json) as { readonly text: string }).text).toBe(stored);
  },
);
