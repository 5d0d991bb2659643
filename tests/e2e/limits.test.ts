// Limits that activities share by a key: how many run at once, how many begin in a time, on all runtimes of a store together.
//
// Covered elsewhere:
// | case                                                     | where                                |
// | -------------------------------------------------------- | ------------------------------------ |
// | what makes room, keys, tags, restarts, several processes | src/conformance/cases-limits.ts      |
// | hosts on one PostgreSQL, with threads                    | tests/provider/postgres-fleet.test.ts |
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ActivityLimit, ActivityOptions } from 'duraloom';
import { PATIENCE } from '../support/integration-stage.ts';
import { aborted, describeInHouses, Gate } from './fixtures/house.ts';

describeInHouses('activities with a limit', (house) => {
  test('run no more at once than it says, in all runtimes together, and the others follow as they end', async () => {
    const other = await house.startWorker();
    onTestFinished(() => other.shutdown());
    const gates = Array.from({ length: 8 }, () => new Gate());
    const begun: Gate[] = [];
    const deed = house.deed(async () => {
      const gate = gates[begun.length];
      if (gate === undefined) throw new Error('more activities than gates');
      begun.push(gate);
      await gate.opened;
    });
    const limit = { key: house.newId(), concurrency: 3 };
    const handle = await house.play((ctx) =>
      ctx.all(Array.from({ length: gates.length }, () => ctx.scheduleActivity('perform', deed, { limit }))),
    );
    for (let ended = 0; ended <= gates.length; ended += 1) {
      const expected = Math.min(gates.length, ended + limit.concurrency);
      await expect.poll(() => begun.length, { timeout: 10_000 }).toBe(expected);
      const isRunning = (await handle.listActivities()).filter((activity) => activity.isRunning);
      expect(isRunning.length).toBeLessThanOrEqual(limit.concurrency);
      begun[ended]?.open();
    }
    await handle.result({ timeout: PATIENCE });
  });

  test('begin one after the other as their rate says, retries too', async () => {
    const begunMs: number[] = [];
    const deed = house.deed(() => {
      begunMs.push(Date.now());
      if (begunMs.length === 1) throw new Error('not the first time');
    });
    const perMs = 60;
    const options: ActivityOptions = {
      limit: { key: house.newId(), rate: { count: 1, perMs } },
      retry: { maximumAttempts: 2, backoff: 'none' },
    };
    await house.result((ctx) => ctx.all([ctx.scheduleActivity('perform', deed, options), ctx.scheduleActivity('perform', deed, options)]));
    expect(begunMs).toHaveLength(3);
    // An activity begins a little after it was handed out: only the first and the last can be compared, and not to the millisecond.
    expect((begunMs[2] ?? 0) - (begunMs[0] ?? 0)).toBeGreaterThan(perMs);
  });

  test('do not keep others waiting', async () => {
    const gate = new Gate();
    const waiting = house.deed(() => gate.opened);
    const quick = house.deed(() => 'done');
    const limit = { key: house.newId(), concurrency: 1 };
    const full = await house.play((ctx) => ctx.all([1, 2, 3].map(() => ctx.scheduleActivity('perform', waiting, { limit }))));
    expect(await house.result((ctx) => ctx.scheduleActivity('perform', quick))).toBe('done');
    gate.open();
    await full.result({ timeout: PATIENCE });
  });

  test('that are cancelled make room', async () => {
    const endless = house.deed((ctx) => aborted(ctx.signal));
    const quick = house.deed(() => 'done');
    const limit = { key: house.newId(), concurrency: 1 };
    const holder = await house.play((ctx) => ctx.scheduleActivity('perform', endless, { limit }));
    await expect.poll(async () => (await holder.listActivities())[0]?.isRunning, { timeout: 10_000 }).toBe(true);
    const next = await house.play((ctx) => ctx.scheduleActivity('perform', quick, { limit }));
    await holder.cancel('no longer wanted');
    expect(await next.result({ timeout: PATIENCE })).toBe('done');
  });
});

describe('a wrong limit', () => {
  describeInHouses('is told to the code that asks for it', (house) => {
    test.for<readonly [wrong: unknown, message: RegExp]>([
      [{ key: 'k' }, /to have `concurrency`, `rate` or both/],
      [{ concurrency: 1 }, /limit key/],
      [{ key: '', concurrency: 1 }, /limit key/],
      [{ key: 'duraloom:k', concurrency: 1 }, /limit key without 'duraloom:'/],
      [{ key: 'k', concurrency: 0 }, /limit\.concurrency to be a whole number from 1 to 1000000, got 0/],
      [{ key: 'k', concurrency: 1.5 }, /limit\.concurrency/],
      [{ key: 'k', concurrency: '2' }, /limit\.concurrency/],
      [{ key: 'k', rate: { count: 1 } }, /limit\.rate to have `perMs`/],
      [{ key: 'k', rate: { count: 0, perMs: 1 } }, /limit\.rate\.count/],
      [{ key: 'k', rate: { count: 1, perMs: 0 } }, /limit\.rate\.perMs/],
      [{ key: 'k', rate: 5 }, /limit\.rate/],
      ['k', /limit/],
    ])('%j', async ([wrong, message]) => {
      const told = await house.result((ctx) => {
        try {
          void ctx.scheduleActivity('perform', 'nothing', { limit: wrong as ActivityLimit });
          return 'taken';
        } catch (error) {
          return `${(error as Error).name}: ${(error as Error).message}`;
        }
      });
      expect(told).toMatch(/^ArgumentError: /);
      expect(told).toMatch(message);
    });

    test('together with a session', async () => {
      const error = await house.failure((ctx) =>
        ctx.scheduleActivity('perform', 'nothing', { sessionId: 's', limit: { key: 'k', concurrency: 1 } }),
      );
      expect(error.message).toMatch(/either `limit` or `sessionId`.*`maxSessions`/);
    });
  });
});
