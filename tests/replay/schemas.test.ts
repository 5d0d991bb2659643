// Schemas of input, output and events: any Standard Schema; what does not fit is an error with path and value.
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineActivity, defineOrchestration } from '../../src/types/definition.ts';
import { ArgumentError } from '../../src/types/errors.ts';
import { checkNow, checkSoon, type StandardSchema } from '../../src/types/schema.ts';
import {
  activityCompleted,
  begin,
  beginNext,
  completed,
  continuedAsNew,
  eventAwaited,
  eventRaised,
  failed,
  faultOf,
  history,
  nextMacrotask,
  orchestration,
  replayCold,
  started,
  type Handler,
} from '../support/replay-harness.ts';

/** The same schema of two libraries. */
const orders: readonly (readonly [string, StandardSchema])[] = [
  ['zod', z.object({ id: z.number(), lines: z.array(z.object({ sku: z.string() })), note: z.string().default('none') })],
  ['valibot', v.object({ id: v.number(), lines: v.array(v.object({ sku: v.string() })), note: v.optional(v.string(), 'none') })],
];
const good = { id: 1, lines: [{ sku: 'a' }] };
const echo: Handler = (_, input) => input;

/** A schema as a library of the future may write it. */
const schemaOf = (validate: (value: unknown) => unknown): StandardSchema =>
  ({ '~standard': { version: 1, vendor: 'test', validate } }) as StandardSchema;

describe.each(orders)('a schema of %s', (_, schema) => {
  it('accepts an input that fits, and fills in its defaults', async () => {
    const instance = await begin(echo, { input: good, schemas: { input: schema } });
    expect(instance.bodies).toEqual([started({ input: good }), completed({ ...good, note: 'none' })]);
  });

  it('fails the orchestration for an input that does not, with path and value, before its code runs', async () => {
    let hasRun = false;
    const instance = await begin(
      () => {
        hasRun = true;
      },
      { input: { id: '1', lines: [{ sku: 'a' }, { sku: 5 }] }, schemas: { input: schema } },
    );
    expect(instance.failure).toMatchObject({ name: 'SchemaError', code: 'SCHEMA_MISMATCH', nonRetryable: true });
    expect(instance.failure.message).toMatch(
      /^the input of orchestration 'test' does not fit its schema: id: .*, got '1'; lines\.1\.sku: .*, got 5$/,
    );
    expect(hasRun).toBe(false);
  });

  it('checks a missing input as undefined', async () => {
    const instance = await begin(echo, { schemas: { input: schema } });
    expect(instance.failure.message).toMatch(/the value: .*, got undefined$/);
  });

  it('fails the orchestration for a result that does not fit', async () => {
    const instance = await begin(() => Promise.resolve({ id: Number.NaN, lines: 'none' }), { schemas: { output: schema } });
    expect(instance.failure).toMatchObject({ code: 'SCHEMA_MISMATCH' });
    expect(instance.failure.message).toMatch(/^the result of orchestration 'test' .*id: .*got NaN; lines: .*got 'none'$/);
  });

  it('records a result as the schema gives it', async () => {
    const instance = await begin(() => good, { schemas: { output: schema } });
    expect(instance.bodies.at(-1)).toEqual(completed({ ...good, note: 'none' }));
  });

  it('rejects the wait for an event that does not fit, early or late; the next one is taken', async () => {
    const instance = await begin(
      async (ctx) => {
        const results: unknown[] = [];
        await ctx.scheduleActivity('a');
        for (let count = 0; count < 3; count += 1) {
          results.push(await ctx.waitForEvent('order').catch((error: Error) => [error.name, error.message]));
        }
        return [...results, await ctx.waitForEvent('other')];
      },
      { schemas: { events: { order: schema } } },
    );
    await instance.deliver(eventRaised('order', { ...good, id: null }), activityCompleted(2));
    await instance.deliver(eventRaised('order', 'text'), eventRaised('order', good), eventRaised('other', 'anything'));
    const mismatch = (text: RegExp): unknown => ['SchemaError', expect.stringMatching(text)];
    expect(instance.result).toEqual([
      mismatch(/^the data of event 'order' does not fit its schema: id: .*, got null$/),
      mismatch(/the value: .*, got 'text'$/),
      { ...good, note: 'none' },
      'anything',
    ]);
  });

  it('checks events in loops, races and after continue-as-new', async () => {
    const instance = await begin(
      async (ctx, input) => {
        if (input !== 'next') return ctx.continueAsNew('next');
        const raced = await ctx.any({ order: ctx.waitForEvent('order'), late: ctx.scheduleActivity('a') });
        for await (const order of ctx.events('order')) return [raced, order];
        return null;
      },
      { carried: [{ name: 'order', data: 5 }], schemas: { events: { order: schema } } },
    );
    const next = await beginNext(instance);
    await next.deliver(activityCompleted(3, 'done', 2), eventRaised('order', good));
    expect(next.result).toEqual([
      { key: 'late', value: 'done' },
      { ...good, note: 'none' },
    ]);
  });

  it('does not check the input of continue-as-new before the next execution', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew('no order'), { input: good, schemas: { input: schema, output: schema } });
    expect(instance.bodies.at(-1)).toEqual(continuedAsNew('no order'));
    expect((await beginNext(instance)).failure).toMatchObject({ code: 'SCHEMA_MISMATCH' });
  });

  it('that was made stricter is found by replay', async () => {
    const { result } = await replayCold(
      [orchestration('test', (ctx) => ctx.waitForEvent('e'), '1.0.0', { input: schema })],
      history(started({ input: 'old' }), eventAwaited('e')),
    );
    expect(faultOf(result)).toMatchObject({ code: 'NONDETERMINISM', message: expect.stringContaining('SCHEMA_MISMATCH') as string });
  });

  it('works with generators', async () => {
    const instance = await begin(
      function* (ctx): Generator<unknown, unknown, unknown> {
        return yield ctx.waitForEvent('order');
      },
      { schemas: { output: schema, events: { order: schema } } },
    );
    await instance.deliver(eventRaised('order', good));
    expect(instance.result).toEqual({ ...good, note: 'none' });
  });
});

