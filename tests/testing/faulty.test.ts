// Plans of faults: what is refused, how choices are made and repeated, and points at which calls stop. Neighbours: faulty-stage.ts,
// faulty-kinds.test.ts (what each kind does).
import { MemoryProvider } from 'duraloom/memory';
import { faulty, SimulatedClock, type Fault, type FaultPlan, type FaultRates, type ScriptedFault } from 'duraloom/testing';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { canHit, FAULT_KINDS, FaultChooser, FAULTY_OPERATIONS, MAX_AGE } from '../../src/testing/fault-plan.ts';
import { rejection } from '../support/integration-stage.ts';
import { fcParameters, seeded } from '../support/seed.ts';
import { fetchTurns, newInstance, once, open } from './faulty-stage.ts';

/** All kinds, seldom enough to leave room for none. */
const EVERYTHING: FaultRates = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0.1]));

/** What JavaScript callers can pass. */
function wrong(plan: unknown): FaultPlan {
  return plan as FaultPlan;
}

describe('a plan is refused', () => {
  const script = (...faults: readonly unknown[]): FaultPlan => wrong({ seed: 1, script: faults });

  test.each<readonly [string, FaultPlan, string]>([
    ['that is none', wrong(null), 'Expected the plan to be an object, got null'],
    ['with a key that nobody knows', wrong({ seed: 1, rate: {} }), "Unknown key of the plan 'rate'. Known: seed, rates"],
    ['without a seed', wrong({}), 'Expected `seed` to be a whole number, got undefined'],
    ['with half a seed', wrong({ seed: 0.5 }), 'Expected `seed` to be a whole number, got 0.5'],
    [
      'with a delay of nothing',
      wrong({ seed: 1, maxDelayMs: 0 }),
      'Expected `maxDelayMs` to be a whole number of milliseconds from 1, got 0',
    ],
    ['with a disconnection without end', wrong({ seed: 1, maxDisconnectMs: null }), 'Expected `maxDisconnectMs`'],
    ['with half a limit for hanging', wrong({ seed: 1, hangMs: 1.5 }), 'Expected `hangMs`'],
    ['for an operation that there is not', wrong({ seed: 1, rates: { fetch: {} } }), "Unknown operation 'fetch'. Known: any, "],
    ['for the end', wrong({ seed: 1, rates: { close: {} } }), "Unknown operation 'close'"],
    ['with a kind that there is not', wrong({ seed: 1, rates: { any: { crash: 0.1 } } }), "Unknown kind of fault 'crash'"],
    [
      'that is more than certain',
      { seed: 1, rates: { any: { delay: 1.1 } } },
      "Expected the rate of 'delay' for 'any' to be from 0 to 1, got 1.1",
    ],
    ['that is less than never', { seed: 1, rates: { publish: { delay: -0.1 } } }, "Expected the rate of 'delay' for 'publish'"],
    [
      'in which more than one fault hits a call',
      { seed: 1, rates: { any: { delay: 0.6 }, publish: { errorBefore: 0.6 } } },
      "Expected the rates for 'publish' to be at most 1 together, got 1.2",
    ],
    [
      'with what cannot happen to an operation',
      { seed: 1, rates: { publish: { staleRead: 0.1 } } },
      "'staleRead' cannot happen to 'publish'. What can: errorBefore, errorAfter, delay, hang, duplicate, partial, disconnect",
    ],
    ['with a script for no operation', script({ operation: 'wait', call: 1, fault: { kind: 'delay' } }), "Unknown operation 'wait'"],
    ['with a script of no fault', script({ operation: 'publish', call: 1 }), "Unknown kind of fault 'undefined'"],
    [
      'with a script for call 0',
      script({ operation: 'publish', call: 0, fault: { kind: 'errorBefore' } }),
      "Expected `call` of a scripted fault in 'publish' to be a whole number from 1, got 0",
    ],
    [
      'with a script that cannot happen',
      script({ operation: 'publish', call: 1, fault: { kind: 'lockLost' } }),
      "'lockLost' cannot happen",
    ],
    [
      'with two faults for a call',
      script(
        { operation: 'publish', call: 2, fault: { kind: 'errorBefore' } },
        { operation: 'publish', call: 2, fault: { kind: 'errorAfter' } },
      ),
      "Expected one fault for a call, got two for call 2 of 'publish'",
    ],
  ])('%s', (_, plan, message) => {
    const refused = (): unknown => faulty(new MemoryProvider(), plan);
    expect(refused).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID', message: expect.stringContaining(message) as unknown }));
  });

  test('together with something that is no clock', () => {
    const refused = (): unknown => faulty(new MemoryProvider(), { seed: 1 }, { clock: wrong('noon') as never });
    expect(refused).toThrow('Expected `clock` to be a clock, got noon');
  });

  test('never when its rates are tenths that add up to one', () => {
    expect(() => faulty(new MemoryProvider(), { seed: 1, rates: { any: { ...EVERYTHING, partial: 0.2 } } })).not.toThrow();
  });
});

