// Ids that are used again after a delete: what a runtime still keeps of the instance that had one before is nothing to the next one.
import { Client, defineActivity, defineOrchestration, Runtime, type Provider } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { expect, onTestFinished, test } from 'vitest';
import { PATIENCE } from '../support/integration-stage.ts';

const answers = defineOrchestration('answers', async (ctx, input: { readonly by: 'event' | 'activity'; readonly text: string }) => {
  const said = input.by === 'event' ? await ctx.waitForEvent<string>('said') : await ctx.scheduleActivity<string>('say', input.text);
  return `${input.text}: ${said}`;
});
const say = defineActivity('say', (_ctx, text: string) => `${text}!`);

/** A store for one runtime: while it is away, its turns go to others. */
function away(provider: Provider): { readonly provider: Provider; isAway: boolean } {
  const state = { isAway: false };
  const fetchOrchestrationItems: Provider['fetchOrchestrationItems'] = async (params) => {
    const fetched = await provider.fetchOrchestrationItems({ ...params, waitMs: Math.min(params.waitMs, 20) });
    if (!state.isAway || fetched.items.length === 0) return fetched;
    await provider.abandonOrchestrationItems(fetched.items.map((item) => ({ ...item, delayMs: 0, countAttempt: false })));
    return { ...fetched, items: [] };
  };
  const wrapped = new Proxy(provider, {
    get: (target, name) => {
      if (name === 'fetchOrchestrationItems') return fetchOrchestrationItems;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  return Object.assign(state, { provider: wrapped });
}

async function startRuntime(options: Parameters<typeof Runtime.start>[0]): Promise<Runtime> {
  const runtime = await Runtime.start({ ...options, replayThreads: 0, activityThreads: 0, stickyTakeoverMs: 0 });
  onTestFinished(() => runtime.shutdown({ timeoutMs: 1_000 }));
  return runtime;
}

test.each(['event', 'activity'] as const)(
  'an instance whose %s comes where a live engine of the one before stands ends as itself',
  async (by) => {
    const real = new MemoryProvider();
    onTestFinished(() => real.close());
    const client = new Client(real);
    const first = away(real);
    await startRuntime({ provider: first.provider, orchestrations: answers, ...(by === 'activity' && { activities: say }) });
    const hasBegun = async (): Promise<number | undefined> => (await client.getState('a'))?.eventCount;
    await client.startOrchestration('a', answers, { by: 'event', text: 'old' });
    await expect.poll(hasBegun).toBe(2);

    first.isAway = true;
    await client.deleteInstance('a', { force: true });
    await client.startOrchestration('a', answers, { by, text: 'new' });
    const second = await startRuntime({ provider: real, orchestrations: answers });
    if (by === 'event') {
      await expect.poll(hasBegun).toBe(2);
      await second.shutdown();
      first.isAway = false;
      await client.raiseEvent('a', 'said', 'hello');
    }
    expect(await client.waitForResult('a', { timeout: PATIENCE })).toBe(by === 'event' ? 'new: hello' : 'new: new!');
  },
);
