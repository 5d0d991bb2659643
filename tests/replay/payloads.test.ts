// Hostile payloads: every value on every way in and out of orchestration code, live and after a cold replay; and what cannot travel.
import { describe, expect, it } from 'vitest';
import { parseMessage } from '../../src/replay/message.ts';
import { decodePayload, encodePayload, quote } from '../../src/types/codec.ts';
import type { OrchestrationContext } from '../../src/types/context.ts';
import { PayloadError } from '../../src/types/errors.ts';
import { MAX_CUSTOM_STATUS_BYTES, MAX_PAYLOAD_BYTES } from '../../src/types/limits.ts';
import {
  activityCompleted,
  begin,
  childCompleted,
  childScheduled,
  completed,
  eventRaised,
  replayCold,
  run,
  started,
  T0,
  turn,
  type Body,
  type Handler,
  type StartFields,
  type TestInstance,
} from '../support/replay-harness.ts';

class Money {
  readonly #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  toJSON(): string {
    return `${this.#cents} cents`;
  }
}

const values: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['zero', 0],
  ['minus zero', -0],
  ['an empty string', ''],
  ['false', false],
  ['NaN', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
  ['a number at the edge', Number.MAX_SAFE_INTEGER + 2],
  ['a tiny number', 5e-324],
  ['text that looks like a number', '42'],
  ['text that looks like JSON', '{"a":[1,2]}'],
  ['a lone high surrogate', 'a\uD800b'],
  ['a lone low surrogate', '\uDC00'],
  ['a surrogate pair', '😀'],
  ['line separators and NUL', '\u2028\u2029\0'],
  ['a large string', 'ü'.repeat(100_000)],
  ['an empty array', []],
  ['an array with undefined', [undefined, null, Number.NaN]],
  ['an empty record', {}],
  ['a record with undefined and a function', { a: undefined, b: () => 1, c: 1 }],
  ['a key named __proto__', JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":1}}')],
  ['keys that look like events', { id: 99, atMs: -1, kind: 'OrchestrationCompleted', sourceId: 1, executionId: 7 }],
  ['integer keys', { b: 1, 2: 2, a: 3, 1: 4 }],
  ['an own toJSON that is no function', { toJSON: 'text' }],
  // oxlint-disable-next-line unicorn/no-thenable -- a look-alike is the case
  ['a then that is no function', { then: 'text' }],
  ['a date', new Date(0)],
  ['an instance of a class', new Money(5)],
  ['a map', new Map([['a', 1]])],
  ['deep nesting', Array.from({ length: 500 }).reduce<unknown>((inner) => [inner], 'core')],
];

/** What JSON makes of a value. */
const jsonOf = (value: unknown): string | undefined => (value === undefined ? undefined : JSON.stringify(value));

/** A value as text, undefined included. */
const textOf = (value: unknown): string => (value === undefined ? 'undefined' : JSON.stringify(value));

/** Ways that a value can take, each ending as the result of the orchestration under test. */
const ways: readonly (readonly [string, (value: unknown) => Promise<TestInstance>])[] = [
  ['input to result', (value) => begin((_, input) => input, { input: value })],
  [
    'activity result',
    async (value) => {
      const instance = await begin((ctx) => ctx.scheduleActivity('a'));
      await instance.deliver(activityCompleted(2, value));
      return instance;
    },
  ],
  [
    'activity input and back',
    async (value) => {
      const instance = await begin((ctx) => ctx.scheduleActivity('a', value));
      expect(instance.last.activities).toEqual([{ eventId: 2, name: 'a', input: jsonOf(value), routing: null }]);
      await instance.deliver(activityCompleted(2, value));
      return instance;
    },
  ],
  [
    'event data',
    async (value) => {
      const instance = await begin((ctx) => ctx.waitForEvent('e'));
      await instance.deliver(eventRaised('e', value));
      return instance;
    },
  ],
  [
    'data of a buffered event',
    async (value) => {
      const instance = await begin(async (ctx) => {
        await ctx.scheduleTimer(1);
        return await ctx.waitForEvent('e');
      });
      await instance.deliver(eventRaised('e', value));
      await instance.deliver({ kind: 'TimerFired', executionId: 1, sourceId: 2 });
      return instance;
    },
  ],
  [
    'custom status',
    (value) =>
      begin((ctx) => {
        ctx.setCustomStatus(value);
        return ctx.getCustomStatus();
      }),
  ],
  ['custom status of the execution before', (value) => begin((ctx) => ctx.getCustomStatus(), { customStatus: value })],
  [
    'input of continue-as-new',
    async (value) => {
      const first = await begin((ctx) => ctx.continueAsNew(value));
      return nextExecution(first, (_, input) => input);
    },
  ],
  [
    'carried event',
    async (value) => {
      const first = await begin(async (ctx) => ctx.continueAsNew(await ctx.scheduleTimer(1)));
      await first.deliver(eventRaised('e', value), { kind: 'TimerFired', executionId: 1, sourceId: 2 });
      return nextExecution(first, (ctx) => ctx.waitForEvent('e'));
    },
  ],
  [
    'carried custom status',
    async (value) => {
      const first = await begin((ctx) => {
        ctx.setCustomStatus(value);
        return ctx.continueAsNew();
      });
      return nextExecution(first, (ctx) => ctx.getCustomStatus());
    },
  ],
  [
    'child input and child result',
    async (value) => {
      const parent = await begin((ctx) => ctx.scheduleSubOrchestration('child', value));
      expect(parent.bodies[1]).toEqual(childScheduled('child', 'i1::1.2', decodePayload(jsonOf(value))));
      const startOfChild = JSON.parse(parent.last.starts[0]?.payload ?? '') as Body;
      const child = await begin((_, input) => input, { ...startOfChild, name: 'test', instanceId: 'child' });
      await parent.deliver(JSON.parse(child.last.messages[0]?.payload ?? '') as Body);
      return parent;
    },
  ],
  [
    'input of a detached start',
    async (value) => {
      const parent = await begin((ctx) => ctx.startOrchestration('d', 'd1', value));
      const startOfChild = JSON.parse(parent.last.starts[0]?.payload ?? '') as Body;
      return begin((_, input) => input, { ...startOfChild, name: 'test' });
    },
  ],
];

function nextExecution({ last }: TestInstance, handler: Handler): Promise<TestInstance> {
  const payload = last.outcome.kind === 'continuedAsNew' ? last.outcome.payload : '';
  return begin(handler, JSON.parse(payload) as StartFields);
}

describe.each(ways)('the way of a payload: %s', (_, travel) => {
  it.each(values)('keeps %s as JSON does', async (__, value) => {
    const instance = await travel(value);
    expect(instance.last.outcome).toEqual({ kind: 'completed', result: jsonOf(value) });
    const { result } = await replayCold(instance.definitions, instance.events, { instanceId: instance.instanceId });
    expect(result.outcome).toEqual({ kind: 'completed', result: jsonOf(value) });
  });
});

describe('a payload as the code sees it', () => {
  it.each(values)('is %s, live and on replay', async (_, value) => {
    const seen: string[] = [];
    const instance = await begin(
      async (ctx, input) => {
        seen.push(textOf(input));
        seen.push(textOf(await ctx.scheduleActivity('a')), textOf(await ctx.waitForEvent('e')));
        seen.push(textOf(await ctx.scheduleSubOrchestration('c')));
        await ctx.waitForEvent('end');
      },
      { input: value, coldCheck: false },
    );
    await instance.deliver(activityCompleted(2, value), eventRaised('e', value));
    await instance.deliver(childCompleted(6, value));
    const wanted = textOf(decodePayload(jsonOf(value)));
    expect(seen.splice(0)).toEqual([wanted, wanted, wanted, wanted]);
    await replayCold(instance.definitions, instance.events);
    expect(seen).toEqual([wanted, wanted, wanted, wanted]);
  });

  it('cannot pollute a prototype', async () => {
    const input = JSON.parse('{"__proto__":{"polluted":true}}') as object;
    const instance = await begin(
      async (ctx, given) => {
        const group = await ctx.all(given as Readonly<Record<string, unknown>>);
        return [Object.keys(given as object), Object.keys(group), (group as { readonly polluted?: boolean }).polluted ?? 'clean'];
      },
      { input },
    );
    expect(instance.result).toEqual([['__proto__'], ['__proto__'], 'clean']);
    expect(({} as { readonly polluted?: boolean }).polluted).toBeUndefined();
  });

  it('may come in a message with white space around it', async () => {
    const text = ' {"kind":"EventRaised", "name":"e", "data":{"a": 1.50}} \n';
    const instance = await begin((ctx) => ctx.waitForEvent('e'));
    const result = await run(instance.engine.turn({ nowMs: T0, messages: [parseMessage(text)] }));
    expect(JSON.parse(result.events)).toMatchObject([{ id: 3, atMs: T0, kind: 'EventRaised', data: { a: 1.5 } }, { result: { a: 1.5 } }]);
  });
});

const cyclic: { self?: unknown } = {};
cyclic.self = cyclic;

const impossible: readonly (readonly [string, unknown, RegExp])[] = [
  ['a BigInt', 1n, /BigInt/],
  ['a BigInt inside', { a: [1n] }, /BigInt/],
  ['a cycle', cyclic, /circular/],
  ['a function', () => 1, /it is a function/],
  ['a symbol', Symbol('s'), /it is a symbol/],
  [
    'a toJSON that throws',
    {
      toJSON: () => {
        throw new Error('no words');
      },
    },
    /no words/,
  ],
];

const calls: readonly (readonly [string, (ctx: OrchestrationContext, value: unknown) => unknown, RegExp])[] = [
  ['input of an activity', (ctx, value) => ctx.scheduleActivity('a', value), /input of activity 'a'/],
  ['input of a child', (ctx, value) => ctx.scheduleSubOrchestration('c', value), /input of sub-orchestration 'c'/],
  ['input of a detached start', (ctx, value) => ctx.startOrchestration('d', 'd1', value), /input of orchestration 'd'/],
  ['input of continue-as-new', (ctx, value) => ctx.continueAsNew(value), /input of continue-as-new/],
  ['custom status', (ctx, value) => ctx.setCustomStatus(value), /custom status/],
];

describe.each(impossible)('%s', (_, value, reason) => {
  it.each(calls)('is refused as %s, catchably and without an event', async (__, call, what) => {
    const instance = await begin(async (ctx) => {
      try {
        call(ctx, value);
        return 'accepted';
      } catch (error) {
        return [error instanceof PayloadError, (error as PayloadError).code, (error as PayloadError).message];
      }
    });
    expect(instance.result).toEqual([true, 'PAYLOAD_NOT_SERIALIZABLE', expect.stringMatching(reason) as string]);
    expect((instance.result as readonly string[])[2]).toMatch(what);
    expect(instance.bodies).toHaveLength(2);
  });

  it('as result fails the orchestration, on replay as well', async () => {
    const instance = await begin(() => value);
    expect(instance.failure).toMatchObject({ name: 'PayloadError', code: 'PAYLOAD_NOT_SERIALIZABLE' });
    expect(instance.failure.message).toMatch(reason);
    expect(instance.failure.message).toMatch(/result of orchestration 'test' is not a JSON value: .*\. Convert it first/);
  });
});

describe('a payload at its limit', () => {
  const atLimit = 'x'.repeat(MAX_PAYLOAD_BYTES - 2);

  it('of 4 MiB passes, and one byte more is refused', async () => {
    const instance = await begin<number>((ctx, extra) => ctx.scheduleActivity('a', atLimit + 'x'.repeat(extra)), { input: 0 });
    expect(instance.last.activities[0]?.input).toHaveLength(MAX_PAYLOAD_BYTES);
    const over = await begin<number>((ctx, extra) => ctx.scheduleActivity('a', atLimit + 'x'.repeat(extra)), { input: 1 });
    expect(over.failure).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(over.failure.message).toContain(`takes ${MAX_PAYLOAD_BYTES + 1} bytes, more than the limit of ${MAX_PAYLOAD_BYTES}`);
  });

  it('is measured in UTF-8 bytes', () => {
    const limit = 100;
    for (const [unit, bytes] of [
      ['a', 1],
      ['ü', 2],
      ['\u07FF', 2],
      ['\u0800', 3],
      ['€', 3],
      ['\uFFFF', 3],
      ['😀', 4],
      ['\uD800', 6],
      ['"', 2],
      ['\u0001', 6],
    ] as const) {
      const count = Math.floor((limit - 2) / bytes);
      expect(encodePayload(unit.repeat(count), unit, limit)).toBe(quote(unit.repeat(count)));
      expect(() => encodePayload(unit.repeat(count + 1), unit, limit)).toThrow(PayloadError);
    }
  });

  it('as custom status is 256 KiB', async () => {
    const fits = 'x'.repeat(MAX_CUSTOM_STATUS_BYTES - 2);
    const instance = await begin((ctx) => {
      ctx.setCustomStatus(fits);
      try {
        ctx.setCustomStatus(`${fits}x`);
      } catch (error) {
        return (error as PayloadError).code;
      }
      return 'accepted';
    });
    expect(instance.result).toBe('PAYLOAD_TOO_LARGE');
    expect(instance.bodies.map(({ kind }) => kind)).toEqual(['OrchestrationStarted', 'CustomStatusSet', 'OrchestrationCompleted']);
  });

  it('as result fails the orchestration', async () => {
    const instance = await begin(() => `${atLimit}x`);
    expect(instance.failure).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  it('may be delivered and compared on replay', async () => {
    const instance = await begin(async (ctx) => ctx.scheduleActivity('b', await ctx.scheduleActivity('a')));
    await instance.deliver(activityCompleted(2, atLimit));
    expect(instance.last.activities[0]?.input).toHaveLength(MAX_PAYLOAD_BYTES);
    const { engine } = await replayCold(instance.definitions, instance.events);
    expect((await turn(engine, [activityCompleted(4)], T0)).outcome.kind).toBe('completed');
  });
});

describe('the text of an event', () => {
  it('takes over the text of its message as it stands', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'));
    await instance.deliver(activityCompleted(2, { b: 1, a: [1.5, 'ü\uD800'] }));
    expect(instance.last.events).toBe(
      `[{"id":3,"atMs":${T0},"kind":"ActivityCompleted","executionId":1,"sourceId":2,"result":{"b":1,"a":[1.5,"ü\\ud800"]}},` +
        `{"id":4,"atMs":${T0},"kind":"OrchestrationCompleted","result":{"b":1,"a":[1.5,"ü\\ud800"]}}]`,
    );
  });

  it('quotes hostile names', async () => {
    const name = '","kind":"OrchestrationCompleted","x":"\u2028';
    const instance = await begin((ctx) => ctx.waitForEvent(name));
    await instance.deliver(eventRaised(name, 1));
    expect(instance.bodies).toEqual([started(), { kind: 'EventAwaited', name }, eventRaised(name, 1), completed(1)]);
  });
});