describe('schemas', () => {
  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])('are looked up by own names only: event "%s"', async (name) => {
    const instance = await begin((ctx) => ctx.waitForEvent(name), { schemas: { events: { order: z.string() } } });
    await instance.deliver(eventRaised(name, 'plain'));
    expect(instance.bodies.at(-1)).toEqual(completed('plain'));
  });

  it('that are asynchronous are refused in orchestrations, with advice', async () => {
    const late = schemaOf((value) => Promise.resolve({ value }));
    const forInput = await begin(echo, { schemas: { input: late } });
    expect(forInput.failure).toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringMatching(/the input of orchestration 'test' to be synchronous.*Check it in an activity/) as string,
    });
    const forEvent = await begin((ctx) => ctx.waitForEvent('e').catch((error: Error) => error.name), { schemas: { events: { e: late } } });
    await forEvent.deliver(eventRaised('e'));
    expect(forEvent.result).toBe('ArgumentError');
  });

  it('that are asynchronous and reject leave no rejection behind, which would be nobody’s', async () => {
    const late = schemaOf(() => Promise.reject(new Error('refused later')));
    const instance = await begin((ctx) => ctx.waitForEvent('e').catch((error: Error) => error.name), { schemas: { events: { e: late } } });
    await instance.deliver(eventRaised('e'));
    await nextMacrotask();
    expect(instance.result).toBe('ArgumentError');
    expect(instance.host.faults).toEqual([]);
  });

  it('that throw fail the orchestration with what they throw', async () => {
    const broken = schemaOf(() => {
      throw new TypeError('schema bug');
    });
    expect((await begin(echo, { schemas: { input: broken } })).bodies.at(-1)).toEqual(failed({ name: 'TypeError', message: 'schema bug' }));
    const waiting = await begin((ctx) => ctx.waitForEvent('e').catch((error: Error) => error.message), {
      schemas: { events: { e: broken } },
    });
    await waiting.deliver(eventRaised('e'));
    expect(waiting.result).toBe('schema bug');
  });

  it.each<readonly [string, unknown]>([
    ['nothing', null],
    ['a function', () => true],
    ['another version', { '~standard': { version: 2, vendor: 'x', validate: () => ({ value: 1 }) } }],
    ['no validate', { '~standard': { version: 1, vendor: 'x' } }],
  ])('that are none are refused where they are given: %s', (_, wrong) => {
    const schema = wrong as StandardSchema;
    for (const define of [
      () => defineOrchestration('o', () => undefined, { input: schema }),
      () => defineOrchestration('o', () => undefined, { output: schema }),
      () => defineOrchestration('o', () => undefined, { events: { e: schema } }),
      () => defineActivity('a', () => undefined, { input: schema }),
      () => defineActivity('a', () => undefined, { output: schema }),
    ]) {
      expect(define).toThrow(ArgumentError);
      expect(define).toThrow(/schemas of '[oa]' to implement Standard Schema v1/);
    }
  });
});

describe('the message of a mismatch', () => {
  const issue = (path: readonly unknown[] | undefined): StandardSchema =>
    schemaOf(() => ({ issues: [{ message: 'wrong', ...(path === undefined ? {} : { path }) }] }));
  it.each<readonly [string, readonly unknown[] | undefined, unknown, string]>([
    ['no path', undefined, 5, 'the value: wrong, got 5'],
    ['an empty path', [], null, 'the value: wrong, got null'],
    ['keys', ['a', 0, 'b'], { a: [{ b: 'x' }] }, "a.0.b: wrong, got 'x'"],
    ['segments', [{ key: 'a' }, { key: 1 }], { a: [1, [2, 'three']] }, "a.1: wrong, got [2, 'three']"],
    ['a path that leads nowhere', ['a', 'b', 'c'], { a: 1 }, 'a.b.c: wrong, got undefined'],
    ['a record', ['a'], { a: { x: 1, y: 'z' } }, "a: wrong, got {x: 1, y: 'z'}"],
    ['a symbol', [Symbol('s')], {}, 'Symbol(s): wrong, got undefined'],
    ['a long value', ['a'], { a: 'x'.repeat(500) }, `a: wrong, got '${'x'.repeat(199)}…`],
  ])('with %s', (_, path, value, text) => {
    expect(() => checkNow(issue(path), value, 'it')).toThrow(`it does not fit its schema: ${text}`);
  });

  it('has all that is wrong', () => {
    const schema = z.object({ a: z.string(), b: z.string() });
    expect(() => checkNow(schema, {}, 'it')).toThrow(/a: .*, got undefined; b: .*, got undefined/);
  });
});

describe('a schema of an activity', () => {
  it('may take its time', async () => {
    const late = schemaOf((value) => Promise.resolve(value === 1 ? { value: 'one' } : { issues: [{ message: 'not one' }] }));
    expect(await checkSoon(late, 1, 'it')).toBe('one');
    await expect(checkSoon(late, 2, 'it')).rejects.toMatchObject({
      code: 'SCHEMA_MISMATCH',
      message: 'it does not fit its schema: the value: not one, got 2',
    });
    expect(await checkSoon(undefined, 2, 'it')).toBe(2);
    expect(checkNow(undefined, 2, 'it')).toBe(2);
  });
});
