// Messages to the activities of a session when an attempt ends without a record: what it took last is taken again, and nothing else is lost.
//
// Covered elsewhere:
// | case                                                     | where                        |
// | -------------------------------------------------------- | ---------------------------- |
// | order, waiting, cancellation, a restart of the runtime   | tests/e2e/activities.test.ts |
// | the queue of session messages in the store               | src/conformance/cases-sessions.ts |
import { Client, defineActivity, defineOrchestration, type ActivityContext, type Provider } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { faulty, type FaultPlan } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { aborted, Gate } from '../e2e/fixtures/house.ts';
import { PATIENCE, quick, stage, type Stage } from '../support/integration-stage.ts';

type Opened = { readonly stand: Stage; readonly store: Provider };

const STORES: readonly (readonly [string, () => Promise<Opened>])[] = [
  ['memory', () => Promise.resolve({ stand: stage(), store: new MemoryProvider() })],
  [
    'sqlite',
    async () => {
      const stand = stage();
      return { stand, store: await stand.openProvider() };
    },
  ],
];

const inline = { ...quick, replayThreads: 0, activityThreads: 0, activityLockMs: 10_000, maxAttempts: 5 } as const;

/** The first activity that ends is refused: its lock is lost on the way to the store. */
const REFUSED: FaultPlan = { seed: 1, script: [{ operation: 'ackWorkItems', call: 1, fault: { kind: 'lockLost' } }] };

describe.each(STORES)('messages of a session, %s', (_name, open) => {
  test('are taken again in the same thread when the end of their activity was refused', async () => {
    const { stand, store } = await open();
    const provider = faulty(store, REFUSED);
    const attempts: unknown[] = [];
    const takes = defineActivity('takes', async (ctx) => {
      const message = await ctx.receive();
      attempts.push(message);
      return message;
    });
    const talks = defineOrchestration('talks', async (ctx) => {
      ctx.sendToSession('s', 'first');
      const told = [await ctx.scheduleActivity('takes', undefined, { sessionId: 's' })];
      ctx.sendToSession('s', 'second');
      return [...told, await ctx.scheduleActivity('takes', undefined, { sessionId: 's' })];
    });
    await stand.startRuntime({ provider, orchestrations: [talks], activities: [takes], ...inline });
    const handle = await new Client(provider).startOrchestration('i', 'talks');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['first', 'second']);
    expect(attempts).toEqual(['first', 'first', 'second']);
  });

  test('that one activity has taken stay for its next attempt while others of the session go on receiving', async () => {
    const { stand, store } = await open();
    const [held, passed] = [new Gate(), new Gate()];
    const seen: unknown[] = [];
    const holds = defineActivity('holds', async (ctx: ActivityContext) => {
      const message = await ctx.receive();
      if (seen.length > 0) return message;
      seen.push(message);
      held.open();
      await aborted(ctx.signal);
      return undefined;
    });
    const loops = defineActivity('loops', async (ctx: ActivityContext) => {
      for (;;) {
        seen.push(await ctx.receive());
        if (seen.at(-1) === 'last') passed.open();
      }
    });
    const talks = defineOrchestration('talks', async (ctx) => {
      ctx.sendToSession('s', 'for the one that holds');
      const holding = ctx.scheduleActivity('holds', undefined, { sessionId: 's' });
      await ctx.waitForEvent('held');
      const looping = ctx.scheduleActivity('loops', undefined, { sessionId: 's' });
      ctx.sendToSession('s', 'for the other');
      ctx.sendToSession('s', 'last');
      const message = await holding;
      looping.cancel();
      return message;
    });
    const options = { provider: store, orchestrations: [talks], activities: [holds, loops], ...inline };
    const runtime = await stand.startRuntime(options);
    const handle = await new Client(store).startOrchestration('i', 'talks');
    await held.opened;
    await handle.raiseEvent('held');
    await passed.opened;
    expect(seen).toEqual(['for the one that holds', 'for the other', 'last']);
    // Cut off: as after a crash, nobody acks. The other one must not be first at the message.
    await runtime.shutdown({ timeoutMs: 0 });
    const messages = await store.receiveSessionMessages({ sessionId: 's', afterSeq: 0, waitMs: 0 });
    expect(messages[0]?.payload).toBe('"for the one that holds"');
  });

  test('are not taken by an activity that has ended', async () => {
    const { stand, store } = await open();
    const impatient = defineActivity('impatient', (ctx: ActivityContext) => {
      void ctx.receive();
      return 'did not wait';
    });
    const takes = defineActivity('takes', (ctx: ActivityContext) => ctx.receive());
    const talks = defineOrchestration('talks', async (ctx) => {
      const first = await ctx.scheduleActivity('impatient', undefined, { sessionId: 's' });
      ctx.sendToSession('s', 'message');
      return [first, await ctx.scheduleActivity('takes', undefined, { sessionId: 's' })];
    });
    await stand.startRuntime({ provider: store, orchestrations: [talks], activities: [impatient, takes], ...inline });
    const handle = await new Client(store).startOrchestration('i', 'talks');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['did not wait', 'message']);
  });
});
