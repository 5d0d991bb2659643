// What the golden histories were recorded from. Frozen: the histories in the folders beside it must replay on this code for ever, so nothing
// here is changed any more. New ones go to a file of their own, orchestrations-<what>.ts. Neighbours: activities.ts, scenarios.ts (what is
// done to them), orchestrations-before.ts.
import { defineOrchestration, type OrchestrationContext } from 'duraloom';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import type * as definitions from './activities.ts';

// --- activities --------------------------------------------------------------------------------------------------------------

export const activities = defineOrchestration('activities', async (ctx, names: readonly string[]) => {
  const { greet } = ctx.activities<typeof definitions>();
  const greetings = await Promise.all(names.map((name) => greet(name)));
  const typed = await ctx.scheduleActivity<string>('greet', 'by name', { priority: 7 });
  const nothing = await ctx.scheduleActivity<undefined>('nothing');
  return { greetings, typed, nothing: nothing === undefined };
});

/** Fails twice, with heartbeats; gives up at once; gives up for its code; never begins. */
export const retries = defineOrchestration('retries', async (ctx) => {
  const retry = { maximumAttempts: 3, initialIntervalMs: 1_000, jitter: 0.2 };
  const first = await ctx.scheduleActivity('flaky', 3, { retry });
  const codes: unknown[] = [];
  for (const [name, options] of [
    ['refuses', { retry }],
    ['flaky', { retry: { ...retry, nonRetryable: ['FLAKY'] } }],
    ['slow', { attemptTimeoutMs: 500, retry: { maximumAttempts: 2, backoff: 'none' } }],
    ['slow', { timeoutMs: 700, retry: { maximumAttempts: 9, backoff: 'fixed', initialIntervalMs: 100 } }],
    ['greet', { tag: 'nobody takes it', expiresAfterMs: 60_000 }],
  ] as const) {
    codes.push(await ctx.scheduleActivity(name, 9, options).catch((error: { readonly code?: string }) => error.code));
  }
  return { first, codes };
});

/** Tags, sessions, messages to a session. */
export const routes = defineOrchestration('routes', async (ctx) => {
  const tagged = ctx.scheduleActivity('greet', 'gpu', { tag: 'gpu' });
  const answers = ctx.scheduleActivity('collect', 2, { sessionId: 'session of routes' });
  ctx.sendToSession('session of routes', { first: true });
  await ctx.scheduleTimer('1s');
  ctx.sendToSession('session of routes');
  return [await tagged, await answers];
});

/** What is given up leaves its mark. */
export const withdrawals = defineOrchestration('withdrawals', async (ctx) => {
  const futures = [
    ctx.scheduleActivity('slow', 1),
    ctx.scheduleTimer('1d'),
    ctx.waitForEvent('never'),
    ctx.scheduleSubOrchestration('forever'),
  ];
  await ctx.scheduleTimer('1s');
  for (const future of futures) future.cancel();
  const settled = await ctx.allSettled(futures);
  return settled.map(({ status }) => status);
});

// --- events and topics -------------------------------------------------------------------------------------------------------

/** Events that come early, late, twice with one key, and in a loop. */
export const events = defineOrchestration('events', async (ctx) => {
  const taken: unknown[] = [await ctx.waitForEvent('early')];
  ctx.setCustomStatus('listening');
  const [left, right] = await ctx.all([ctx.waitForEvent('pair'), ctx.waitForEvent('pair')]);
  for await (const item of ctx.events<number | null>('item')) {
    if (item === null) break;
    taken.push(item);
  }
  return [...taken, left, right];
});

export const checkedEvents = defineOrchestration(
  'checkedEvents',
  async (ctx, { count }: { readonly count: number }) => {
    const seen: unknown[] = [count];
    for (let index = 0; index < 2; index += 1) {
      seen.push(await ctx.waitForEvent('order').catch((error: { readonly code?: string }) => error.code));
    }
    return seen;
  },
  { input: z.object({ count: z.number().default(2) }), events: { order: z.object({ id: z.string() }) } },
);

