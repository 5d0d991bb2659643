// The tuner: its decisions as a pure function in any environment, and a runtime that is tuned in simulated time.
import { defineActivity, defineOrchestration, Runtime, type AutoTuneOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { SimulatedClock } from 'duraloom/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { startTuning, tune, type Bounds, type Change, type Observation, type TuneState } from '../../src/main/auto-tune.ts';
import { fcParameters, seeded } from '../support/seed.ts';
import { TroubledStore } from './troubled-store.ts';

const boundsOf: fc.Arbitrary<Bounds> = fc
  .tuple(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 0, max: 5_000 }))
  .map(([min, more]) => ({ min, max: min + more }));

const anything: fc.Arbitrary<Observation> = fc.record({
  rate: fc.double({ min: 0, max: 1e6, noNaN: true }),
  isLimited: fc.boolean(),
  isSaturated: fc.boolean(),
  isLate: fc.boolean(),
});

/** A steady environment: what a value gives is always the same. The rate grows up to a knee; from some value on the event loop is late. */
type World = { readonly knee: number; readonly lateFrom: number; readonly isLimited: boolean; readonly isSaturated: boolean };

const worlds: fc.Arbitrary<World> = fc.record({
  knee: fc.integer({ min: 1, max: 10_000 }),
  lateFrom: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 10_000 })),
  isLimited: fc.boolean(),
  isSaturated: fc.boolean(),
});

function observe({ knee, lateFrom, isLimited, isSaturated }: World, value: number): Observation {
  return { rate: Math.min(value, knee) * 100, isLimited, isSaturated, isLate: value >= lateFrom };
}

type Run = { readonly values: readonly number[]; readonly changes: readonly Change[]; readonly last: TuneState };

function run(world: World, start: number, { bounds, periods }: { readonly bounds: Bounds; readonly periods: number }): Run {
  let state = startTuning(start, bounds);
  const values: number[] = [];
  const changes: Change[] = [];
  for (let period = 0; period < periods; period += 1) {
    const step = tune(state, observe(world, state.value), bounds);
    ({ state } = step);
    values.push(state.value);
    changes.push(step.change);
  }
  return { values, changes, last: state };
}

describe(seeded('a limit'), () => {
  test('never leaves its bounds, whatever is seen', () => {
    fc.assert(
      fc.property(boundsOf, fc.integer({ min: 1, max: 20_000 }), fc.array(anything, { maxLength: 200 }), (bounds, start, seen) => {
        let state = startTuning(start, bounds);
        for (const observation of seen) {
          ({ state } = tune(state, observation, bounds));
          expect(state.value).toBeGreaterThanOrEqual(bounds.min);
          expect(state.value).toBeLessThanOrEqual(bounds.max);
          expect(Number.isInteger(state.value)).toBe(true);
        }
      }),
      fcParameters({ numRuns: 300 }),
    );
  });

  test('comes to rest in a steady environment: one value, left for single trials that become rare', () => {
    fc.assert(
      fc.property(boundsOf, fc.integer({ min: 1, max: 20_000 }), worlds, (bounds, start, world) => {
        const { values } = run(world, start, { bounds, periods: 3_000 });
        const late = values.slice(1_000);
        const counts = new Map<number, number>();
        for (const value of late) counts.set(value, (counts.get(value) ?? 0) + 1);
        const most = Math.max(...counts.values());
        expect(most / late.length).toBeGreaterThan(0.97);
        expect(counts.size).toBeLessThanOrEqual(2);
      }),
      fcParameters({ numRuns: 200 }),
    );
  });

  test('comes within a doubling of the knee where more pays off no longer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_000 }), fc.integer({ min: 1, max: 4_000 }), (knee, start) => {
        const world = { knee, lateFrom: Number.POSITIVE_INFINITY, isLimited: true, isSaturated: false };
        const { values } = run(world, start, { bounds: { min: 1, max: 4_096 }, periods: 40 });
        const value = values.at(-1) ?? 0;
        expect(value).toBeGreaterThanOrEqual(Math.min(knee, 4_096) / 1.1);
        // One that began beyond the knee stays: nothing tells against it.
        expect(value).toBeLessThanOrEqual(Math.max(start * 2, knee * 4));
      }),
      fcParameters({ numRuns: 200 }),
    );
  });

  test('stays where it is when nothing waits for it, or its threads have no time', () => {
    for (const world of [
      { isLimited: false, isSaturated: false },
      { isLimited: true, isSaturated: true },
    ]) {
      const { values } = run({ knee: 1_000, lateFrom: Number.POSITIVE_INFINITY, ...world }, 64, {
        bounds: { min: 1, max: 4_096 },
        periods: 100,
      });
      expect(new Set(values)).toEqual(new Set([64]));
    }
  });

  test('goes down while the event loop is late, and up again when that is over', () => {
    const bounds = { min: 16, max: 4_096 };
    let state = startTuning(1_024, bounds);
    const late = { rate: 100, isLimited: true, isSaturated: false, isLate: true };
    for (let period = 0; period < 100; period += 1) ({ state } = tune(state, late, bounds));
    expect(state.value).toBe(16);
    for (let period = 0; period < 400; period += 1) {
      ({ state } = tune(state, { ...late, rate: state.value * 10, isLate: false }, bounds));
    }
    expect(state.value).toBe(4_096);
  });

  test('does not go down for a single late period', () => {
    const bounds = { min: 16, max: 64 };
    let state = startTuning(64, bounds);
    for (let period = 0; period < 20; period += 1) {
      ({ state } = tune(state, { rate: 100, isLimited: true, isSaturated: false, isLate: period % 2 === 0 }, bounds));
    }
    expect(state.value).toBe(64);
  });
});

