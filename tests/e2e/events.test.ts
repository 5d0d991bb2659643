// External events, their keys and receipts, what continue-as-new carries over; topics.
//
// The reference system has two kinds of events; here a name has one mailbox, so that its cases on lost, "positional" events are cases of kept ones.
//
// Covered elsewhere:
// | case                                                             | where                                                          |
// | ---------------------------------------------------------------- | -------------------------------------------------------------- |
// | order, buffering, cancelled and losing waits, event by event     | tests/replay/external-events.test.ts                           |
// | carry-over and its limit, drops by policy                        | tests/replay/continue-as-new.test.ts                           |
// | refused names and keys, batches, receipts, waits for receipts    | tests/integration/client-calls.test.ts                         |
// | bursts over many executions, events before the first turn        | tests/integration/traps.test.ts (T7, T15, T16, T49)            |
// | patterns and fan-out of topics in the store                      | src/conformance/cases-topics.ts                                 |
import { expect, test } from 'vitest';
import { MAX_CARRIED_EVENT_UNITS } from '../../src/types/limits.ts';
import { PATIENCE, rejection } from '../support/integration-stage.ts';
import { causeOf, codeOf, describeInHouses, kindsOf, ofKind } from './fixtures/house.ts';

describeInHouses('an event', (house) => {
  test('that comes before its wait is kept, in order', async () => {
    const handle = await house.play(async (ctx) => {
      await ctx.waitForEvent('open');
      return [await ctx.waitForEvent('item'), await ctx.waitForEvent('item'), await ctx.waitForEvent('item')];
    });
    for (const item of ['a', 'b']) await handle.raiseEvent('item', item);
    await handle.raiseEvent('open');
    await handle.raiseEvent('item', 'c');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['a', 'b', 'c']);
  });

  test('goes to the mailbox of its name only', async () => {
    const handle = await house.play((ctx) => ctx.all({ left: ctx.waitForEvent('left'), right: ctx.waitForEvent('right') }));
    await handle.raiseEvent('right', 'R');
    await handle.raiseEvent('left', 'L');
    expect(await handle.result({ timeout: PATIENCE })).toEqual({ left: 'L', right: 'R' });
  });

  test('is not the same as another one with the same data', async () => {
    const handle = await house.play((ctx) => ctx.all([ctx.waitForEvent('item'), ctx.waitForEvent('item')]));
    await Promise.all([handle.raiseEvent('item', 'same'), handle.raiseEvent('item', 'same')]);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['same', 'same']);
  });

  test('is not taken by a wait that lost its race, nor by one that was cancelled', async () => {
    const handle = await house.play(async (ctx) => {
      await ctx.race({ lost: ctx.waitForEvent('item'), winner: ctx.waitForEvent('winner') });
      const given = ctx.waitForEvent('item');
      given.cancel();
      await given.catch(codeOf);
      ctx.log.info('ready');
      return await ctx.waitForEvent('item');
    });
    await handle.raiseEvent('winner');
    await house.log.message('ready', handle.instanceId);
    await handle.raiseEvent('item', 'mine');
    expect(await handle.result({ timeout: PATIENCE })).toBe('mine');
  });

  test('that ends a race in the turn in which the loser comes leaves the loser for later', async () => {
    await house.runtime.shutdown();
    const handle = await house.play(async (ctx) => {
      const { key } = await ctx.race({ a: ctx.waitForEvent('a'), b: ctx.waitForEvent('b') });
      return [key, await ctx.waitForEvent(key === 'a' ? 'b' : 'a')];
    });
    await handle.raiseEvent('b', 1);
    await handle.raiseEvent('a', 2);
    await house.restart();
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['b', 2]);
  });

  test('after the end is dropped, and the result stays', async () => {
    const handle = await house.play(() => 'over');
    await handle.result({ timeout: PATIENCE });
    expect(await handle.raiseEvent('late')).toMatchObject({ delivered: false });
    expect(await handle.result()).toBe('over');
  });

  test('may be nothing', async () => {
    const handle = await house.play(async (ctx) => [(await ctx.waitForEvent('a')) === undefined, (await ctx.waitForEvent('b')) === null]);
    await handle.raiseEvent('a');
    await handle.raiseEvent('b', null);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([true, true]);
  });

  test('after event is given by a loop, which may be left', async () => {
    const handle = await house.play(async (ctx) => {
      const seen: string[] = [];
      for await (const item of ctx.events<string>('item')) {
        if (item === 'stop') break;
        seen.push(item);
      }
      return [seen, await ctx.waitForEvent('item')];
    });
    for (const item of ['a', 'b', 'stop', 'after']) await handle.raiseEvent('item', item);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([['a', 'b'], 'after']);
  });

  test('goes to one of two loops', async () => {
    const handle = await house.play(async (ctx) => {
      const seen: unknown[] = [];
      const loop = async (): Promise<void> => {
        for await (const item of ctx.events('item')) {
          if (item === 'stop') return;
          seen.push(item);
        }
      };
      await ctx.all([loop(), loop()]);
      return seen;
    });
    for (const item of [1, 2, 3, 'stop', 'stop']) await handle.raiseEvent('item', item);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 3]);
  });

  test('loop is left by a cancellation of the instance', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.info('looping');
      for await (const item of ctx.events('item')) ctx.setCustomStatus(item);
    });
    await house.log.message('looping', handle.instanceId);
    await handle.cancel('stop');
    expect(await causeOf(handle)).toMatchObject({ code: 'CANCELLED' });
  });

  test('mixes with timers and activities over many turns', async () => {
    const deed = house.deed((ctx) => ctx.eventId);
    const handle = await house.play(async (ctx) => {
      let sum = 0;
      for (let round = 0; round < 5; round += 1) {
        const [item] = await ctx.all([ctx.waitForEvent<number>('item'), ctx.scheduleActivity('perform', deed), ctx.scheduleTimer(1)]);
        sum += item;
      }
      return sum;
    });
    for (const item of [1, 2, 3, 4, 5]) await handle.raiseEvent('item', item);
    expect(await handle.result({ timeout: PATIENCE })).toBe(15);
  });
});