export const subscriber = defineOrchestration('subscriber', async (ctx) => {
  const exact = ctx.subscribe<number>('orders/created');
  const wide = ctx.subscribe<number>('orders/**');
  ctx.setCustomStatus('subscribed');
  const messages = [await exact.next(), await wide.next(), await wide.next()];
  exact.unsubscribe();
  for await (const { data } of wide) {
    if (data === 0) break;
    messages.push({ topic: 'in a loop', data });
  }
  const lost = wide.next().catch((error: { readonly code?: string }) => error.code);
  wide.unsubscribe();
  return [messages, await lost];
});

export const publisher = defineOrchestration('publisher', async (ctx) => {
  ctx.publish('orders/created', 1);
  await ctx.scheduleTimer('1s');
  ctx.publish('orders/eu/paid', 2);
  ctx.publish('orders/empty');
  await ctx.scheduleTimer('1s');
  ctx.publish('orders/done', 0);
});

// --- state -------------------------------------------------------------------------------------------------------------------

export const state = defineOrchestration('state', async (ctx) => {
  ctx.setCustomStatus({ step: 1, ключ: ['значение', '😀'] });
  ctx.setCustomStatus(undefined);
  ctx.setCustomStatus(ctx.getCustomStatus() === undefined ? 'reset' : 'kept');
  for (const key of ['a', 'b', 'c', '__proto__']) ctx.kv.set(key, { key });
  await ctx.scheduleTimer('1h');
  ctx.kv.set('d', null);
  const deleted = [ctx.kv.delete('a'), ctx.kv.delete('a')];
  const pruned = ctx.kv.prune(new Date(ctx.now()));
  const left = [ctx.kv.get('d'), ctx.kv.keys(), ctx.kv.entries(), ctx.kv.size];
  ctx.kv.set('e', 5);
  ctx.kv.clear();
  ctx.kv.set('public', 'for all');
  return { deleted, pruned, left };
});

export const reader = defineOrchestration('reader', async (ctx) => [
  await ctx.getValueFromInstance('state', 'public'),
  await ctx.getValueFromInstance('state', 'missing'),
  await ctx.getValueFromInstance('nobody', 'public'),
]);

// --- time, chance and the globals --------------------------------------------------------------------------------------------

export const chance = defineOrchestration('chance', async (ctx) => {
  const draw = (): unknown[] => [
    ctx.now(),
    ctx.random(),
    ctx.uuid(),
    Date.now(),
    new Date().toISOString(),
    Math.random(),
    crypto.randomUUID(),
    [...crypto.getRandomValues(new Uint8Array(4))],
    performance.now(),
  ];
  const first = draw();
  await ctx.scheduleTimer(new Date(ctx.now() + 90_000));
  ctx.log.info('seen once', { instance: ctx.instanceId });
  ctx.metrics.counter('golden_draws_total', 2);
  ctx.metrics.histogram('golden_seconds', 1.5, { kind: 'chance' });
  ctx.metrics.gauge('golden_level', 3);
  return [
    first,
    draw(),
    ctx.name,
    ctx.version,
    ctx.executionId,
    ctx.isCancellationRequested,
    ctx.shouldContinueAsNew,
    typeof ctx.isReplaying,
  ];
});

// --- children ----------------------------------------------------------------------------------------------------------------

export const child = defineOrchestration('child', async (ctx, how: string) => {
  if (how === 'fails')
    throw Object.assign(new RangeError('child failed', { cause: new TypeError('for a reason') }), { code: 'CHILD_FAILED' });
  if (how === 'waits') await ctx.waitForEvent('release');
  return `child ${how}`;
});

export const childOfLater = defineOrchestration('child', (_ctx, how: string) => `later child ${how}`, { version: '1.4.0' });

/** Never ends by itself. */
export const forever = defineOrchestration('forever', async (ctx) => {
  await ctx.scheduleActivity('greet', 'forever');
  await ctx.waitForEvent('never');
});