describe(seeded('the choice for a call'), () => {
  const operation = fc.constantFrom(...FAULTY_OPERATIONS);
  const call = fc.record({ operation, call: fc.integer({ min: 1, max: 1_000 }), batchSize: fc.integer({ min: 0, max: 20 }) });
  const rates = fc.constantFrom<FaultRates>(EVERYTHING, { partial: 1 }, { errorAfter: 0.5, lockLost: 0.5 });
  const plan = fc.record({ seed: fc.integer(), rates: fc.record({ any: rates }), hangMs: fc.constantFrom(null, 9) });

  test('depends on the plan, the operation, the number of the call and the size of its batch only', () => {
    fc.assert(
      fc.property(plan, fc.array(call, { maxLength: 20 }), call, (given, others, wanted) => {
        const chooser = new FaultChooser(given);
        for (const other of others) chooser.choose(other.operation, other.call, other.batchSize);
        const fault = chooser.choose(wanted.operation, wanted.call, wanted.batchSize);
        expect(fault).toEqual(new FaultChooser(given).choose(wanted.operation, wanted.call, wanted.batchSize));
      }),
      fcParameters({ numRuns: 300 }),
    );
  });

  test('is something that can happen to the operation, within the limits of the plan', () => {
    fc.assert(
      fc.property(plan, call, (given, wanted) => {
        const fault = new FaultChooser(given).choose(wanted.operation, wanted.call, wanted.batchSize);
        if (fault === null) return;
        expect(canHit(fault.kind, wanted.operation)).toBe(true);
        if (fault.kind === 'delay') expect(fault.ms >= 1 && fault.ms <= 100).toBe(true);
        if (fault.kind === 'disconnect') expect(fault.ms >= 1 && fault.ms <= 500).toBe(true);
        if (fault.kind === 'hang') expect(fault.ms).toBe(given.hangMs);
        if (fault.kind === 'staleRead') expect(fault.age >= 1 && fault.age <= MAX_AGE).toBe(true);
        if (fault.kind !== 'partial') return;
        // Something is done, and something is not.
        expect(fault.done.length > 0 && fault.done.length < wanted.batchSize).toBe(true);
        expect(fault.done.every((position) => position < wanted.batchSize)).toBe(true);
      }),
      fcParameters({ numRuns: 1_000 }),
    );
  });

  test('follows the rates, the own ones of an operation before those for any', () => {
    const chooser = new FaultChooser({ seed: 1, rates: { any: { errorBefore: 0.3, delay: 0.2 }, publish: { errorBefore: 0 } } });
    const count = (name: 'publish' | 'startInstances'): Readonly<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (let number = 1; number <= 4_000; number += 1) {
        const kind = chooser.choose(name, number, 1)?.kind ?? 'none';
        counts[kind] = (counts[kind] ?? 0) + 1;
      }
      return counts;
    };
    const any = count('startInstances');
    expect(Math.abs((any['errorBefore'] ?? 0) / 4_000 - 0.3)).toBeLessThan(0.03);
    expect(Math.abs((any['delay'] ?? 0) / 4_000 - 0.2)).toBeLessThan(0.03);
    expect(Object.keys(count('publish')).toSorted()).toEqual(['delay', 'none']);
  });

  test('makes histories stale only when that was asked for by name', () => {
    const rare = new FaultChooser({ seed: 1, rates: { any: { staleRead: 1 } } });
    const asked = new FaultChooser({ seed: 1, rates: { readHistory: { staleRead: 1 } } });
    const scripted = new FaultChooser(once('readHistory', { kind: 'staleRead', age: 1 }, 2));
    expect([rare, asked, scripted].map((chooser) => chooser.mayBeStale('readHistory'))).toEqual([false, true, true]);
    expect(rare.choose('readHistory', 1, 1)).toBeNull();
    expect(rare.choose('readInstances', 1, 1)?.kind).toBe('staleRead');
  });

  test('leaves out of a scripted partial failure what the batch does not have', () => {
    const fault: Fault = { kind: 'partial', done: [0, 2, 9], rest: 'error' };
    const chooser = new FaultChooser(once('publish', fault));
    const chosen = [0, 1, 2, 3, 12].map((size) => chooser.choose('publish', 1, size));
    expect(chosen).toEqual([null, null, { ...fault, done: [0] }, { ...fault, done: [0, 2] }, fault]);
  });
});

describe('the log', () => {
  test('makes the same faults happen again as the script of a plan', async () => {
    const act = async (plan: FaultPlan): Promise<readonly [readonly ScriptedFault[], readonly string[]]> => {
      const { faults, clock } = await open('memory', plan);
      const seen: string[] = [];
      for (let number = 0; number < 40; number += 1) {
        const call = faults.startInstances([newInstance(`a${number}`), newInstance(`b${number}`)]).then(
          (outcomes) => seen.push(outcomes.join(' ')),
          (error: Error) => seen.push(error.message.replace(/\(seed -?\d+\)/, '')),
        );
        // Longer than any delay and disconnection.
        await clock.advance(1_000);
        await call;
      }
      return [faults.log, seen];
    };
    const [log, seen] = await act({ seed: 5, rates: { startInstances: { ...EVERYTHING, lockLost: 0, staleRead: 0, hang: 0 } } });
    expect(new Set(log.map(({ fault }) => fault.kind)).size).toBeGreaterThan(4);
    expect(await act({ seed: 6, script: log })).toEqual([log, seen]);
  });

  test('does not grow while faults are switched off, and calls are counted all the same', async () => {
    const { faults } = await open('memory', once('publish', { kind: 'errorBefore' }, 3));
    faults.enabled = false;
    await faults.publish([]);
    await faults.publish([]);
    faults.enabled = true;
    expect(await rejection(faults.publish([]))).toMatchObject({
      code: 'PROVIDER_FAILED',
      message: expect.stringContaining('at call 3') as unknown,
    });
    expect(faults.log).toEqual([{ operation: 'publish', call: 3, fault: { kind: 'errorBefore' } }]);
  });
});

