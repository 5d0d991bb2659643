// What the orchestrations of the golden histories call. Only needed to record; all waits are in simulated time. Neighbour: scenarios.ts.
import { defineActivity, NonRetryableError } from 'duraloom';

export const greet = defineActivity('greet', (_ctx, name: string) => `hello ${name}`);

export const echo = defineActivity('echo', (_ctx, value: unknown) => value);

export const nothing = defineActivity('nothing', () => undefined);

/** Fails until an attempt, and tells each time how far it has come. */
export const flaky = defineActivity('flaky', (ctx, until: number) => {
  if (ctx.attempt >= until) return { attempt: ctx.attempt, before: ctx.heartbeatDetails };
  ctx.heartbeat({ done: ctx.attempt });
  throw Object.assign(new RangeError(`attempt ${ctx.attempt} failed`), { code: 'FLAKY' });
});

export const refuses = defineActivity('refuses', (_ctx, why: number) => {
  throw Object.assign(new NonRetryableError(`refused for ${why}`, { cause: new TypeError('on principle') }), { code: 'REFUSED' });
});

/** Takes a simulated hour: recorded with a mock that sleeps. */
export const slow = defineActivity('slow', (_ctx, _input: number): string => 'slow');

export const collect = defineActivity('collect', async (ctx, count: number) => {
  const messages: unknown[] = [];
  while (messages.length < count) messages.push((await ctx.receive()) ?? 'nothing');
  return [ctx.sessionId, ...messages];
});
