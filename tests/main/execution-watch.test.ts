// Executions that end behind the back of a runtime: who is told, and what happens when the store fails meanwhile.
import { MemoryProvider } from 'duraloom/memory';
import { SimulatedClock } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import { ack, fetchOne, nextExecution, start } from '../../src/conformance/case-kit.ts';
import { ExecutionWatch, type ExecutionKey } from '../../src/main/execution-watch.ts';

/** A watch over a store with the instances `a` and `b`. */
async function setUp() {
  const clock = new SimulatedClock(0);
  const provider = new MemoryProvider({ clock });
  await start(provider, 'a', 'b');
  const over: ExecutionKey[] = [];
  const errors: unknown[] = [];
  let polls = 0;
  let isBroken = false;
  const watched = new Proxy(provider, {
    get: (target, name) => {
      if (name !== 'waitForInstance') return Reflect.get(target, name, target) as unknown;
      return async (params: Parameters<typeof provider.waitForInstance>[0]) => {
        polls += 1;
        const record = await target.waitForInstance(params);
        if (isBroken) throw new TypeError('no connection');
        return record;
      };
    },
  });
  const watch = new ExecutionWatch(
    watched,
    (key) => over.push(key),
    (error) => errors.push(error),
  );
  const breakStore = (broken: boolean): void => {
    isBroken = broken;
  };
  return { clock, provider, watch, over, errors, breakStore, polls: () => polls };
}

const A = { instanceId: 'a', executionId: 1 };
const B = { instanceId: 'b', executionId: 1 };

describe('an execution that is watched', () => {
  test('is over when its instance ended, was continued as new, or is gone', async () => {
    const { clock, provider, watch, over } = await setUp();
    const gone = { instanceId: 'nobody', executionId: 1 };
    watch.watchOnly([A, B, gone]);
    await clock.advance(0);
    expect(over).toEqual([gone]);
    await ack(provider, await fetchOne(provider, { maxItems: 1 }), { status: 'Completed', output: '1' });
    await clock.advance(0);
    expect(over).toEqual([gone, A]);
    await ack(provider, await fetchOne(provider), { next: nextExecution });
    await clock.advance(0);
    expect(over).toEqual([gone, A, B]);
  });

  test('is waited for as long as it takes, by one poll after the other', async () => {
    const { clock, watch, over, polls } = await setUp();
    watch.watchOnly([A]);
    watch.watchOnly([A]);
    await clock.advance(0);
    expect(polls()).toBe(1);
    // The clock does not stop for long polls by itself.
    for (let poll = 0; poll < 4; poll += 1) await clock.advance(15_000);
    expect([polls(), over]).toEqual([5, []]);
  });

  test('is not watched any more when nobody asks for it', async () => {
    const { clock, provider, watch, over } = await setUp();
    watch.watchOnly([A, B]);
    watch.watchOnly([B]);
    await ack(provider, await fetchOne(provider, { maxItems: 1 }), { status: 'Completed', output: '1' });
    await clock.advance(0);
    expect(over).toEqual([]);
  });

  test('is watched anew by the next look when the store has failed', async () => {
    const { clock, provider, watch, over, errors, breakStore } = await setUp();
    breakStore(true);
    watch.watchOnly([A]);
    await clock.advance(15_000);
    expect(errors).toEqual([new TypeError('no connection')]);
    breakStore(false);
    watch.watchOnly([A]);
    await ack(provider, await fetchOne(provider, { maxItems: 1 }), { status: 'Completed', output: '1' });
    await clock.advance(0);
    expect(over).toEqual([A]);
  });

  test('tells nobody of a store that fails after the watch is over', async () => {
    const { clock, watch, errors, breakStore } = await setUp();
    breakStore(true);
    watch.watchOnly([A]);
    watch.watchOnly([]);
    await clock.advance(15_000);
    expect(errors).toEqual([]);
  });
});