describeInHouses('an event with a key', (house) => {
  test('is taken once, also when it is raised again after it was taken', async () => {
    const handle = await house.play(async (ctx) => [await ctx.waitForEvent('item'), await ctx.waitForEvent('item')]);
    await handle.raiseEvent('item', 1, { key: 'k' });
    await handle.raiseEvent('item', 'again', { key: 'k' });
    expect(await handle.waitForReceipt('k', { timeout: PATIENCE })).toBe('received');
    await handle.raiseEvent('item', 'and again', { key: 'k' });
    await handle.raiseEvent('item', 2);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2]);
  });

  test('is taken once, also over continue-as-new and a restart', async () => {
    const handle = await house.play(async (ctx, seen: readonly unknown[]): Promise<readonly unknown[]> => {
      const now = [...seen, await ctx.waitForEvent('item')];
      return now.length === 3 ? now : await ctx.continueAsNew(now);
    }, []);
    await handle.raiseEvent('item', 1, { key: 'one' });
    await handle.waitForReceipt('one', { timeout: PATIENCE });
    await house.restart();
    await handle.raiseEvent('item', 'again', { key: 'one' });
    await handle.raiseEvent('item', 2, { key: 'two' });
    await handle.waitForReceipt('two', { timeout: PATIENCE });
    await handle.raiseEvent('item', 'again', { key: 'two' });
    await handle.raiseEvent('item', 3, { key: 'three' });
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 3]);
  });

  test('of one instance is free in another', async () => {
    const first = await house.play((ctx) => ctx.waitForEvent('item'));
    const second = await house.play((ctx) => ctx.waitForEvent('item'));
    await first.raiseEvent('item', 1, { key: 'k' });
    await second.raiseEvent('item', 2, { key: 'k' });
    expect(await Promise.all([first.result({ timeout: PATIENCE }), second.result({ timeout: PATIENCE })])).toEqual([1, 2]);
  });

  test('keeps its receipt when the instance continues as new without having read it', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) {
        await ctx.waitForEvent('next');
        return await ctx.continueAsNew(1);
      }
      return await ctx.waitForEvent('item');
    }, 0);
    await handle.raiseEvent('item', 'kept', { key: 'k' });
    await handle.raiseEvent('next');
    expect(await handle.result({ timeout: PATIENCE })).toBe('kept');
    expect(await handle.waitForReceipt('k')).toBe('received');
    expect(await handle.waitForReceipt('other')).toBe('dropped');
  });
});

