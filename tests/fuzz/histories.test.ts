// Real histories, changed at random, through replayHistory and through a running runtime: they are followed, or refused with a typed error;
// the instance is quarantined and no other.
import Database from 'better-sqlite3';
import { Client, defineActivity, defineOrchestration, DurableError, Runtime, type HistoryEvent } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { exportHistory, replayHistory, type RecordedHistory } from 'duraloom/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_ROLES } from '../../src/types/history-event.ts';
import { seeded } from '../support/seed.ts';
import { fuzz, LIMIT_MS, PATIENCE, storedText, VICTIM, WILD, World } from './kit.ts';

// --- code that decides everything that can be decided --------------------------------------------------------------------------------

const echo = defineActivity('echo', (_ctx, value: unknown) => value);
const fails = defineActivity('fails', () => {
  throw new RangeError('as it should');
});

const child = defineOrchestration('child', (_ctx, value: unknown) => value);
const lastingChild = defineOrchestration('lastingChild', (ctx) => ctx.waitForEvent('never'));
const failingChild = defineOrchestration('failingChild', () => {
  throw new RangeError('as it should');
});

const everything = defineOrchestration('everything', async (ctx, input: { readonly rounds: number }) => {
  ctx.patched('new way');
  ctx.kv.set('key', { a: [1] });
  ctx.kv.set('other', 1);
  ctx.kv.delete('other');
  ctx.setAttributes({ customer: 'acme', vip: true, old: null });
  const news = ctx.subscribe('news/*');
  ctx.subscribe('old').unsubscribe();
  ctx.publish('news/self', { now: ctx.now() });
  ctx.sendToSession('session', 1);
  ctx.startOrchestration('child', `${ctx.instanceId} detached`, 1);
  ctx.setCustomStatus({ at: ctx.random() });
  await ctx.scheduleTimer(1);
  const results = await ctx.allSettled([
    ctx.scheduleActivity('echo', { a: 1 }, { tag: 'gpu', priority: 1 }),
    ctx.scheduleActivity('fails', null, { retry: { maximumAttempts: 2, backoff: 'fixed', initialIntervalMs: 1 } }),
    ctx.scheduleSubOrchestration('child', [2]),
    ctx.scheduleSubOrchestration('failingChild'),
    news.next(),
  ]);
  const scope = ctx.scope(() => ctx.waitForEvent('never'));
  scope.cancel();
  const race = await ctx.race({ event: ctx.waitForEvent('go'), timeout: ctx.scheduleTimer('1h') });
  await ctx.withTimeout('1h', () => ctx.scheduleActivity('echo', ctx.uuid()));
  if (input.rounds > 1) return ctx.continueAsNew({ rounds: input.rounds - 1 });
  return [results.length, race];
});

const isCancelled = defineOrchestration('isCancelled', (ctx) => {
  void ctx.scheduleSubOrchestration('lastingChild', null, { onParentClose: 'terminate' });
  return ctx.waitForEvent('never');
});

const throws = defineOrchestration('throws', async (ctx) => {
  await ctx.scheduleActivity('echo', 1);
  await ctx.scheduleActivity('fails');
});

const waits = defineOrchestration('waits', async (ctx) => {
  void ctx.scheduleTimer('1h');
  await ctx.scheduleActivity('echo', 1);
  return ctx.waitForEvent('never');
});

const generates = defineOrchestration('generates', function* generates(ctx): Generator<unknown, unknown, unknown> {
  const first: unknown = yield ctx.scheduleActivity('echo', 1);
  return [first, yield ctx.scheduleTimer(1)];
});

const orchestrations = [everything, isCancelled, throws, waits, generates, child, lastingChild, failingChild];

/** Histories as production leaves them, of instances that ended in every way and of one that goes on. */
async function record(): Promise<readonly RecordedHistory[]> {
  const provider = new MemoryProvider();
  const client = new Client(provider);
  const activities = [echo, fails];
  const runtime = await Runtime.start({ provider, orchestrations, activities, replayThreads: 0, activityThreads: 0, tags: 'any' });
  await client.startOrchestration('everything', everything, { rounds: 2 });
  for (const name of ['isCancelled', 'throws', 'waits', 'generates']) await client.startOrchestration(name, name);
  for (const key of ['1', '2']) await client.raiseEvent('everything', 'go', { key }, { key });
  await client.waitForResult('everything', { timeout: PATIENCE });
  await client.cancel('isCancelled', 'enough');
  for (const id of ['isCancelled', 'throws', 'generates']) await client.waitForResult(id, { timeout: PATIENCE }).catch(() => null);
  while ((await client.readHistory('waits')).length < 5) await client.waitForResult('waits', { timeout: 5 }).catch(() => null);
  await runtime.shutdown();
  const ids = ['everything', 'everything detached', 'isCancelled', 'throws', 'waits', 'generates'];
  return Promise.all(ids.map((id) => exportHistory(client, id)));
}

