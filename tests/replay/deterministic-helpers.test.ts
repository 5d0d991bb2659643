// now, random, uuid, isReplaying, log and custom status: the same on every replay, and visible once.
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/replay/random.ts';
import { MAX_TURN_LOG_UNITS } from '../../src/types/limits.ts';
import {
  activityCompleted,
  begin,
  completed,
  eventRaised,
  replayCold,
  started,
  statusSet,
  T0,
  timerFired,
  turn,
  type Handler,
} from '../support/replay-harness.ts';

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('ctx.now', () => {
  it('is the time of the event that is being handled', async () => {
    const instance = await begin(async (ctx) => {
      const times = [ctx.now()];
      await ctx.waitForEvent('go');
      times.push(ctx.now());
      await null;
      times.push(ctx.now());
      await ctx.scheduleTimer(100);
      return [...times, ctx.now()];
    });
    instance.nowMs = T0 + 30;
    await instance.deliver(eventRaised('go'));
    instance.nowMs = T0 + 500;
    await instance.deliver(timerFired(4));
    expect(instance.result).toEqual([T0, T0 + 30, T0 + 30, T0 + 500]);
  });
});

describe('ctx.random and ctx.uuid', () => {
  const draws: Handler = async (ctx) => {
    const values = [ctx.random(), ctx.uuid()];
    await ctx.scheduleActivity('a');
    return [...values, ctx.random(), ctx.uuid()];
  };

  /** What an instance draws over two turns. */
  async function drawn(instanceId: string, executionId: number): Promise<unknown> {
    const instance = await begin(draws, { instanceId, executionId });
    await instance.deliver(activityCompleted(2, null, executionId));
    return instance.result;
  }

  it('give the same in every engine of an execution', async () => {
    expect(await drawn('i1', 1)).toEqual(await drawn('i1', 1));
  });

  it('give other values in other instances and executions', async () => {
    const all = (await Promise.all([drawn('i1', 1), drawn('i2', 1), drawn('i1', 2), drawn('i11', 1)])) as readonly (readonly unknown[])[];
    expect(new Set(all.flat()).size).toBe(16);
  });

  it('are a number in [0, 1) and a version 4 UUID', async () => {
    const [number, uuid] = (await drawn('i1', 1)) as readonly [number, string];
    expect(number).toBeGreaterThanOrEqual(0);
    expect(number).toBeLessThan(1);
    expect(uuid).toMatch(UUID_V4);
  });

  it('spread evenly', () => {
    const random = new SeededRandom('seed');
    const buckets = Array<number>(16).fill(0);
    for (let count = 0; count < 16_000; count += 1) {
      const bucket = Math.floor(random.nextFloat() * 16);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(Math.min(...buckets)).toBeGreaterThan(850);
    expect(Math.max(...buckets)).toBeLessThan(1_150);
    const uuids = Array.from({ length: 2_000 }, () => random.nextUuid());
    expect(new Set(uuids).size).toBe(2_000);
    expect(uuids.every((uuid) => UUID_V4.test(uuid))).toBe(true);
  });

  it('keep their sequence for ever: old histories depend on it', () => {
    const random = new SeededRandom('order-1:1');
    expect([random.nextUint32(), random.nextFloat(), random.nextUuid()]).toMatchInlineSnapshot(`
      [
        596726973,
        0.6925191895370117,
        "ce56a994-55dd-49c0-8194-14f559243a64",
      ]
    `);
  });
});

describe('ctx.isReplaying', () => {
  it('is true for recorded events only', async () => {
    const seen: string[] = [];
    const handler: Handler = async (ctx) => {
      seen.push(`start ${ctx.isReplaying}`);
      await ctx.scheduleActivity('a');
      seen.push(`middle ${ctx.isReplaying}`);
      await ctx.scheduleActivity('b');
      seen.push(`end ${ctx.isReplaying}`);
    };
    const instance = await begin(handler, { coldCheck: false });
    await instance.deliver(activityCompleted(2));
    expect(seen.splice(0)).toEqual(['start false', 'middle false']);
    const { engine } = await replayCold(instance.definitions, instance.events);
    await turn(engine, [activityCompleted(4)], T0);
    expect(seen).toEqual(['start true', 'middle true', 'end false']);
  });
});

describe('ctx.log', () => {
  it('gives each line once, with level and fields', async () => {
    const instance = await begin(async (ctx) => {
      ctx.log.debug('d');
      ctx.log.info('i', { a: 1 });
      await ctx.scheduleActivity('a');
      ctx.log.warn('w', { b: [2] });
      ctx.log.error('e');
    });
    expect(instance.last.logs).toEqual([
      { level: 'debug', message: 'd', fields: {} },
      { level: 'info', message: 'i', fields: { a: 1 } },
    ]);
    const { engine, result } = await replayCold(instance.definitions, instance.events);
    expect(result.logs).toEqual([]);
    const next = await turn(engine, [activityCompleted(2)], T0);
    expect(next.logs).toEqual([
      { level: 'warn', message: 'w', fields: { b: [2] } },
      { level: 'error', message: 'e', fields: {} },
    ]);
  });

  it('keeps the first lines of a turn when there are too many, and says how many more there were', async () => {
    const instance = await begin(async (ctx) => {
      for (let line = 0; line < 5_000; line += 1) ctx.log.info('line', { line });
      await ctx.scheduleActivity('a');
      ctx.log.info('after');
    });
    const { logs, logUnits, droppedLogs } = instance.last;
    expect(logs.map(({ fields }) => fields['line'])).toEqual(logs.map((_, index) => index));
    expect(logs.length + droppedLogs).toBe(5_000);
    expect([droppedLogs > 0, logUnits > MAX_TURN_LOG_UNITS - 1_000, logUnits <= MAX_TURN_LOG_UNITS]).toEqual([true, true, true]);
    await instance.deliver(activityCompleted(2));
    expect(instance.last).toMatchObject({ logs: [{ message: 'after' }], droppedLogs: 0 });
  });

  it('is no event', async () => {
    const instance = await begin((ctx) => ctx.log.info('line'));
    expect(instance.bodies).toEqual([started(), completed()]);
  });
});

describe('the custom status', () => {
  it('is an event each time, and the last one of a turn is shown', async () => {
    const instance = await begin(async (ctx) => {
      ctx.setCustomStatus(1);
      ctx.setCustomStatus(2);
      await ctx.scheduleActivity('a');
      ctx.setCustomStatus(undefined);
    });
    expect(instance.lastBodies.slice(1, 3)).toEqual([statusSet(1), statusSet(2)]);
    expect(instance.last.customStatus).toBe('2');
    await instance.deliver(activityCompleted(4));
    expect(instance.last.customStatus).toBeNull();
  });

  it('reads as it was set, across executions and replays (T18)', async () => {
    const instance = await begin(
      async (ctx) => {
        const values = [ctx.getCustomStatus()];
        ctx.setCustomStatus({ step: 1 });
        await ctx.scheduleActivity('a');
        values.push(ctx.getCustomStatus());
        ctx.setCustomStatus(undefined);
        return [...values, typeof ctx.getCustomStatus()];
      },
      { customStatus: { old: true }, executionId: 2 },
    );
    await instance.deliver(activityCompleted(3, null, 2));
    expect(instance.result).toEqual([{ old: true }, { step: 1 }, 'undefined']);
  });

  it('is a copy: changing the object changes nothing', async () => {
    const instance = await begin(async (ctx) => {
      const status = { step: 1 };
      ctx.setCustomStatus(status);
      status.step = 2;
      (ctx.getCustomStatus() as { step: number }).step = 3;
      await ctx.scheduleActivity('a');
      return ctx.getCustomStatus();
    });
    await instance.deliver(activityCompleted(3));
    expect(instance.result).toEqual({ step: 1 });
  });
});

describe('values from history', () => {
  it('may be changed by the code, like its own', async () => {
    const instance = await begin<{ total: number }>(
      async (ctx, order) => {
        order.total += 1;
        const loaded = await ctx.scheduleActivity<{ total: number }>('load', order);
        loaded.total += order.total;
        return await ctx.scheduleActivity('save', loaded);
      },
      { input: { total: 1 } },
    );
    await instance.deliver(activityCompleted(2, { total: 10 }));
    await instance.deliver(activityCompleted(4, 'saved'));
    expect(instance.bodies.slice(-3)[0]).toMatchObject({ kind: 'ActivityScheduled', name: 'save', input: { total: 12 } });
  });
});