describe('a point', () => {
  test.each([
    ['before', 0],
    ['after', 1],
  ] as const)('%s the store has done it stops every call until it is released', async (place, doneMeanwhile) => {
    const { faults, real } = await open('memory', { seed: 1 });
    const point = faults.debugPoint(`startInstances:${place}`);
    expect(faults.debugPoint(`startInstances:${place}`)).toBe(point);
    const starts = [faults.startInstances([newInstance('a')]), faults.startInstances([newInstance('b')])];
    await point.reached;
    expect(point.hits).toBe(2);
    const records = await real.readInstances(['a', 'b']);
    expect(records.filter((record) => record !== null)).toHaveLength(2 * doneMeanwhile);
    point.release();
    expect(await Promise.all(starts)).toEqual([['started'], ['started']]);
    expect(await faults.startInstances([newInstance('c')])).toEqual(['started']);
    expect(point.hits).toBe(2);
    // Armed anew it is another one.
    expect(faults.debugPoint(`startInstances:${place}`)).not.toBe(point);
  });

  test('is left by a caller that gives up, before and while it stops', async () => {
    const { faults } = await open('memory', { seed: 1 });
    const point = faults.debugPoint('fetchOrchestrationItems:before');
    const controller = new AbortController();
    const params = { maxItems: 1, lockMs: 1_000, waitMs: 1_000 };
    const stopped = faults.fetchOrchestrationItems({ ...params, signal: controller.signal });
    await point.reached;
    controller.abort();
    expect((await stopped).items).toEqual([]);
    expect((await faults.fetchOrchestrationItems({ ...params, signal: controller.signal })).items).toEqual([]);
    expect(point.hits).toBe(2);
  });

  test('holds nobody after the end', async () => {
    const { faults } = await open('memory', { seed: 1 });
    const point = faults.debugPoint('publish:before');
    const publishing = faults.publish([]);
    await point.reached;
    await faults.close();
    expect(await rejection(publishing)).toMatchObject({ code: 'PROVIDER_CLOSED' });
    expect(await rejection(faults.publish([]))).toMatchObject({ code: 'PROVIDER_CLOSED' });
  });

  test.each(['publish', 'publish:later', 'close:before', 'wait:after'])('is refused when there is none: %s', (name) => {
    const faults = faulty(new MemoryProvider(), { seed: 1 });
    expect(() => faults.debugPoint(name as 'publish:before')).toThrow(`Unknown debug point '${name}'`);
  });
});

describe('the connection', () => {
  test('can be dropped and brought back by hand', async () => {
    const { faults, real } = await open('memory', { seed: 1 });
    await real.startInstances([newInstance('a')]);
    const point = faults.debugPoint('readInstances:before');
    const reading = faults.readInstances(['a']);
    await point.reached;
    faults.disconnect();
    expect(await rejection(reading)).toMatchObject({
      retryable: true,
      message: expect.stringContaining('the connection dropped') as unknown,
    });
    expect((await rejection(faults.readInstances(['a']))).message).toContain('the connection is down, nothing was sent');
    faults.reconnect();
    point.release();
    expect(await faults.readInstances(['a'])).toMatchObject([{ instanceId: 'a' }]);
  });

  test('is calm on demand: what hangs rejects, what sleeps goes on, and nothing fails any more', async () => {
    const clock = new SimulatedClock(0);
    const script: readonly ScriptedFault[] = [
      { operation: 'publish', call: 1, fault: { kind: 'hang', done: false, ms: null } },
      { operation: 'publish', call: 2, fault: { kind: 'delay', when: 'before', ms: 60_000 } },
      { operation: 'publish', call: 3, fault: { kind: 'disconnect', done: true, ms: 60_000 } },
      { operation: 'publish', call: 4, fault: { kind: 'errorBefore' } },
    ];
    const faults = faulty(new MemoryProvider({ clock }), { seed: 1, script }, { clock });
    onTestFinished(() => faults.close());
    const [hanging, sleeping] = [faults.publish([]), faults.publish([])];
    await clock.advance(0);
    faults.calm();
    expect((await rejection(hanging)).message).toContain('no answer came; nothing was done');
    expect([await sleeping, await faults.publish([]), await faults.publish([])]).toEqual([[], [], []]);
    expect(faults.log).toHaveLength(2);
    expect(await fetchTurns(faults)).toEqual([]);
  });
});