const recorded = await record();

// --- changes -------------------------------------------------------------------------------------------------------------------------

/** What a field may hold after a change. */
const fieldValue = fc.oneof(
  fc.constantFrom<unknown>(null, 0, 1, 2, -1, 1.5, 1e300, '', 'x', true, [], {}, [null], 'everything', '1.0.0', '9.9.9', 'news/x'),
  fc.constantFrom(...Object.keys(EVENT_ROLES)),
  fc.jsonValue({ maxDepth: 2 }),
);

const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

/** One change of a list of events; places are shares of its length. */
const change = fc.record({
  kind: fc.constantFrom('field', 'field', 'field', 'newField', 'event', 'remove', 'repeat', 'swap', 'cut', 'renumber', 'deep'),
  at: share,
  to: share,
  field: fc.constantFrom(
    'id',
    'atMs',
    'kind',
    'sourceId',
    'executionId',
    'name',
    'failure',
    'parent',
    'carried',
    'values',
    'key',
    'reason',
    '__proto__',
  ),
  value: fieldValue,
});

type Change = typeof change extends fc.Arbitrary<infer Value> ? Value : never;
type Loose = Record<string, unknown>;

function mutate(events: readonly unknown[], changes: readonly Change[]): readonly unknown[] {
  let mutated: unknown[] = structuredClone([...events]);
  for (const { kind, at, to, field, value: given } of changes) {
    // A copy: what is put into itself is no JSON any more.
    const value = structuredClone(given);
    const place = Math.floor(at * mutated.length);
    const other = Math.floor(to * mutated.length);
    const event = mutated[place];
    switch (kind) {
      case 'field':
        // One that the event has.
        if (isLoose(event)) setOwn(event, Object.keys(event)[Math.floor(to * Object.keys(event).length)] ?? field, value);
        break;
      case 'newField':
        if (isLoose(event)) setOwn(event, field, value);
        break;
      case 'event':
        mutated[place] = value;
        break;
      case 'remove':
        mutated.splice(place, 1);
        break;
      case 'repeat':
        mutated.splice(other, 0, structuredClone(event));
        break;
      case 'swap':
        [mutated[place], mutated[other]] = [mutated[other], mutated[place]];
        break;
      case 'cut':
        mutated = mutated.slice(0, place);
        break;
      case 'renumber':
        for (const [index, one] of mutated.entries()) if (isLoose(one)) one['id'] = index + 1;
        break;
      case 'deep':
        if (isLoose(event)) setDeep(event, to, value);
        break;
    }
  }
  return mutated;
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Also a key such as __proto__ stays a key. */
function setOwn(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Changes something inside a field. */
function setDeep(event: Loose, to: number, value: unknown): void {
  const inner = Object.values(event).filter((field) => typeof field === 'object' && field !== null);
  const target = inner[Math.floor(to * inner.length)];
  if (target === undefined) return;
  const keys = Object.keys(target);
  setOwn(target, keys[Math.floor(to * keys.length)] ?? 'new', value);
}

const changes = fc.array(change, { minLength: 1, maxLength: 3 });

/** `followed`, or the code of a typed error. */
async function replay(input: Parameters<typeof replayHistory>[0], options?: Parameters<typeof replayHistory>[2]): Promise<string> {
  const before = [process.listenerCount('unhandledRejection'), Date, Math.random];
  try {
    const { events, executions } = await replayHistory(input, orchestrations, options);
    expect(events).toBe(executions.reduce((sum, execution) => sum + execution.events, 0));
    return 'followed';
  } catch (error) {
    if (!(error instanceof DurableError)) throw error;
    expect(error.message.length).toBeGreaterThan(10);
    return error.code;
  } finally {
    expect([process.listenerCount('unhandledRejection'), Date, Math.random]).toEqual(before);
  }
}

// --- cases ---------------------------------------------------------------------------------------------------------------------------

describe(seeded('changed histories'), () => {
  test('are recorded with every kind of event, and followed as they are', async () => {
    const kinds = new Set(recorded.flatMap(({ executions }) => executions.flatMap(({ events }) => events.map(({ kind }) => kind))));
    expect(Object.keys(EVENT_ROLES).filter((kind) => !kinds.has(kind as HistoryEvent['kind']))).toEqual([]);
    for (const history of recorded) expect(await replay(history), history.instanceId).toBe('followed');
  });

  test(
    'are followed by replayHistory, or refused with a typed error',
    async () => {
      const codes = new Map<string, number>();
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...recorded),
          share,
          changes,
          fc.constantFrom('record', 'text', 'events'),
          async (history, which, given, form) => {
            const place = Math.floor(which * history.executions.length);
            const executions = history.executions.map(({ executionId, events }, index) => ({
              executionId,
              events: (index === place ? mutate(events, given) : events) as readonly HistoryEvent[],
            }));
            const mutated = { ...history, executions };
            const input = form === 'record' ? mutated : form === 'text' ? JSON.stringify(mutated) : (executions[place]?.events ?? []);
            const code = await replay(input);
            codes.set(code, (codes.get(code) ?? 0) + 1);
          },
        ),
        fuzz(250),
      );
      expect(
        [...codes.keys()].filter(
          (code) => !['followed', 'HISTORY_INVALID', 'NONDETERMINISM', 'ORCHESTRATION_NOT_REGISTERED', 'REPLAY_FAILED'].includes(code),
        ),
      ).toEqual([]);
      expect(codes.get('followed')).toBeGreaterThan(0);
      expect(codes.get('HISTORY_INVALID')).toBeGreaterThan(50);
    },
    LIMIT_MS,
  );

  test(
    'and what is no history at all is refused by replayHistory with a typed error',
    async () => {
      const wild = Object.values(WILD);
      for (const make of wild) {
        for (const input of [
          make(),
          { ...recorded[0], executions: make() },
          { ...recorded[0], executions: [make()] },
          { ...recorded[0], instanceId: make() },
        ]) {
          expect(await replay(input as RecordedHistory)).not.toBe('followed');
        }
        await replay(recorded[3] as RecordedHistory, make() as object);
        await replay(recorded[3]?.executions[0]?.events ?? [], { instanceId: make() as string });
        await replayHistory(recorded[3] as RecordedHistory, make() as never).catch((error: unknown) => {
          if (!(error instanceof DurableError)) throw error;
        });
      }
      const whole = JSON.stringify(recorded[3]);
      await fc.assert(
        fc.asyncProperty(
          fc.oneof(
            storedText,
            share.map((at) => whole.slice(0, at * whole.length)),
          ),
          async (text) => {
            expect(await replay(text)).not.toBe('followed');
          },
        ),
        fuzz(50),
      );
    },
    LIMIT_MS,
  );

  test(
    'in a store quarantine their instance, or are followed, and no other instance suffers',
    async () => {
      const codes = new Map<string, number>();
      await fc.assert(
        fc.asyncProperty(changes, share, fc.boolean(), async (given, which, running) => {
          await using world = new World();
          await world.open();
          await world.start(running);
          await world.populate();
          if (!running) await world.stop();
          changePage(world.file, which, given);
          if (!running) await world.start(true);
          await world.raiseAll();
          await world.expectNeighbours();
          await world.expectSettled();
          const code = (await world.client.getState(VICTIM))?.error?.code ?? 'followed';
          codes.set(code, (codes.get(code) ?? 0) + 1);
          await world.expectTyped();
          await world.expectQuiet();
        }),
        fuzz(30),
      );
      expect(
        [...codes.keys()].filter(
          (code) => !['followed', 'HISTORY_INVALID', 'NONDETERMINISM', 'ORCHESTRATION_NOT_REGISTERED', 'TOO_MANY_ATTEMPTS'].includes(code),
        ),
      ).toEqual([]);
      expect(codes.get('HISTORY_INVALID')).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );
});

/** Changes one page of the victim's history. */
function changePage(file: string, which: number, given: readonly Change[]): void {
  const database = new Database(file, { timeout: 5_000 });
  const pages = database
    .prepare('SELECT rowid, events FROM history WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?)')
    .all(VICTIM) as {
    readonly rowid: number;
    readonly events: string;
  }[];
  const page = pages[Math.floor(which * pages.length)];
  if (page === undefined) throw new TypeError('the victim has a history');
  const events = JSON.stringify(mutate(JSON.parse(page.events) as readonly unknown[], given));
  database.prepare('UPDATE history SET events = ? WHERE rowid = ?').run(events, page.rowid);
  database.close();
}
