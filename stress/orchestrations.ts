// Orchestrations of the stress runs: everything that a crash could tear apart, with a result that can be computed without them.
// Neighbours: workload.ts computes the results, activities.ts is what they call.
import { defineOrchestration, type RetryPolicy } from 'duraloom';
import type * as activities from './activities.ts';
import { dieOnce, type Death } from './die-once.ts';
import { readHeap } from './heap.ts';

/** For activities that talk to the store, which may be in trouble. */
const PATIENT: RetryPolicy = { maximumAttempts: 1000, backoff: 'fixed', initialIntervalMs: 20 };

export const fanOut = defineOrchestration('fanOut', async (ctx, n: number) => {
  const { square } = ctx.activities<typeof activities>();
  const squares = await ctx.all(Array.from({ length: 2 * n }, (_, index) => square(index)));
  return sum(squares);
});

export const chain = defineOrchestration('chain', async (ctx, n: number) => {
  const { increment } = ctx.activities<typeof activities>();
  let value = n;
  for (let step = 0; step < 5; step += 1) value = await increment(value);
  return value;
});

/** Three children, of which the last one has a child of its own. */
export const children = defineOrchestration('children', async (ctx, n: number) => {
  const below = n % 4;
  return sum(await ctx.all([0, 0, 1].map((depth) => ctx.scheduleSubOrchestration(child, { below, depth }))));
});

/** Sum of squares, computed at some depth of further children. */
export const child = defineOrchestration(
  'child',
  async (ctx, { below, depth }: { readonly below: number; readonly depth: number }): Promise<number> => {
    if (depth > 0) return ctx.scheduleSubOrchestration<number>('child', { below, depth: depth - 1 });
    const { square } = ctx.activities<typeof activities>();
    return sum(await ctx.all(Array.from({ length: below }, (_, index) => square(index))));
  },
);

/** Three events that activities raise: each is taken once, however often it is raised. */
export const events = defineOrchestration('events', async (ctx, n: number) => {
  const { raise } = ctx.activities<typeof activities>({ retry: PATIENT });
  const raised = [0, 1, 2].map((index) => raise({ instanceId: ctx.instanceId, data: n + index }));
  let total = 0;
  for (let count = 0; count < 3; count += 1) total += await ctx.waitForEvent<number>('go');
  await ctx.all(raised);
  return total;
});

/** Tells itself by way of a topic. */
export const topics = defineOrchestration('topics', async (ctx, n: number) => {
  const subscription = ctx.subscribe<number>(`stress/${ctx.instanceId}`);
  // A subscription holds from the end of its turn on.
  await ctx.scheduleTimer(1);
  ctx.publish(`stress/${ctx.instanceId}`, n);
  const { data } = await subscription.next();
  return data;
});

/** Three executions. */
export const generations = defineOrchestration(
  'generations',
  async (ctx, input: number | { readonly n: number; readonly total: number }) => {
    const { n, total } = typeof input === 'number' ? { n: input, total: 0 } : input;
    const { square } = ctx.activities<typeof activities>();
    const next = total + (await square(n));
    ctx.setCustomStatus({ execution: ctx.executionId });
    return ctx.executionId < 3 ? await ctx.continueAsNew({ n, total: next }) : next;
  },
);

/** Activities of one session, and messages to them. */
export const sessions = defineOrchestration('sessions', async (ctx, n: number) => {
  const sessionId = ctx.instanceId;
  const { square } = ctx.activities<typeof activities>({ sessionId });
  const { echo } = ctx.activities<typeof activities>({ sessionId, retry: PATIENT });
  ctx.sendToSession(sessionId, n);
  const first = await echo();
  const squared = await square(n);
  ctx.sendToSession(sessionId, n + 1);
  return squared + first + (await echo());
});

/** Values that outlive executions and instances. */
export const keyValues = defineOrchestration('keyValues', async (ctx, n: number): Promise<number> => {
  const { increment } = ctx.activities<typeof activities>();
  const total = (ctx.kv.get<number>('total') ?? 0) + n;
  ctx.kv.set('total', total);
  await increment(total);
  if (ctx.executionId < 3) return ctx.continueAsNew(n);
  const instanceId = `${ctx.instanceId}-keeper`;
  await ctx.scheduleSubOrchestration(keeper, 7, { instanceId });
  return total + ((await ctx.getValueFromInstance<number>(instanceId, 'kept')) ?? Number.NaN);
});

/** Keeps a value for others. */
export const keeper = defineOrchestration('keeper', (ctx, value: number) => ctx.kv.set('kept', value));

/** Timers that fire, and one that loses a race; where it wins, because the clock jumped, the result is the same. */
export const timers = defineOrchestration('timers', async (ctx, n: number) => {
  const { square } = ctx.activities<typeof activities>();
  await ctx.all([ctx.scheduleTimer(n), ctx.scheduleTimer(5)]);
  const winner = await ctx.race({ value: square(n), timeout: ctx.scheduleTimer('1h') });
  return winner.key === 'value' ? winner.value : await square(n);
});

export const retries = defineOrchestration('retries', (ctx, n: number) => {
  const { flaky } = ctx.activities<typeof activities>({ retry: { maximumAttempts: 5, backoff: 'fixed', initialIntervalMs: 5 } });
  return flaky(n);
});

/** One long activity. */
export const naps = defineOrchestration('naps', (ctx, n: number) => ctx.activities<typeof activities>().nap(n));

/** Ends its own thread, in most cases, and then that of an activity. */
export const threadDeaths = defineOrchestration('threadDeaths', async (ctx, n: number) => {
  // The attempt whose thread was ended because it never gave way has timed out.
  const { squareAfterDeath } = ctx.activities<typeof activities>({ retry: PATIENT, attemptTimeoutMs: 500 });
  const own = ([null, 'exit', 'memory', 'loop'] as const)[n % 4] ?? null;
  if (own !== null) dieOnce(`orchestration ${ctx.instanceId}`, own);
  const death = (['exit', 'memory', 'callback', 'loop'] as const satisfies readonly Death[])[Math.floor(n / 2) % 4] ?? 'exit';
  return squareAfterDeath({ n, death });
});

/** Live heaps of the two threads that run it. Its result is no function of its input: it is for one look, and no part of the load. */
export const heaps = defineOrchestration('heaps', async (ctx) => {
  const { activityHeap } = ctx.activities<typeof activities>();
  return { activity: await activityHeap(), replay: readHeap() };
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
