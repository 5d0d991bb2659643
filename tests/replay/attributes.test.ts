// Search attributes: what code and starts may set, how it is recorded and read, what travels with continue-as-new (A1).
import { describe, expect, it } from 'vitest';
import type { OrchestrationContext } from '../../src/types/context.ts';
import { MAX_ATTRIBUTE_LENGTH, MAX_ATTRIBUTES } from '../../src/types/limits.ts';
import {
  activityScheduled,
  attributesSet,
  begin,
  beginNext,
  cancelRequested,
  completed,
  continuedAsNew,
  eventRaised,
  faultOf,
  history,
  nextStart,
  orchestration,
  replayCold,
  started,
  T0,
  turn,
  valueSet,
  type Body,
  type Handler,
} from '../support/replay-harness.ts';

/** Runs code that ends at once. */
const once =
  (code: (ctx: OrchestrationContext) => unknown): Handler =>
  (ctx) =>
    code(ctx) ?? null;

const many = (count: number, value: unknown = 1): Record<string, unknown> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key ${index}`, value]));

/** What JavaScript callers may pass. */
const setAnything = (ctx: OrchestrationContext, change: unknown): void => ctx.setAttributes(change as never);

describe('ctx.setAttributes', () => {
  it('records each change as it is, and tells the store once a turn all that there is after it', async () => {
    const instance = await begin(async (ctx) => {
      ctx.setAttributes({ customer: 'acme', vip: true, total: 12.5 });
      ctx.setAttributes({ vip: null, customer: 'globex', region: 'eu' });
      await ctx.waitForEvent('go');
      ctx.log.info('nothing changes');
      await ctx.waitForEvent('go');
      ctx.setAttributes({ region: 'us' });
    });
    expect(instance.bodies.slice(1, 3)).toEqual([
      attributesSet({ customer: 'acme', total: 12.5, vip: true }),
      attributesSet({ customer: 'globex', region: 'eu', vip: null }),
    ]);
    expect(instance.last.effects?.attributes).toEqual({
      text: '{"customer":"globex","region":"eu","total":12.5}',
      list: [
        { key: 'customer', value: '"globex"' },
        { key: 'region', value: '"eu"' },
        { key: 'total', value: '12.5' },
      ],
    });
    await instance.deliver(eventRaised('go'));
    expect(instance.last.effects).toBeNull();
    await instance.deliver(eventRaised('go'));
    expect(instance.last.effects?.attributes?.text).toBe('{"customer":"globex","region":"us","total":12.5}');
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, unknown, readonly Body[]]>([
    ['reading of nothing', (ctx) => ctx.attributes, {}, []],
    ['reading', (ctx) => (ctx.setAttributes({ b: 1, a: 'x' }), ctx.attributes), { a: 'x', b: 1 }, [attributesSet({ a: 'x', b: 1 })]],
    [
      'the same value again is a decision like any other',
      (ctx) => (ctx.setAttributes({ a: 1 }), ctx.setAttributes({ a: 1 }), ctx.attributes),
      { a: 1 },
      [attributesSet({ a: 1 }), attributesSet({ a: 1 })],
    ],
    ['removal of nothing', (ctx) => (ctx.setAttributes({ a: null }), ctx.attributes), {}, [attributesSet({ a: null })]],
    ['no change', (ctx) => (ctx.setAttributes({}), ctx.attributes), {}, [attributesSet({})]],
    [
      'undefined leaves a value alone',
      (ctx) => (ctx.setAttributes({ a: 1 }), setAnything(ctx, { a: undefined, b: 2 }), ctx.attributes),
      { a: 1, b: 2 },
      [attributesSet({ a: 1 }), attributesSet({ b: 2 })],
    ],
    [
      'removal of all',
      (ctx) => (ctx.setAttributes({ a: 1 }), ctx.setAttributes({ a: null }), ctx.attributes),
      {},
      [attributesSet({ a: 1 }), attributesSet({ a: null })],
    ],
    ['an empty text', (ctx) => (ctx.setAttributes({ a: '' }), ctx.attributes), { a: '' }, [attributesSet({ a: '' })]],
    ['false', (ctx) => (ctx.setAttributes({ a: false }), ctx.attributes), { a: false }, [attributesSet({ a: false })]],
    ['minus zero', (ctx) => (ctx.setAttributes({ a: -0 }), Object.is(ctx.attributes['a'], 0)), true, [attributesSet({ a: 0 })]],
    [
      'keys of Object.prototype',
      (ctx) => (ctx.setAttributes({ toString: 'x', constructor: true }), ctx.attributes),
      { constructor: true, toString: 'x' },
      [attributesSet({ constructor: true, toString: 'x' })],
    ],
    [
      'an object without prototype',
      (ctx) => (setAnything(ctx, Object.assign(Object.create(null) as object, { a: 1 })), ctx.attributes),
      { a: 1 },
      [attributesSet({ a: 1 })],
    ],
  ])('%s', async (_, code, result, events) => {
    const instance = await begin(once(code));
    expect(instance.result).toEqual(result);
    expect(instance.bodies.slice(1, -1)).toEqual(events);
  });

  it('tells the store of a removal of all', async () => {
    const instance = await begin(async (ctx) => {
      ctx.setAttributes({ a: 1 });
      await ctx.waitForEvent('go');
      ctx.setAttributes({ a: null });
    });
    await instance.deliver(eventRaised('go'));
    expect(instance.last.effects?.attributes).toEqual({ text: '{}', list: [] });
  });

  it('gives a fresh copy each time', async () => {
    const instance = await begin((ctx) => {
      const change = { a: 1 };
      ctx.setAttributes(change);
      change.a = 2;
      Object.assign(ctx.attributes, { a: 3, b: 4 });
      return ctx.attributes;
    });
    expect(instance.result).toEqual({ a: 1 });
  });

  it('may be called by code that cleans up after a cancellation', async () => {
    const instance = await begin(async (ctx) => {
      try {
        await ctx.waitForEvent('never');
      } finally {
        ctx.setAttributes({ stopped: true });
      }
    });
    await instance.deliver(cancelRequested());
    expect(instance.last).toMatchObject({ outcome: { kind: 'cancelled' }, effects: { attributes: { text: '{"stopped":true}' } } });
  });

  it('is told to the store once, not by a replay', async () => {
    const instance = await begin(async (ctx) => {
      ctx.setAttributes({ a: 1 });
      await ctx.waitForEvent('go');
    });
    const { result, engine } = await replayCold(instance.definitions, instance.events);
    expect(result.effects).toBeNull();
    expect(engine.attributes).toEqual({ a: 1 });
    expect(engine.describeStanding().attributes).toBe('{"a":1}');
  });

  it('is late outside a turn', async () => {
    const contexts: OrchestrationContext[] = [];
    const instance = await begin((ctx) => (contexts.push(ctx), ctx.waitForEvent('go')), { coldCheck: false });
    expect(() => contexts[0]?.setAttributes({ a: 1 })).toThrow(expect.objectContaining({ code: 'LATE_CALL' }) as Error);
    expect(instance.host.faults).toHaveLength(1);
  });
});

describe('search attributes of a start', () => {
  it('are what code reads first and changes', async () => {
    const instance = await begin(
      (ctx) => {
        const before = ctx.attributes;
        ctx.setAttributes({ vip: null, seen: true });
        return [before, ctx.attributes];
      },
      { attributes: { vip: true, customer: 'acme' } },
    );
    expect(instance.result).toEqual([
      { customer: 'acme', vip: true },
      { customer: 'acme', seen: true },
    ]);
    expect(instance.last.effects?.attributes?.text).toBe('{"customer":"acme","seen":true}');
  });

  it('are not told to the store again', async () => {
    const instance = await begin((ctx) => ctx.attributes, { attributes: { vip: true } });
    expect(instance.last.effects).toBeNull();
    expect(instance.bodies[0]).toEqual(started({ attributes: { vip: true } }));
  });

  const stored = {
    text: '{"customer":"acme","vip":true}',
    list: [
      { key: 'customer', value: '"acme"' },
      { key: 'vip', value: 'true' },
    ],
  };

  it.each<readonly [string, (ctx: OrchestrationContext) => unknown]>([
    ['a child', (ctx) => ctx.scheduleSubOrchestration('test', 1, { attributes: { vip: true, customer: 'acme' } })],
    [
      'a detached start',
      (ctx) => {
        ctx.startOrchestration('test', 'o', 1, { attributes: { vip: true, customer: 'acme' } });
        return ctx.waitForEvent('never');
      },
    ],
  ])('go with %s: to the store, and to its history', async (_, code) => {
    const instance = await begin(code);
    const [asked] = instance.last.starts;
    expect(asked?.attributes).toEqual(stored);
    const child = await begin((ctx) => ctx.attributes, JSON.parse(asked?.payload ?? '') as object);
    expect(child.result).toEqual({ customer: 'acme', vip: true });
    expect(instance.bodies[1]).not.toHaveProperty('attributes');
  });

  it('of a child are its own: it gets none of its parent', async () => {
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('child'), { attributes: { vip: true } });
    expect(instance.last.starts[0]?.attributes).toBeNull();
    expect(instance.last.starts[0]?.payload).not.toContain('attributes');
  });

  it('that no caller could give are refused before anything is recorded', async () => {
    const definitions = [orchestration('test', (ctx) => ctx.attributes)];
    await expect(replayCold(definitions, history(started({ attributes: many(MAX_ATTRIBUTES + 1) as never })))).rejects.toMatchObject({
      code: 'HISTORY_INVALID',
    });
    await expect(begin((ctx) => ctx.attributes, { attributes: { a: {} } as never })).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  });
});

describe('search attributes over continue-as-new', () => {
  it('are kept, and may be changed again', async () => {
    const first = await begin(
      (ctx) => {
        if (ctx.executionId === 3) return ctx.attributes;
        ctx.setAttributes({ [`round ${ctx.executionId}`]: true, customer: null });
        return ctx.continueAsNew();
      },
      { attributes: { customer: 'acme', region: 'eu' } },
    );
    expect(first.lastBodies.at(-1)).toEqual(continuedAsNew());
    expect(nextStart(first.last)).toMatchObject({ attributes: { region: 'eu', 'round 1': true } });
    expect(first.last.effects?.attributes?.text).toBe('{"region":"eu","round 1":true}');
    const second = await beginNext(first);
    expect(second.last.effects?.attributes?.text).toBe('{"region":"eu","round 1":true,"round 2":true}');
    const third = await beginNext(second);
    expect(third.result).toEqual({ region: 'eu', 'round 1': true, 'round 2': true });
    expect(third.last.effects).toBeNull();
  });

  it('are not written when there are none', async () => {
    const instance = await begin((ctx) => (ctx.setAttributes({ a: null }), ctx.continueAsNew()), { attributes: { a: 1 } });
    expect(nextStart(instance.last)).not.toHaveProperty('attributes');
    expect((await beginNext(instance)).bodies[1]).toEqual(attributesSet({ a: null }));
  });
});

describe('limits of search attributes', () => {
  class Getter {
    get customer(): string {
      throw new TypeError('not today');
    }
  }
  const throwing = Object.defineProperty({}, 'customer', { enumerable: true, get: () => new Getter().customer });

  it.each<readonly [string, unknown, RegExp]>([
    ['null', null, /attributes to be an object such as \{ customer: 'acme', vip: true \}, got null/],
    ['undefined', undefined, /got undefined/],
    ['text', 'vip', /got 'vip'/],
    ['a list', ['vip'], /got \['vip'\]/],
    ['a Map', new Map([['a', 1]]), /got a Map/],
    ['a promise', Promise.resolve({ a: 1 }), /got a Promise/],
    ['a getter that throws', throwing, /attributes to be readable: not today/],
    ['an empty key', { '': 1 }, /attribute key to be a string of 1 to 256 characters, got 0/],
    ['a long key', { ['x'.repeat(257)]: 1 }, /got 257/],
    ['a reserved key', { 'duraloom:x': 1 }, /reserved/],
    ['a lone surrogate as key', { '\uD800': 1 }, /well-formed/],
    ['__proto__ as key', JSON.parse('{"__proto__":"x"}'), /other than '__proto__'/],
    ['an object', { a: {} }, /attribute 'a' to be text, a finite number or a boolean, got \{\}/],
    ['a date', { a: new Date(0) }, /got a Date/],
    ['a text object', { a: Object('x') as unknown }, /got a String/],
    ['not a number', { a: Number.NaN }, /got NaN/],
    ['infinity', { a: Number.POSITIVE_INFINITY }, /got Infinity/],
    ['a BigInt', { a: 1n }, /got 1n/],
    ['a symbol', { a: Symbol('x') }, /got Symbol\(x\)/],
    ['a lone surrogate', { a: '\uD800' }, /attribute 'a' to be well-formed text without NUL/],
    ['NUL', { a: 'x\0' }, /without NUL/],
    ['a long text', { a: 'x'.repeat(MAX_ATTRIBUTE_LENGTH + 1) }, /at most 256 characters in JSON, got 257. Use an id/],
    ['a text that JSON makes long', { a: '"'.repeat(129) }, /got 258/],
    ['too many', many(MAX_ATTRIBUTES + 1), /at most 32 attributes, got 33. Remove some by setting them to null/],
    ['too many removals', many(2 * MAX_ATTRIBUTES + 1, null), /at most 64 attributes in one change, got 65/],
  ])('refuse %s, catchably and without an event', async (_, change, message) => {
    const instance = await begin((ctx) => {
      try {
        setAnything(ctx, change);
        return 'set';
      } catch (error) {
        return [(error as { readonly code?: string }).code, (error as Error).message, ctx.attributes];
      }
    });
    expect(instance.result).toEqual(['ARGUMENT_INVALID', expect.stringMatching(message), {}]);
    expect(instance.events).toHaveLength(2);
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => unknown]>([
    ['a child', (ctx) => ctx.scheduleSubOrchestration('child', 1, { attributes: { a: null } as never })],
    ['a detached start', (ctx) => ctx.startOrchestration('child', 'o', 1, { attributes: { a: null } as never })],
  ])('refuse null for %s', async (_, code) => {
    const instance = await begin(once(code));
    expect(instance.failure).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringContaining('null removes one') as string });
    expect(instance.last.starts).toEqual([]);
  });

  it('allow all of them to be replaced by as many others at once, and no one more', async () => {
    const instance = await begin((ctx) => {
      setAnything(ctx, many(MAX_ATTRIBUTES));
      const others = Object.fromEntries(
        Array.from({ length: MAX_ATTRIBUTES }, (_, index) => [`other ${index}`, 'x'.repeat(MAX_ATTRIBUTE_LENGTH)]),
      );
      setAnything(ctx, { ...many(MAX_ATTRIBUTES, null), ...others });
      const codes: unknown[] = [];
      for (const change of [{ more: 1 }, { more: 1, 'other 0': null }]) {
        try {
          ctx.setAttributes(change);
          codes.push('set');
        } catch (error) {
          codes.push((error as { readonly code?: string }).code);
        }
      }
      return [codes, Object.keys(ctx.attributes).length, ctx.attributes['more']];
    });
    expect(instance.result).toEqual([['ARGUMENT_INVALID', 'set'], MAX_ATTRIBUTES, 1]);
  });
});

describe('replay of search attributes', () => {
  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, readonly Body[]]>([
    ['another key', (ctx) => ctx.setAttributes({ b: 1 }), [attributesSet({ a: 1 })]],
    ['one key more', (ctx) => ctx.setAttributes({ a: 1, b: 1 }), [attributesSet({ a: 1 })]],
    ['another value', (ctx) => ctx.setAttributes({ a: 2 }), [attributesSet({ a: 1 })]],
    ['text instead of a number', (ctx) => ctx.setAttributes({ a: '1' }), [attributesSet({ a: 1 })]],
    ['a removal instead', (ctx) => ctx.setAttributes({ a: null }), [attributesSet({ a: 1 })]],
    ['two changes instead of one', (ctx) => (ctx.setAttributes({ a: 1 }), ctx.setAttributes({ b: 1 })), [attributesSet({ a: 1, b: 1 })]],
    ['a change that is missing', () => undefined, [attributesSet({ a: 1 })]],
    ['a change that was added', (ctx) => (ctx.setAttributes({ a: 1 }), ctx.setAttributes({ a: 1 })), [attributesSet({ a: 1 })]],
    ['a value instead', (ctx) => ctx.kv.set('a', 1), [attributesSet({ a: 1 })]],
    ['a change instead of a value', (ctx) => ctx.setAttributes({ a: 1 }), [valueSet('a', 1)]],
  ])('finds %s (T48)', async (_, code, events) => {
    const handler: Handler = (ctx) => (code(ctx), ctx.scheduleActivity('end'));
    const { result } = await replayCold([orchestration('test', handler)], history(started(), ...events, activityScheduled('end')));
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM' });
  });

  it.each<readonly [string, (ctx: OrchestrationContext) => unknown, Body]>([
    ['another order of keys', (ctx) => ctx.setAttributes({ b: 1, a: 2 }), attributesSet({ a: 2, b: 1 })],
    [
      'keys that JSON reads in the order of numbers',
      (ctx) => ctx.setAttributes({ 9: 1, 10: 2, x: 3 }),
      attributesSet({ x: 3, 9: 1, 10: 2 }),
    ],
    ['a field that is undefined', (ctx) => setAnything(ctx, { a: 1, b: undefined }), attributesSet({ a: 1 })],
  ])('takes no notice of %s (A1)', async (_, code, event) => {
    const definitions = [
      orchestration(
        'test',
        once((ctx) => code(ctx) ?? null),
      ),
    ];
    const { result } = await replayCold(definitions, history(started(), event, completed(null)));
    expect(result.outcome).toMatchObject({ kind: 'completed' });
  });

  it('shows the change on both sides', async () => {
    const definitions = [
      orchestration(
        'test',
        once((ctx) => ctx.setAttributes({ vip: true })),
      ),
    ];
    const { result } = await replayCold(definitions, history(started(), attributesSet({ vip: false }), completed(null)));
    expect(faultOf(result).message).toMatch(
      /at event 2: history has AttributesSet \{attributes: \{"vip":false\}\}, but the code now decides AttributesSet \{attributes: \{"vip":true\}\}.*attributes\.test/,
    );
  });

  it('goes on where history ends, with what it has set', async () => {
    const definitions = [
      orchestration('test', async (ctx) => {
        ctx.setAttributes({ step: 1 });
        await ctx.waitForEvent('go');
        ctx.setAttributes({ step: 2 });
        return ctx.attributes;
      }),
    ];
    const before = history(started({ attributes: { vip: true } }), attributesSet({ step: 1 }), { kind: 'EventAwaited', name: 'go' });
    const { engine } = await replayCold(definitions, before);
    const result = await turn(engine, [eventRaised('go')], T0);
    expect(result.outcome).toEqual({ kind: 'completed', result: '{"step":2,"vip":true}' });
    expect(result.effects?.attributes?.text).toBe('{"step":2,"vip":true}');
  });

  it('of a history from before there were attributes reads none', async () => {
    const { result } = await replayCold(
      [
        orchestration(
          'test',
          once((ctx) => ctx.attributes),
        ),
      ],
      history(started(), completed({})),
    );
    expect(result.outcome).toEqual({ kind: 'completed', result: '{}' });
  });
});