describe('a runtime with autoTune', () => {
  /** Runs activities that take 10 ms each, many more than may run at once. */
  async function runNaps(
    autoTune: AutoTuneOptions | boolean,
  ): Promise<{ readonly runtime: Runtime; readonly most: number; readonly ms: number }> {
    const store = new TroubledStore();
    const { clock, client } = store;
    let running = 0;
    let most = 0;
    const nap = defineActivity('nap', async () => {
      most = Math.max(most, (running += 1));
      await new Promise<void>((resolve) => clock.setTimer(10, resolve));
      running -= 1;
    });
    const naps = defineOrchestration('naps', async (ctx) => {
      for (let round = 0; round < 40; round += 1) {
        await ctx.all(Array.from({ length: 100 }, () => ctx.scheduleActivity(nap, undefined)));
      }
    });
    const runtime = await store.start({}, { orchestrations: naps, activities: nap, activitiesPerThread: 2, autoTune });
    await store.pass(client.startOrchestration('one', naps));
    const startedMs = clock.monotonicMs();
    await store.result('one');
    return { runtime, most, ms: clock.monotonicMs() - startedMs };
  }

  test('lets more run at once while it pays off, within the bounds, and shows it', async () => {
    const untuned = await runNaps(false);
    expect(untuned.runtime.stats()).toMatchObject({
      limits: { turnsPerThread: 128, activitiesPerThread: 2 },
      autoTune: { isOn: false, raised: 0, takenBack: 0, lowered: 0 },
    });
    const tuned = await runNaps({ minActivities: 1, maxActivities: 32 });
    const stats = tuned.runtime.stats();
    expect(stats.autoTune.isOn).toBe(true);
    expect(stats.autoTune.raised).toBeGreaterThanOrEqual(4);
    expect(stats.limits.activitiesPerThread).toBe(32);
    expect(tuned.most).toBeGreaterThan(untuned.most);
    expect(tuned.most).toBeLessThanOrEqual(32);
    expect(tuned.ms).toBeLessThan(untuned.ms / 2);
    const changes = tuned.runtime.metrics().filter(({ name }) => name === 'duraloom_auto_tune_changes_total');
    expect(changes.find(({ labels }) => labels['change'] === 'raised')).toMatchObject({ value: stats.autoTune.raised });
  });

  test('begins within its bounds', async () => {
    const clock = new SimulatedClock(0);
    const provider = new MemoryProvider({ clock });
    const idle = defineActivity('idle', () => null);
    const runtime = await Runtime.start({
      provider,
      clock,
      activities: idle,
      activityThreads: 0,
      turnsPerThread: 1,
      autoTune: { minTurns: 10, maxTurns: 10, maxActivities: 20 },
    });
    expect(runtime.stats().limits).toEqual({ turnsPerThread: 10, activitiesPerThread: 20 });
    await runtime.shutdown({ timeoutMs: 0 });
  });
});
