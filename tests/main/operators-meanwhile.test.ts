// Operators act on an instance in the middle of what a runtime does with it: before and after each of its calls to the store. Whatever they do, who
// waits hears of it, neighbours and whoever has the id next go on, and nothing stays behind in the queues.
import { defineActivity, defineOrchestration, type Client } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { rejection } from '../support/integration-stage.ts';
import { TroubledStore, type Around } from './troubled-store.ts';

const work = defineActivity('work', (_ctx, text: string) => `${text}!`);
const plays = defineOrchestration('plays', async (ctx, text: string) => {
  const first = await ctx.scheduleActivity<string>('work', text);
  const child = await ctx.scheduleSubOrchestration<string>('child', first);
  return await ctx.scheduleActivity<string>('work', child);
});
const child = defineOrchestration('child', (ctx, text: string) => ctx.scheduleActivity('work', text));

/** What an operator does, and how the wait for the first life ends. */
const ACTIONS: Readonly<Record<string, { readonly act: (client: Client) => Promise<unknown>; readonly isStartedAgain: boolean }>> = {
  'is deleted': { act: (client) => client.deleteInstance('a', { force: true }), isStartedAgain: false },
  'is deleted in bulk': { act: (client) => client.bulk('delete', { name: 'plays', search: 'a' }, { force: true }), isStartedAgain: false },
  'is deleted and started again': {
    act: async (client) => {
      await client.deleteInstance('a', { force: true });
      await client.startOrchestration('a', 'plays', 'new');
    },
    isStartedAgain: true,
  },
  'is replaced': {
    act: (client) => client.startOrchestration('a', 'plays', 'new', { onExisting: 'terminateExisting' }),
    isStartedAgain: true,
  },
  'is terminated and tried again': {
    act: async (client) => {
      await client.terminate('a');
      // Before its first turn its input is not known.
      await client.retry('a').catch(() => client.startOrchestration('a', 'plays', 'new', { onExisting: 'replaceTerminal' }));
    },
    isStartedAgain: true,
  },
};
const CALLS = ['fetchOrchestrationItems', 'ackOrchestrationItems', 'fetchWorkItems', 'ackWorkItems', 'readHistory'] as const;

/** Does it once, before or after the call that is so many calls of its kind later. A fetch counts when it brought something. */
function meanwhile(
  method: (typeof CALLS)[number],
  { nth, isBefore }: { readonly nth: number; readonly isBefore: boolean },
  act: () => Promise<unknown>,
) {
  let left = nth;
  const state = { isDone: false };
  const take = async (): Promise<void> => {
    left -= 1;
    if (left !== 0) return;
    await act();
    state.isDone = true;
  };
  const around = {
    [method]: async (call: (...args: readonly unknown[]) => Promise<unknown>, ...args: readonly unknown[]) => {
      const isFetch = method.startsWith('fetch');
      if (isBefore && !isFetch) await take();
      const answer = await call(...args);
      const isEmpty = isFetch && (answer as { readonly items: readonly unknown[] }).items.length === 0;
      if ((!isBefore || isFetch) && !isEmpty) await take();
      return answer;
    },
  } as unknown as Around;
  return { around, state };
}

describe.each(Object.entries(ACTIONS))('an instance that %s', (_, { act, isStartedAgain }) => {
  test.each(CALLS)('in the middle of %s disturbs nobody', async (method) => {
    let times = 0;
    for (const stickyCacheMb of [0, 16]) {
      for (const isBefore of [true, false]) {
        for (let nth = 1; nth <= 4; nth += 1) {
          const store = new TroubledStore();
          const { around, state } = meanwhile(method, { nth, isBefore }, () => act(store.client));
          const runtime = await store.start(around, { orchestrations: [plays, child], activities: work, stickyCacheMb, maxAttempts: 5 });
          await store.client.startOrchestrations(
            ['a', 'b'].map((instanceId) => ({ instanceId, orchestration: 'plays', input: instanceId })),
          );
          const ended = store.client.waitForResult('a').catch((error: unknown) => error);
          expect(await store.result('b')).toBe('b!!!');
          const end = await store.pass(ended);
          if (state.isDone) times += 1;
          // By the first life, by the second, or by none.
          if (state.isDone && !isStartedAgain) {
            const isGone = (await store.client.getState('a')) === null;
            expect(end === 'a!!!' || (end instanceof Error && 'code' in end && end.code === 'INSTANCE_NOT_FOUND')).toBe(true);
            expect(isGone).toBe(true);
          } else if (state.isDone) {
            expect(['new!!!', 'a!!!']).toContain(await store.result('a'));
          } else expect(end).toBe('a!!!');
          await store.clock.advance(120_000);
          const { orchestratorMessages, workItems } = await store.client.getQueueDepths();
          expect([method, nth, isBefore, stickyCacheMb, orchestratorMessages, workItems]).toEqual([
            method,
            nth,
            isBefore,
            stickyCacheMb,
            0,
            0,
          ]);
          expect(runtime.stats()).toMatchObject({ turnsInFlight: 0, activitiesInFlight: 0 });
          await store.pass(runtime.shutdown({ timeoutMs: 0 }));
        }
      }
    }
    expect(times).toBeGreaterThan(3);
  });
});

test('past executions that are pruned while the next one runs are missed by nobody', async () => {
  const store = new TroubledStore();
  const rounds = defineOrchestration('rounds', async (ctx, left: number): Promise<number> => {
    await ctx.scheduleActivity('work', 'x');
    return left === 0 ? 0 : await ctx.continueAsNew(left - 1);
  });
  const prune = (): Promise<unknown> => store.client.pruneExecutions('a', { keepLast: 1 });
  await store.start(
    {
      ackOrchestrationItems: async (call, acks) => {
        await prune();
        const outcomes = await call(acks);
        await prune();
        return outcomes;
      },
      readHistory: async (call, requests) => {
        await prune();
        return await call(requests);
      },
    },
    { orchestrations: rounds, activities: work, stickyCacheMb: 0 },
  );
  await store.client.startOrchestration('a', 'rounds', 5);
  expect(await store.result('a')).toBe(0);
  expect((await store.client.listExecutions('a')).map(({ executionId }) => executionId)).toEqual([6]);
  expect(await rejection(store.client.pruneExecutions('a', {}))).toMatchObject({ code: 'ARGUMENT_INVALID' });
});