/** Results, failures, versions, ids in use, later starts, termination. */
export const parent = defineOrchestration('parent', async (ctx) => {
  const code = (error: { readonly code?: string; readonly message: string }): string => error.code ?? error.message;
  const run = (options: Parameters<OrchestrationContext['scheduleSubOrchestration']>[2], how = 'returns'): Promise<unknown> =>
    ctx.scheduleSubOrchestration('child', how, options).catch(code);
  const results = await ctx.all([
    run({ version: '1.0.0' }),
    run({ version: '^1.1' }),
    run({ version: '1.0.0' }, 'fails'),
    run({ instanceId: 'taken' }),
    run({ startAfter: '5m', priority: 3 }),
    run({ instanceId: 'ended', onExisting: 'replaceTerminal', startAt: new Date(ctx.now() + 60_000) }),
  ]);
  ctx.setCustomStatus('waiting for the one that is terminated');
  const terminated = await run({ version: '1.0.0', instanceId: 'victim', onParentClose: 'terminate' }, 'waits');
  ctx.startOrchestration('child', 'detached', 'returns');
  ctx.startOrchestration('child', 'detached-later', 'returns', { version: '~1.0', startAfter: '1h' });
  return [...results, terminated];
});

/** Ends before its children, each of which has another policy. */
export const careless = defineOrchestration('careless', async (ctx) => {
  for (const onParentClose of ['cancel', 'abandon', 'terminate'] as const) {
    void ctx.scheduleSubOrchestration('forever', undefined, { instanceId: `left-to-${onParentClose}`, onParentClose });
  }
  await ctx.scheduleTimer('1s');
  return 'gone';
});

// --- scopes and cancellation -------------------------------------------------------------------------------------------------

export const scopes = defineOrchestration('scopes', async (ctx) => {
  const scope = ctx.scope(async () => {
    await ctx.scheduleTimer('1s');
    return await ctx.all([ctx.waitForEvent('never'), ctx.scheduleActivity('slow', 1)]);
  });
  const late = await ctx.withTimeout('5s', () => scope).catch((error: { readonly code?: string }) => error.code);
  const early = await ctx.withTimeout('5s', () => ctx.scheduleActivity('greet', 'in time'));
  const outer = ctx.scope(async () => {
    const inner = ctx.shield(async () => {
      await ctx.scheduleTimer('2s');
      return 'cleaned up';
    });
    return await inner.finally(() => ctx.kv.set('shield', 'ended'));
  });
  outer.cancel();
  return [late, early, await outer.catch((error: { readonly code?: string }) => error.code)];
});

export const cleansUp = defineOrchestration('cleansUp', async (ctx) => {
  try {
    await ctx.scheduleActivity('greet', 'begin');
    await ctx.waitForEvent('never');
  } finally {
    await ctx.shield(async () => {
      ctx.kv.set('requested', ctx.isCancellationRequested);
      await ctx.scheduleActivity('greet', 'clean up');
    });
  }
});

/** Goes on after it was asked to cancel, and ends Cancelled all the same. */
export const stubborn = defineOrchestration('stubborn', async (ctx) => {
  await ctx.waitForEvent('never').catch(() => undefined);
  return 'ignored';
});

export const fails = defineOrchestration('fails', async (ctx) => {
  ctx.setCustomStatus('failing');
  await ctx.scheduleActivity('refuses', 1);
});

/** Leaves a rejection behind. */
export const forgets = defineOrchestration('forgets', async (ctx) => {
  void (async () => {
    await ctx.scheduleTimer('1s');
    throw new RangeError('forgotten');
  })();
  await ctx.waitForEvent('never');
});

/** Goes on between its turns: its end is imposed on it, and on every replay. */
export const late = defineOrchestration('late', async (ctx) => {
  const never = ctx.waitForEvent('never');
  // Who calls ctx too late is told so, on replay as well.
  void nextTurn()
    .then(() => ctx.scheduleTimer(1))
    .catch(() => undefined);
  await never;
});

// --- combinators -------------------------------------------------------------------------------------------------------------

