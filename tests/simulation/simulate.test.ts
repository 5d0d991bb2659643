// simulate(): equal seeds give equal worlds, and what is wrong with a store, an orchestration or an activity is found.
import { defineActivity, defineOrchestration, type Provider } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { MemoryProvider, simulate, type SimulationOptions, type SimulationReport } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { refuseOptimism } from '../support/no-optimism.ts';

const square = defineActivity('square', async (_ctx, n: number) => n * n);

const sumOfSquares = defineOrchestration('sumOfSquares', async (ctx, count: number) => {
  const squares = await ctx.all(Array.from({ length: count }, (_, n) => ctx.scheduleActivity<number>('square', n)));
  await ctx.scheduleTimer('1s');
  return squares.reduce((sum, n) => sum + n, 0);
});

const CALM: Partial<SimulationOptions> = {
  processes: 1,
  faults: {},
  troubles: { kinds: {}, odds: 100, forMs: 0, longestMs: 100 },
};

function world(changes: Partial<SimulationOptions> = {}): SimulationOptions {
  return {
    seed: 1,
    orchestrations: [sumOfSquares],
    activities: [square],
    workload: async ({ client }) => {
      const handles = await Promise.all(['a', 'b', 'c'].map((id) => client.startOrchestration(id, sumOfSquares, 4)));
      for (const handle of handles) expect(await handle.result()).toBe(14);
    },
    ...changes,
  };
}

/** A store that does one thing wrong. */
function broken(change: (store: Provider) => Partial<Provider>): NonNullable<SimulationOptions['openStore']> {
  return async (clock) => {
    const store = new MemoryProvider({ clock });
    const changes: Partial<Provider> = change(store);
    return new Proxy<Provider>(store, {
      get(_target, name) {
        const value: unknown = Reflect.get(changes, name) ?? Reflect.get(store, name, store);
        return typeof value === 'function' ? (value.bind(store) as unknown) : value;
      },
    });
  };
}

async function violationsOf(changes: Partial<SimulationOptions>): Promise<string> {
  const { violations } = await simulate(world({ ...CALM, maxSteps: 20_000, ...changes }));
  return violations.join('\n');
}

describe('a simulated world', () => {
  test('comes to the right end whatever goes wrong', async () => {
    const totals = { crash: 0, replayThread: 0, activityThread: 0, pause: 0, disconnect: 0, clockJump: 0, stop: 0 };
    for (let seed = 1; seed <= 20; seed += 1) {
      const { violations, troubles, instances } = await simulate(world({ seed }));
      expect(violations, `seed ${seed}`).toEqual([]);
      expect(instances.map(({ status }) => status)).toEqual(['Completed', 'Completed', 'Completed']);
      for (const kind of Object.keys(totals) as (keyof typeof totals)[]) totals[kind] += troubles[kind];
    }
    expect(Object.values(totals).every((count) => count > 0)).toBe(true);
  });

  test.each(['memory', 'sqlite'])('is the same for the same seed, in %s', async (store) => {
    const openStore: NonNullable<SimulationOptions['openStore']> = async (clock) =>
      store === 'memory' ? new MemoryProvider({ clock }) : await SqliteProvider.open(':memory:', { clock });
    const run = (seed: number): Promise<SimulationReport> => simulate(world({ seed, openStore, trace: true }));
    const [first, other, again] = [await run(7), await run(8), await run(7)];
    expect(again).toEqual(first);
    expect(first.trace.split('\n').length).toBeGreaterThan(50);
    expect(other.trace).not.toBe(first.trace);
  });

  test('takes no real time for what takes long in it', async () => {
    const year = defineOrchestration('year', async (ctx) => {
      for (let month = 0; month < 12; month += 1) await ctx.scheduleTimer('30d');
      return ctx.now();
    });
    const { violations, simulatedMs, instances } = await simulate(
      world({
        ...CALM,
        orchestrations: [year],
        workload: async ({ client }) => {
          await (await client.startOrchestration('y', year)).result();
        },
      }),
    );
    expect(violations).toEqual([]);
    expect(simulatedMs).toBeGreaterThanOrEqual(360 * 24 * 3_600_000);
    expect(instances).toMatchObject([{ instanceId: 'y', status: 'Completed' }]);
  });

  test.each([
    ['seed', { seed: 0.5 }, /`seed`/],
    ['processes', { processes: 0 }, /`processes`/],
    ['orchestrations', { orchestrations: [] }, /`orchestrations`/],
    ['workload', { workload: undefined as never }, /`workload`/],
  ])('refuses a wrong option: %s', async (_, changes, message) => {
    await expect(simulate(world(changes))).rejects.toThrow(message);
  });

  test('leaves the listeners of its host in place', async () => {
    const before = process.rawListeners('unhandledRejection');
    await simulate(world(CALM));
    expect(process.rawListeners('unhandledRejection')).toEqual(before);
    expect(Math.random()).not.toBe(Math.random());
  });
});