describeInHouses('a receipt', (house) => {
  test('is known of every execution, however many follow', async () => {
    const keys = ['k0', 'k1', 'k2', 'k3'];
    const handle = await house.play(async (ctx, round: number): Promise<unknown> => {
      await ctx.waitForEvent('item');
      return round === 3 ? 'end' : await ctx.continueAsNew(round + 1);
    }, 0);
    for (const key of keys) await handle.raiseEvent('item', undefined, { key });
    await handle.result({ timeout: PATIENCE });
    for (const key of keys) expect(await handle.waitForReceipt(key)).toBe('received');
  });

  test('of an event for a suspended instance comes when that is resumed', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('item'));
    await handle.suspend();
    await handle.raiseEvent('item', 1, { key: 'k' });
    const receipt = handle.waitForReceipt('k', { timeout: PATIENCE });
    await handle.resume();
    expect(await receipt).toBe('received');
    expect(await handle.result({ timeout: PATIENCE })).toBe(1);
  });

  test('tells of the loss of an event that was queued when its instance was terminated', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('never'));
    await handle.suspend();
    await handle.raiseEvent('item', 1, { key: 'k' });
    await handle.terminate();
    expect(await handle.waitForReceipt('k', { timeout: PATIENCE })).toBe('dropped');
  });

  test('of an instance that was replaced is none of its successor, which may take the key again', async () => {
    const handle = await house.play((ctx) => ctx.waitForEvent('item'));
    await handle.raiseEvent('item', 'old', { key: 'k' });
    await handle.result({ timeout: PATIENCE });
    const again = await house.client.startOrchestration(handle.instanceId, 'play', undefined, { onExisting: 'replaceTerminal' });
    await again.raiseEvent('item', 'new', { key: 'k' });
    expect(await again.result({ timeout: PATIENCE })).toBe('new');
  });
});

