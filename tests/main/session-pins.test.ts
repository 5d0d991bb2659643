// Sessions to threads: how long a pin holds, and what happens to the leases.
import { MemoryProvider } from 'duraloom/memory';
import { SimulatedClock } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { SessionPins } from '../../src/main/session-pins.ts';

/** Pins on a store that notes the renewals, or fails. */
function setUp(fail = false) {
  const clock = new SimulatedClock(0);
  const store = new MemoryProvider({ clock });
  const renewals: unknown[] = [];
  const errors: unknown[] = [];
  const provider = new Proxy(store, {
    get: (target, name) => {
      if (name !== 'renewSessions') return Reflect.get(target, name, target) as unknown;
      return (params: Parameters<typeof store.renewSessions>[0]) => {
        renewals.push(params);
        return fail ? Promise.reject(new TypeError('no connection')) : target.renewSessions(params);
      };
    },
  });
  const pins = new SessionPins<string>({ provider, clock, owner: 'n1', leaseMs: 400, idleMs: 900, onError: (error) => errors.push(error) });
  return { pins, clock, renewals, errors };
}

describe('pins', () => {
  test('hold until their thread is gone, and those of other threads longer', () => {
    const { pins } = setUp();
    pins.pin('s1', 'first');
    pins.pin('s2', 'second');
    pins.pin('s3', 'first');
    pins.unpin('first');
    expect(['s1', 's2', 's3'].map((sessionId) => pins.get(sessionId))).toEqual([undefined, 'second', undefined]);
  });

  test('of more sessions than are remembered push out the one that was pinned longest ago', () => {
    const { pins } = setUp();
    for (let session = 0; session < 10_000; session += 1) pins.pin(`s${session}`, 't');
    pins.pin('s0', 'u');
    pins.pin('one more', 't');
    expect([pins.get('s0'), pins.get('s1'), pins.get('s2'), pins.get('one more')]).toEqual(['u', undefined, 't', 't']);
  });

  test('renew the leases four times in the length of one, from the first pin to the release', async () => {
    const { pins, clock, renewals } = setUp();
    await clock.advance(400);
    expect(renewals).toEqual([]);
    pins.pin('s1', 't');
    pins.pin('s2', 't');
    // The clock does not stop for housekeeping by itself.
    for (let quarter = 0; quarter < 4; quarter += 1) await clock.advance(100);
    expect(renewals).toEqual(Array.from({ length: 4 }, () => ({ owner: 'n1', leaseMs: 400, idleMs: 900 })));
    await pins.release();
    await clock.advance(400);
    expect(renewals.slice(4)).toEqual([{ owner: 'n1', leaseMs: 0, idleMs: 900 }]);
  });

  test('give up one session only when it is asked for', async () => {
    const { pins, renewals } = setUp();
    pins.pin('s1', 't');
    pins.pin('s2', 't');
    await pins.giveUp('s1');
    expect(renewals).toEqual([{ owner: 'n1', leaseMs: 0, idleMs: 900, sessionId: 's1' }]);
    expect([pins.get('s1'), pins.get('s2')]).toEqual([undefined, 't']);
  });

  test('tell of a store that fails, and go on', async () => {
    const { pins, clock, errors } = setUp(true);
    pins.pin('s1', 't');
    await clock.advance(100);
    await clock.advance(100);
    await pins.giveUp('s1');
    expect(errors).toEqual(Array.from({ length: 3 }, () => new TypeError('no connection')));
  });
});
