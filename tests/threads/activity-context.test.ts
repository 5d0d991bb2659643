// Corners of the context of an activity: messages of its session, heartbeats, and how its end is told.
import { defineActivity, defineOrchestration, ProviderError, type ActivityContext } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { TroubledStore, type Around } from '../main/troubled-store.ts';
import { rejection } from '../support/integration-stage.ts';

type Deed = (ctx: ActivityContext) => unknown;

/** A runtime whose orchestration runs one activity of a session, and sends it the messages that it was given. */
async function perform(deed: Deed, around: Around = {}, messages: readonly unknown[] = []): Promise<TroubledStore> {
  const store = new TroubledStore();
  const activity = defineActivity('deed', async (ctx) => await deed(ctx));
  const play = defineOrchestration('play', (ctx) => {
    for (const message of messages) ctx.sendToSession('s', message);
    return ctx.scheduleActivity('deed', null, { sessionId: 's', attemptTimeoutMs: 60_000 });
  });
  await store.start(around, { orchestrations: play, activities: activity, activityGraceMs: 0 });
  await store.client.startOrchestration('a', 'play');
  return store;
}

describe('messages of the session', () => {
  test('are received in order, nothing as nothing', async () => {
    const store = await perform(async (ctx) => [await ctx.receive(), await ctx.receive(), (await ctx.receive()) ?? 'nothing'], {}, [
      'one',
      { two: 2 },
      undefined,
    ]);
    expect(await store.result('a')).toEqual(['one', { two: 2 }, 'nothing']);
  });

  test('are not waited for after the end: the wait rejects with what ended the activity', async () => {
    const seen: unknown[] = [];
    const store = await perform(async (ctx) => {
      const waits = await Promise.allSettled([ctx.receive()]);
      // Once more, when it is over already.
      seen.push(...waits, ...(await Promise.allSettled([ctx.receive()])));
    });
    await store.result('a');
    const timeout = { status: 'rejected', reason: { name: 'TimeoutError', code: 'ACTIVITY_TIMEOUT' } };
    expect(seen).toMatchObject([timeout, timeout]);
  });

  test('that the store cannot give reject the wait, and the next one may succeed', async () => {
    let isBroken = true;
    const busy = new ProviderError('PROVIDER_FAILED', { operation: 'receiveSessionMessages', retryable: true, message: 'busy' });
    const around: Around = {
      receiveSessionMessages: (call, params) => {
        if (!isBroken) return call(params);
        isBroken = false;
        return Promise.reject(busy);
      },
    };
    const store = await perform(
      async (ctx) => {
        const [first] = await Promise.allSettled([ctx.receive()]);
        return [first.status === 'rejected' ? (first.reason as ProviderError).operation : 'received', await ctx.receive()];
      },
      around,
      ['hello'],
    );
    expect(await store.result('a')).toEqual(['receiveSessionMessages', 'hello']);
  });

  test('are for activities of a session only', async () => {
    const store = new TroubledStore();
    const activity = defineActivity('deed', (ctx) => ctx.receive());
    const play = defineOrchestration('play', (ctx) => ctx.scheduleActivity('deed'));
    await store.start({}, { orchestrations: play, activities: activity });
    await store.client.startOrchestration('a', 'play');
    expect(await rejection(store.result('a'))).toMatchObject({ cause: { code: 'ARGUMENT_INVALID' } });
  });
});

test('a heartbeat without details says nothing new', async () => {
  const beats: unknown[] = [];
  const around: Around = {
    renewWorkLocks: (call, locks, lockMs) => {
      beats.push(...locks.flatMap((lock) => (lock.heartbeat === undefined ? [] : [lock.heartbeat])));
      return call(locks, lockMs);
    },
  };
  const stores: TroubledStore[] = [];
  const store = await perform(async (ctx) => {
    ctx.heartbeat('here');
    ctx.heartbeat(undefined);
    await new Promise<void>((resolve) => stores[0]?.clock.setTimer(2_000, resolve));
  }, around);
  stores.push(store);
  await store.result('a');
  expect(beats).toEqual(['"here"']);
});

test('an activity that rejects with the reason of its signal is told as timed out, without a cause of its own', async () => {
  const store = await perform(
    (ctx) =>
      new Promise((_, reject) => {
        ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error));
      }),
  );
  const error = await rejection(store.result('a'));
  expect(error).toMatchObject({ cause: { code: 'ACTIVITY_TIMEOUT' } });
  expect((error.cause as Error).cause).toBeUndefined();
});