describeInHouses('continue-as-new', (house) => {
  test('carries unread events over in their order, and they come before new ones', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) {
        await ctx.waitForEvent('next');
        return await ctx.continueAsNew(1);
      }
      await ctx.waitForEvent('go on');
      const items = [];
      for (let count = 0; count < 4; count += 1) items.push(await ctx.waitForEvent('item'));
      return items;
    }, 0);
    for (const item of [1, 2, 3]) await handle.raiseEvent('item', item);
    await handle.raiseEvent('next');
    await handle.raiseEvent('item', 4);
    await handle.raiseEvent('go on');
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 3, 4]);
  });

  test('gives events that were awaited in vain to the next execution', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      void ctx.waitForEvent('item');
      if (round === 1) return await ctx.waitForEvent('item');
      await ctx.waitForEvent('next');
      return await ctx.continueAsNew(1);
    }, 0);
    await handle.raiseEvent('next');
    await handle.raiseEvent('item', 'to the first wait');
    await handle.raiseEvent('item', 'to the second wait');
    expect(await handle.result({ timeout: PATIENCE })).toBe('to the second wait');
  });

  test.each([
    ['dropOldest', 'the newest'],
    ['dropNewest', 'the oldest'],
  ] as const)('with too many unread events and %s keeps %s and tells of it', async (onEventOverflow, kept) => {
    const half = 'x'.repeat(MAX_CARRIED_EVENT_UNITS / 2);
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) {
        await ctx.waitForEvent('next');
        return await ctx.continueAsNew(1, { onEventOverflow });
      }
      return (await ctx.waitForEvent<{ readonly name: string }>('item')).name;
    }, 0);
    await handle.raiseEvent('item', { name: 'the oldest', half });
    await handle.raiseEvent('item', { name: 'the newest', half });
    await handle.raiseEvent('next');
    expect(await handle.result({ timeout: PATIENCE })).toBe(kept);
    const warnings = house.log.lines.filter(({ level, fields }) => level === 'warn' && fields['instanceId'] === handle.instanceId);
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('dropped 1 unread external events')]);
    const dropped = house.runtime
      .metrics()
      .find(({ name, labels }) => name === 'duraloom_events_dropped_total' && labels['policy'] === onEventOverflow);
    expect(dropped).toMatchObject({ value: 1 });
  });

  test('with too many unread events fails by default', async () => {
    const half = 'x'.repeat(MAX_CARRIED_EVENT_UNITS / 2);
    const handle = await house.play(async (ctx) => {
      await ctx.waitForEvent('next');
      return await ctx.continueAsNew(1);
    });
    for (let count = 0; count < 2; count += 1) await handle.raiseEvent('item', half);
    await handle.raiseEvent('next');
    expect(await causeOf(handle)).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('without await and without return continues all the same', async () => {
    const handle = await house.play((ctx, round: number) => {
      if (round === 0) void ctx.continueAsNew(1);
      return round;
    }, 0);
    expect(await handle.result({ timeout: PATIENCE })).toBe(1);
    expect(await handle.state()).toMatchObject({ executionId: 2 });
  });

  test('makes executions whose histories stay readable', async () => {
    const handle = await house.play(async (ctx, round: number): Promise<string> => {
      await ctx.scheduleTimer(1);
      return round === 3 ? `execution ${ctx.executionId}` : await ctx.continueAsNew(round + 1);
    }, 1);
    expect(await handle.result({ timeout: PATIENCE })).toBe('execution 3');
    expect(await kindsOf(handle, 1)).toEqual(['OrchestrationStarted', 'TimerCreated', 'TimerFired', 'OrchestrationContinuedAsNew']);
    expect((await kindsOf(handle, 3)).at(-1)).toBe('OrchestrationCompleted');
    expect(ofKind(await handle.readHistory(2), 'OrchestrationStarted')).toMatchObject([{ executionId: 2, input: 2 }]);
  });

  test('ignores what activities of the execution before answer', async () => {
    const deed = house.deed(() => 'old');
    const handle = await house.play(async (ctx, round: number): Promise<unknown> => {
      const answer = ctx.scheduleActivity('perform', deed);
      if (round === 0) return await ctx.continueAsNew(1);
      return [await answer, ctx.executionId];
    }, 0);
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['old', 2]);
    expect(ofKind(await handle.readHistory(), 'ActivityCompleted')).toHaveLength(1);
  });

  test('in a chain of many executions comes to its end', async () => {
    const handle = await house.play(async (ctx, left: number): Promise<number> => {
      if (left === 0) return ctx.executionId;
      await ctx.scheduleTimer(0);
      return await ctx.continueAsNew(left - 1);
    }, 40);
    expect(await handle.result({ timeout: PATIENCE })).toBe(41);
  });

  test('is cancelled in a later execution as in the first', async () => {
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) return await ctx.continueAsNew(1);
      ctx.log.info('second');
      return await ctx.waitForEvent('never');
    }, 0);
    await house.log.message('second', handle.instanceId);
    await handle.cancel('enough');
    expect(await causeOf(handle)).toMatchObject({ message: 'enough' });
    expect(await handle.state()).toMatchObject({ status: 'Cancelled', executionId: 2 });
  });
});

