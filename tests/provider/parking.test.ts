// Parked callers: order, the two halves of serving, and that nothing is left behind when a wait ends.
import { describe, expect, it } from 'vitest';
import { Parking } from '../../src/provider/parking.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';

/** A parking over a list of things to hand out, and what became of each caller. */
function setUp(settings: { readonly competing: boolean; readonly onWake?: () => void } = { competing: true }) {
  const clock = new SimulatedClock(1_000);
  const parking = new Parking<string>({ clock, ...settings });
  const stock: string[] = [];
  const answers: string[] = [];
  let attempts = 0;
  const park = (name: string, rest: { key?: string; waitMs?: number; signal?: AbortSignal; wants?: string } = {}): Promise<void> => {
    const { wants, waitMs = 100, ...others } = rest;
    const attempt = (): string | null => {
      attempts += 1;
      const index = wants === undefined ? 0 : stock.indexOf(wants);
      return stock.splice(index, index < 0 ? 0 : 1)[0] ?? null;
    };
    const answer = parking.park({ waitMs, attempt, empty: () => 'nothing', ...others });
    return answer.then((value) => void answers.push(`${name}: ${value}`));
  };
  return { clock, parking, stock, answers, park, attempts: () => attempts };
}

describe('Parking', () => {
  it('serves callers in the order in which they came', async () => {
    const { parking, stock, answers, park } = setUp();
    const waits = [park('first'), park('second'), park('third')];
    stock.push('a', 'b');
    const round = parking.serve();
    expect(round.count).toBe(2);
    round.deliver();
    stock.push('c');
    parking.serve().deliver();
    await Promise.all(waits);
    expect(answers).toEqual(['first: a', 'second: b', 'third: c']);
  });

  it('settles nothing before the round is delivered', async () => {
    const { clock, parking, stock, answers, park } = setUp();
    const wait = park('only');
    stock.push('a');
    const round = parking.serve();
    await clock.advance(0);
    expect(answers).toEqual([]);
    round.deliver();
    await wait;
    expect(answers).toEqual(['only: a']);
  });

  it('lets callers wait on in their old order after a round was put back', async () => {
    const { parking, stock, answers, park } = setUp();
    const waits = [park('first'), park('second')];
    stock.push('a', 'b');
    parking.serve().putBack();
    stock.push('c', 'd');
    parking.serve().deliver();
    await Promise.all(waits);
    expect(answers).toEqual(['first: c', 'second: d']);
  });

  it('puts the whole round back when an attempt throws', async () => {
    const { parking, stock, answers, park } = setUp();
    const wait = park('first');
    let isBroken = true;
    const second = parking.park({
      waitMs: 100,
      empty: () => 'nothing',
      attempt: () => {
        if (isBroken) throw new TypeError('disk');
        return 'mended';
      },
    });
    stock.push('a');
    expect(() => parking.serve()).toThrow('disk');
    isBroken = false;
    stock.push('b');
    parking.serve().deliver();
    await wait;
    expect(answers).toEqual(['first: b']);
    await expect(second).resolves.toBe('mended');
  });

  it('gives what was taken to a caller whose time ran out before the delivery', async () => {
    const { clock, parking, stock, answers, park } = setUp();
    const wait = park('late', { waitMs: 10 });
    stock.push('a');
    const round = parking.serve();
    await clock.advance(10);
    round.deliver();
    await wait;
    expect(answers).toEqual(['late: a']);
  });

  it('ends the wait of a caller whose time ran out before the round was put back', async () => {
    const { clock, parking, stock, answers, park } = setUp();
    const wait = park('late', { waitMs: 10 });
    stock.push('a');
    const round = parking.serve();
    await clock.advance(10);
    round.putBack();
    await wait;
    expect(answers).toEqual(['late: nothing']);
    expect(parking.isEmpty).toBe(true);
  });

  it('does not offer a taken caller a second thing', async () => {
    const { parking, stock, park } = setUp();
    const wait = park('only');
    stock.push('a', 'b');
    const round = parking.serve();
    expect(parking.serve().count).toBe(0);
    round.deliver();
    await wait;
    expect(stock).toEqual(['b']);
  });

  it('asks competing callers only until the first gets nothing', async () => {
    const { parking, park, attempts } = setUp({ competing: true });
    const waits = [park('first'), park('second'), park('third')];
    parking.serve().deliver();
    expect(attempts()).toBe(1);
    parking.closeAll();
    await Promise.all(waits);
  });

  it('asks every caller when they do not compete', async () => {
    const { parking, stock, answers, park } = setUp({ competing: false });
    const waits = [park('first', { wants: 'x' }), park('second', { wants: 'y' })];
    stock.push('y');
    parking.serve().deliver();
    await waits[1];
    expect(answers).toEqual(['second: y']);
    parking.closeAll();
    await waits[0];
  });

  it('serves only the callers of a key when one is given', async () => {
    const { parking, stock, answers, park } = setUp();
    const waits = [park('a1', { key: 'a' }), park('b1', { key: 'b' })];
    stock.push('thing');
    expect(parking.serve('c').count).toBe(0);
    parking.serve('b').deliver();
    await waits[1];
    expect(answers).toEqual(['b1: thing']);
    parking.closeAll();
    await waits[0];
  });

  it('ends a wait with nothing when its time is up, not before', async () => {
    const { clock, answers, park } = setUp();
    const wait = park('only', { waitMs: 50 });
    await clock.advance(49);
    expect(answers).toEqual([]);
    await clock.advance(1);
    await wait;
    expect(answers).toEqual(['only: nothing']);
  });

  it('waits longer than one timer of Node can', async () => {
    const { clock, answers, park } = setUp();
    const days = 24 * 60 * 60 * 1000;
    const wait = park('only', { waitMs: 40 * days });
    await clock.advance(40 * days - 1);
    expect(answers).toEqual([]);
    await clock.advance(1);
    await wait;
  });

  it('ends a wait with nothing when the signal aborts', async () => {
    const { answers, park } = setUp();
    const controller = new AbortController();
    const wait = park('only', { signal: controller.signal });
    controller.abort();
    await wait;
    expect(answers).toEqual(['only: nothing']);
  });

  it('answers at once without time, with an aborted signal and after closing', async () => {
    const { parking, answers, park } = setUp();
    await park('no time', { waitMs: 0 });
    await park('aborted', { signal: AbortSignal.abort() });
    parking.closeAll();
    await park('closed');
    expect(answers).toEqual(['no time: nothing', 'aborted: nothing', 'closed: nothing']);
    expect(parking.isEmpty).toBe(true);
  });

  it('rejects the wait when its empty answer cannot be made', async () => {
    const { parking } = setUp();
    const wait = parking.park({
      waitMs: 100,
      attempt: () => null,
      empty: () => {
        throw new TypeError('no record');
      },
    });
    parking.closeAll();
    await expect(wait).rejects.toThrow('no record');
  });

  it('leaves neither timer nor listener behind, however a wait ends', async () => {
    const { clock, parking, stock, park } = setUp();
    const controller = new AbortController();
    const { signal } = controller;
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>): void => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
      listeners -= 1;
      remove(...args);
    };
    const served = park('served', { signal });
    stock.push('a');
    parking.serve().deliver();
    await served;
    const timedOut = park('timed out', { signal, waitMs: 10 });
    await clock.advance(10);
    await timedOut;
    const aborted = park('aborted', { signal });
    parking.wakeAt(clock.nowMs() + 5);
    expect([listeners, clock.pendingTimers]).toEqual([1, 2]);
    controller.abort();
    await aborted;
    expect([listeners, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('wakes at the last time that was set, and only while somebody waits', async () => {
    let wakes = 0;
    const { clock, parking, park } = setUp({ competing: true, onWake: () => (wakes += 1) });
    parking.wakeAt(1_010);
    expect(clock.pendingTimers).toBe(0);
    const wait = park('only', { waitMs: 40 });
    parking.wakeAt(1_010);
    parking.wakeAt(1_020);
    await clock.advance(19);
    expect(wakes).toBe(0);
    await clock.advance(1);
    expect(wakes).toBe(1);
    parking.wakeAt(1_050);
    await clock.advance(100);
    await wait;
    expect(wakes).toBe(1);
  });
});