describe('a simulated world tells of', () => {
  test('a store that loses a commit that it has confirmed', async () => {
    let turns = 0;
    const openStore = broken((store) => ({
      ackOrchestrationItems: async (acks) => {
        turns += 1;
        if (turns !== 3) return await store.ackOrchestrationItems(acks);
        await store.abandonOrchestrationItems(
          acks.map((ack) => ({ ...ack, lockToken: ack.lockToken ?? '', delayMs: 0, countAttempt: false })),
        );
        return acks.map(() => 'committed' as const);
      },
    }));
    expect(await violationsOf({ openStore })).toMatch(/is not what was committed|cannot be replayed/);
  });

  test('a store that loses a completion', async () => {
    let completions = 0;
    const openStore = broken((store) => ({
      ackOrchestrationItems: (acks) => refuseOptimism((others) => store.ackOrchestrationItems(others), acks),
      ackWorkItems: async (acks) => {
        completions += acks.length;
        return await store.ackWorkItems(completions < 6 ? acks : acks.map((ack) => ({ ...ack, completionPayload: null })));
      },
    }));
    const violations = await violationsOf({ openStore });
    expect(violations).toMatch(/nothing happens any more, and the workload has not ended/);
    expect(violations).toMatch(/waits for activity 'square' of event \d+, which nobody runs/);
  });

  test('a store that swaps the results of two activities', async () => {
    const openStore = broken((store) => ({
      ackWorkItems: async (acks) =>
        await store.ackWorkItems(
          acks.map((ack) => {
            const payload = ack.completionPayload?.replace('"sourceId":2', '"sourceId":9').replace('"sourceId":3', '"sourceId":2');
            return { ...ack, completionPayload: payload?.replace('"sourceId":9', '"sourceId":3') ?? null };
          }),
        ),
    }));
    expect(await violationsOf({ openStore, activities: [defineActivity('square', async (_ctx, n: number) => n)] })).not.toBe('');
  });

  test('a store that changes a history later', async () => {
    const openStore = broken((store) => ({
      readHistory: async (requests) =>
        (await store.readHistory(requests)).map((pages) =>
          pages.map((page) => ({ ...page, events: page.events.replace('"name":"square"', '"name":"cube"') })),
        ),
    }));
    expect(await violationsOf({ openStore })).toMatch(/is not what was committed/);
  });

  test('a store that forgets to wake who waits', async () => {
    const openStore = broken((store) => ({
      fetchWorkItems: async (params) => await store.fetchWorkItems({ ...params, signal: new AbortController().signal, waitMs: 0 }),
    }));
    expect(await violationsOf({ openStore })).not.toBe('');
  });

  test('an orchestration that keeps state in its module', async () => {
    let calls = 0;
    const leaky = defineOrchestration('leaky', async (ctx) => {
      calls += 1;
      await ctx.scheduleActivity('square', calls);
    });
    const options = {
      orchestrations: [leaky],
      workload: async ({ client }: Parameters<SimulationOptions['workload']>[0]) => {
        await (await client.startOrchestration('l', leaky)).result();
      },
    };
    expect(await violationsOf(options)).toMatch(/l cannot be replayed: .*history has ActivityScheduled \{name: "square"/);
  });

  test('an activity that forgets a promise', async () => {
    const activities = [
      defineActivity('square', async (_ctx, n: number) => {
        void Promise.reject(new Error('forgotten'));
        return n * n;
      }),
    ];
    expect(await violationsOf({ activities })).toMatch(/a rejection was not handled: Error: forgotten/);
  });

  test('a workload that fails, and one that waits for ever', async () => {
    expect(await violationsOf({ workload: () => Promise.reject(new Error('no luck')) })).toMatch(/the workload failed: Error: no luck/);
    expect(await violationsOf({ workload: () => new Promise(() => undefined) })).toMatch(/the workload has not ended/);
  });

  test('a world that never comes to rest', async () => {
    const workload: SimulationOptions['workload'] = async (outside) => {
      const secondMs = 1_000;
      for (;;) await outside.sleep(secondMs);
    };
    expect(await violationsOf({ workload, maxSteps: 2_000 })).toMatch(/there was no rest after 2000 callbacks/);
  });
});