export const combinators = defineOrchestration('combinators', async (ctx) => {
  const timer = (ms: number, value: unknown): Promise<unknown> => ctx.scheduleTimer(ms).then(() => value);
  const race = await ctx.race({ slow: ctx.scheduleTimer('1d'), quick: ctx.scheduleActivity('greet', 'quick') });
  const any = await ctx.any([ctx.scheduleActivity('refuses', 1), timer(500, 'any'), ctx.waitForEvent('never')]);
  const none = await ctx
    .any([ctx.scheduleActivity('refuses', 1), ctx.scheduleActivity('refuses', 2)])
    .catch((error: unknown) => (error instanceof AggregateError ? error.errors.length : 'no aggregate'));
  const settled = await ctx.allSettled({ good: ctx.scheduleActivity('greet', 'good'), bad: ctx.scheduleActivity('refuses', 1) });
  const failed = await ctx
    .all([ctx.scheduleTimer('1d'), ctx.scheduleActivity('refuses', 1)])
    .catch((error: { readonly code?: string }) => error.code);
  const native = await Promise.race([timer(2_000, 'late'), Promise.all([timer(10, 1), timer(20, 2)])]);
  const nested = await ctx.all({ list: ctx.all([timer(1, 'a'), 'b']), race: ctx.race([ctx.race([timer(5, 'c')]), timer(50, 'd')]) });
  return [race, any, none, settled.good.status, settled.bad.status, failed, native, nested];
});

// --- generations -------------------------------------------------------------------------------------------------------------

/** Takes everything along: unread events, status, values, subscriptions, keys. */
export const generations = defineOrchestration('generations', async (ctx, round: number): Promise<unknown> => {
  const topic = ctx.subscribe<number>('rounds/*');
  if (round === 1) {
    ctx.setCustomStatus({ round });
    ctx.kv.set('since', ctx.executionId);
  }
  const name = await ctx.waitForEvent<string>('go');
  ctx.kv.set(`round ${round}`, name);
  if (round < 3) return await ctx.continueAsNew(round + 1, round === 2 ? { version: '1.0.0', onEventOverflow: 'dropOldest' } : undefined);
  const message = await topic.next();
  return [ctx.getCustomStatus(), ctx.kv.entries(), await ctx.waitForEvent('unread'), message, ctx.random()];
});

// --- generators --------------------------------------------------------------------------------------------------------------

export const generator = defineOrchestration('generator', function* (ctx): Generator<unknown, unknown, never> {
  const greeting: string = yield ctx.scheduleActivity('greet', 'generator');
  const [first, second]: readonly [string, unknown] = yield [ctx.scheduleActivity('greet', 'one'), ctx.scheduleTimer('1s')];
  let caught: unknown = null;
  try {
    yield ctx.scheduleActivity('refuses', 1);
  } catch (error) {
    caught = (error as { readonly code?: string }).code;
  }
  const inner: unknown = yield* innerGenerator(ctx);
  return [greeting, first, second === undefined, caught, inner];
});

function* innerGenerator(ctx: OrchestrationContext): Generator<unknown, unknown, never> {
  const winner: { readonly key: string } = yield ctx.race({ timer: ctx.scheduleTimer('1s'), event: ctx.waitForEvent('never') });
  return winner.key;
}

// --- changes within a version ------------------------------------------------------------------------------------------------

export const patchedNew = defineOrchestration('patchedNew', async (ctx) => {
  const ways: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    ways.push(ctx.patched('a new way') ? await ctx.scheduleActivity<string>('greet', 'new') : 'old');
  }
  return ways;
});

/** Recorded before the change: see orchestrations-before.ts. */
export const patchedLater = defineOrchestration('patchedLater', async (ctx) => {
  const way = await ctx.scheduleActivity<string>('greet', ctx.patched('later') ? 'new' : 'old');
  await ctx.scheduleTimer('1s');
  return way;
});

/** Recorded while both ways existed: see orchestrations-before.ts. */
export const patchRetired = defineOrchestration('patchRetired', async (ctx) => {
  ctx.deprecatePatch('now for all');
  return await ctx.scheduleActivity<string>('greet', 'new');
});

// --- values ------------------------------------------------------------------------------------------------------------------

export const payloads = defineOrchestration('payloads', async (ctx, input: unknown) => {
  const echoed: unknown[] = [];
  for (const value of [input, null, '', 0, -0.5, true, [], {}, '\u2028 \\ " \u0000', { deep: [[[{ a: 1 }]]] }]) {
    echoed.push(await ctx.scheduleActivity('echo', value));
  }
  return echoed;
});