describeInHouses('a topic', (house) => {
  const topicOf = (): string => house.newId();

  test('reaches every subscriber once, in the order of publication', async () => {
    const topic = topicOf();
    const subscribers = await Promise.all(
      [`${topic}/*`, `${topic}/**`, `${topic}/a`].map(async (pattern) => {
        const handle = await house.play(async (ctx) => {
          const subscription = ctx.subscribe<number>(pattern);
          ctx.log.info('subscribed');
          const seen = [];
          for (let count = 0; count < 3; count += 1) seen.push((await subscription.next()).data);
          return seen;
        });
        await house.log.message('subscribed', handle.instanceId);
        return handle;
      }),
    );
    for (const data of [1, 2, 3]) expect(await house.client.publish(`${topic}/a`, data)).toBe(3);
    for (const handle of subscribers) expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2, 3]);
  });

  test('shows a message to each matching subscription of an instance, which gets it once', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx) => {
      const [wide, narrow] = [ctx.subscribe(`${topic}/**`), ctx.subscribe(`${topic}/a`)];
      ctx.log.info('subscribed');
      return [await wide.next(), await narrow.next()];
    });
    await house.log.message('subscribed', handle.instanceId);
    expect(await house.client.publish(`${topic}/a`, 1)).toBe(1);
    const message = { topic: `${topic}/a`, data: 1 };
    expect(await handle.result({ timeout: PATIENCE })).toEqual([message, message]);
    expect(ofKind(await handle.readHistory(), 'TopicReceived')).toHaveLength(1);
  });

  test('is published to by orchestrations, once', async () => {
    const topic = topicOf();
    const listener = await house.play(async (ctx) => {
      const subscription = ctx.subscribe(topic);
      ctx.log.info('subscribed');
      return [(await subscription.next()).data, (await subscription.next()).data];
    });
    await house.log.message('subscribed', listener.instanceId);
    await house.result(async (ctx) => {
      ctx.publish(topic, 'first');
      await ctx.scheduleTimer(1);
      ctx.publish(topic, 'second');
    });
    expect(await listener.result({ timeout: PATIENCE })).toEqual(['first', 'second']);
  });

  test('reaches its publisher, if that is subscribed in the same turn', async () => {
    const topic = topicOf();
    const heard = await house.result(async (ctx) => {
      const subscription = ctx.subscribe(topic);
      ctx.publish(topic, 'echo');
      return (await subscription.next()).data;
    });
    expect(heard).toBe('echo');
  });

  test('is kept over continue-as-new with its messages', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx, round: number) => {
      if (round === 0) {
        ctx.subscribe(topic);
        ctx.log.info('subscribed');
        await ctx.waitForEvent('next');
        return await ctx.continueAsNew(1);
      }
      await ctx.waitForEvent('read');
      const subscription = ctx.subscribe(topic);
      return [(await subscription.next()).data, (await subscription.next()).data];
    }, 0);
    await house.log.message('subscribed', handle.instanceId);
    await house.client.publish(topic, 'before');
    await handle.raiseEvent('next');
    await house.client.publish(topic, 'between');
    await handle.raiseEvent('read');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['before', 'between']);
  });

  test('is heard no more after unsubscribe, and a new subscription begins empty', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx) => {
      const first = ctx.subscribe(topic);
      ctx.log.info('first');
      await ctx.waitForEvent('leave');
      first.unsubscribe();
      ctx.log.info('left');
      await ctx.waitForEvent('return');
      const second = ctx.subscribe(topic);
      ctx.log.info('second');
      return (await second.next()).data;
    });
    await house.log.message('first', handle.instanceId);
    expect(await house.client.publish(topic, 'unread')).toBe(1);
    await handle.raiseEvent('leave');
    await house.log.message('left', handle.instanceId);
    expect(await house.client.publish(topic, 'unheard')).toBe(0);
    await handle.raiseEvent('return');
    await house.log.message('second', handle.instanceId);
    expect(await house.client.publish(topic, 'heard')).toBe(1);
    expect(await handle.result({ timeout: PATIENCE })).toBe('heard');
  });

  test('cancels the wait of a subscription that is left', async () => {
    const topic = topicOf();
    const code = await house.result(async (ctx) => {
      const subscription = ctx.subscribe(topic);
      const waiting = subscription.next();
      subscription.unsubscribe();
      return await ctx.race([waiting, ctx.scheduleTimer(5)]).catch(codeOf);
    });
    expect(code).toBe('CANCELLED');
  });

  test('keeps a message for the next wait when one has lost its race', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx) => {
      const subscription = ctx.subscribe(topic);
      const { key } = await ctx.race({ message: subscription.next(), timer: ctx.scheduleTimer(1) });
      ctx.log.info('lost');
      return [key, (await subscription.next()).data];
    });
    await house.log.message('lost', handle.instanceId);
    await house.client.publish(topic, 'kept');
    expect(await handle.result({ timeout: PATIENCE })).toEqual(['timer', 'kept']);
  });

  test('has no subscriber left when its instance has ended, was terminated or was replaced', async () => {
    const topic = topicOf();
    const code = async (ctx: { subscribe(pattern: string): unknown; waitForEvent(name: string): Promise<unknown> }): Promise<unknown> => {
      ctx.subscribe(topic);
      return await ctx.waitForEvent('end');
    };
    const [ended, terminated] = await Promise.all([house.play(code), house.play(code)]);
    await ended.raiseEvent('end', undefined, { key: 'end' });
    await ended.result({ timeout: PATIENCE });
    await terminated.terminate();
    expect(await house.client.publish(topic, 1)).toBe(0);
  });

  test('with a key is taken once by each instance', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx) => {
      const subscription = ctx.subscribe(topic);
      ctx.log.info('subscribed');
      return [(await subscription.next()).data, (await subscription.next()).data];
    });
    await house.log.message('subscribed', handle.instanceId);
    await house.client.publish(topic, 1, { key: 'k' });
    expect(await handle.waitForReceipt('k', { timeout: PATIENCE })).toBe('received');
    await house.client.publish(topic, 'again', { key: 'k' });
    await house.client.publish(topic, 2);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2]);
  });

  test('is read by a loop', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx) => {
      const seen: unknown[] = [];
      const subscription = ctx.subscribe<string>(`${topic}/*`);
      ctx.log.info('subscribed');
      for await (const message of subscription) {
        if (message.data === 'stop') break;
        seen.push(message);
      }
      return seen;
    });
    await house.log.message('subscribed', handle.instanceId);
    await house.client.publish(`${topic}/x`, 'go');
    await house.client.publish(`${topic}/y`, 'stop');
    expect(await handle.result({ timeout: PATIENCE })).toEqual([{ topic: `${topic}/x`, data: 'go' }]);
  });

  test('outlives a restart of the host', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx) => {
      const subscription = ctx.subscribe(topic);
      ctx.log.info('subscribed');
      return (await subscription.next()).data;
    });
    await house.log.message('subscribed', handle.instanceId);
    await house.restart();
    await house.client.publish(topic, 'after the restart');
    expect(await handle.result({ timeout: PATIENCE })).toBe('after the restart');
  });

  test('is kept for a suspended instance', async () => {
    const topic = topicOf();
    const handle = await house.play(async (ctx) => {
      const subscription = ctx.subscribe(topic);
      ctx.log.info('subscribed');
      return (await subscription.next()).data;
    });
    await house.log.message('subscribed', handle.instanceId);
    await handle.suspend();
    expect(await house.client.publish(topic, 'meanwhile')).toBe(1);
    await handle.resume();
    expect(await handle.result({ timeout: PATIENCE })).toBe('meanwhile');
  });

  test('is refused where it is none, by clients and orchestrations', async () => {
    expect(await rejection(house.client.publish('a/*'))).toMatchObject({ code: 'ARGUMENT_INVALID' });
    expect(await house.result((ctx) => Promise.resolve(codeOfThrown(() => ctx.subscribe('a/b*'))))).toBe('ARGUMENT_INVALID');
    expect(await house.result((ctx) => Promise.resolve(codeOfThrown(() => ctx.publish('a//b'))))).toBe('ARGUMENT_INVALID');
  });
});

function codeOfThrown(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    return codeOf(error);
  }
  return undefined;
}
