// Errors across history: name, message, code and cause survive; whatever was thrown becomes data.
import { describe, expect, it } from 'vitest';
import { DeterminismError } from '../../src/types/errors.ts';
import { fromFailure, toFailure, type Failure, type RemoteError } from '../../src/types/failure.ts';
import { activityFailed, begin, childFailed, completed, failed, type Handler } from '../support/replay-harness.ts';

const declined: Failure = {
  name: 'CardError',
  message: 'declined',
  code: 'E_CARD',
  stack: 'CardError: declined\n    at bank.ts:1:1',
  cause: { name: 'TypeError', message: 'limit', cause: { name: 'NonError', message: '42' } },
};

/** Values that cannot be looked into without care. */
const traps: readonly (readonly [string, () => unknown])[] = [
  [
    'an AggregateError that holds itself',
    () => {
      const error = new AggregateError([], 'cycle');
      error.errors.push(error);
      return error;
    },
  ],
  ['an AggregateError without errors', () => Object.assign(new AggregateError([], 'bare'), { errors: undefined })],
  ['an AggregateError with one error for a list', () => Object.assign(new AggregateError([], 'odd'), { errors: { length: 1 } })],
  [
    'a proxy that refuses every question',
    () =>
      new Proxy(new Error('closed'), {
        getPrototypeOf: () => {
          throw new Error('trap');
        },
      }),
  ],
];

describe('a failed activity or child', () => {
  it.each([
    ['activity', (ctx: Parameters<Handler>[0]) => ctx.scheduleActivity('a'), activityFailed(2, declined)],
    ['child', (ctx: Parameters<Handler>[0]) => ctx.scheduleSubOrchestration('c'), childFailed(2, declined)],
  ] as const)('shows the code the error of the %s with name, message, code, stack and cause', async (_, ask, event) => {
    const instance = await begin(async (ctx) => {
      const error = await (ask(ctx) as Promise<unknown>).catch((thrown: unknown) => thrown);
      const { name, message, code, stack, cause } = error as RemoteError;
      const { name: causeName, message: causeMessage, cause: root } = cause as RemoteError;
      return [error instanceof Error, name, message, code, stack, causeName, causeMessage, (root as RemoteError).message];
    });
    await instance.deliver(event);
    expect(instance.result).toEqual([true, 'CardError', 'declined', 'E_CARD', declined.stack, 'TypeError', 'limit', '42']);
  });

  it('that nobody catches fails the orchestration with the same error', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a'));
    await instance.deliver(activityFailed(2, declined));
    expect(instance.failure).toEqual({
      name: 'CardError',
      message: 'declined',
      code: 'E_CARD',
      cause: { name: 'TypeError', message: 'limit', cause: { name: 'NonError', message: '42' } },
    });
  });

  it('can be told by code with a switch', async () => {
    const instance = await begin(async (ctx) => {
      try {
        await ctx.scheduleActivity('a');
      } catch (error) {
        return (error as { readonly code?: string }).code === 'E_CARD' ? 'retry with another card' : 'give up';
      }
      return 'paid';
    });
    await instance.deliver(activityFailed(2, declined));
    expect(instance.bodies.at(-1)).toEqual(completed('retry with another card'));
  });

  it('without a code has none', async () => {
    const instance = await begin(async (ctx) => ctx.scheduleActivity('a').catch((error: RemoteError) => typeof error.code));
    await instance.deliver(activityFailed(2, 'plain'));
    expect(instance.result).toBe('undefined');
  });
});

describe('a thrown value', () => {
  it.each<readonly [string, () => unknown, Failure]>([
    ['an error', () => new RangeError('far'), { name: 'RangeError', message: 'far' }],
    ['an error with code', () => Object.assign(new Error('x'), { code: 'E' }), { name: 'Error', message: 'x', code: 'E' }],
    ['an error with a numeric code', () => Object.assign(new Error('x'), { code: 7 }), { name: 'Error', message: 'x' }],
    [
      'an error with a cause',
      () => new Error('x', { cause: new TypeError('y', { cause: 'z' }) }),
      { name: 'Error', message: 'x', cause: { name: 'TypeError', message: 'y', cause: { name: 'NonError', message: 'z' } } },
    ],
    [
      'an error with cause null',
      () => new Error('x', { cause: null }),
      { name: 'Error', message: 'x', cause: { name: 'NonError', message: 'null' } },
    ],
    ['our own error', () => new DeterminismError('LATE_CALL', 'x'), { name: 'DeterminismError', message: 'x', code: 'LATE_CALL' }],
    ['text', () => 'text', { name: 'NonError', message: 'text' }],
    ['nothing', () => undefined, { name: 'NonError', message: 'undefined' }],
    ['null', () => null, { name: 'NonError', message: 'null' }],
    ['a symbol', () => Symbol('s'), { name: 'NonError', message: 'Symbol(s)' }],
    ['a BigInt', () => 5n, { name: 'NonError', message: '5' }],
    ['a record', () => ({ a: 1 }), { name: 'NonError', message: '[object Object]' }],
    ['a record without prototype', () => Object.create(null) as unknown, { name: 'Error', message: 'the thrown value could not be read' }],
    ['lone surrogates', () => new Error('\uD800'), { name: 'Error', message: '\uD800' }],
    [
      'an error whose getters throw',
      () =>
        Object.defineProperty(new Error('x'), 'message', {
          get: () => {
            throw new Error('trap');
          },
        }),
      { name: 'Error', message: 'the thrown value could not be read' },
    ],
  ])('that is %s ends the orchestration failed, with what can be told', async (_, make, failure) => {
    const instance = await begin(() => {
      throw make();
    });
    expect(instance.bodies.at(-1)).toEqual(failed(failure));
    expect(instance.failure).toEqual(failure);
  });

  it('may be thrown before the first await or after', async () => {
    const sync = await begin(() => {
      throw new Error('sync');
    });
    const late = await begin(async () => {
      await null;
      throw new Error('late');
    });
    expect([sync.failure.message, late.failure.message]).toEqual(['sync', 'late']);
  });

  it('that is an AggregateError keeps its name', async () => {
    const instance = await begin((ctx) => ctx.any([ctx.scheduleActivity('a')]));
    await instance.deliver(activityFailed(2, 'one'));
    expect(instance.failure).toMatchObject({ name: 'AggregateError' });
  });

  it.each([
    ['lost its stack', () => Object.assign(new Error('x'), { stack: undefined })],
    ['has a list for a stack', () => Object.assign(new Error('x'), { stack: ['at home'] })],
  ])('that is an error that %s has none afterwards', async (_, make) => {
    const instance = await begin(() => {
      throw make();
    });
    expect(JSON.parse('failure' in instance.last.outcome ? instance.last.outcome.failure : '')).toEqual({ name: 'Error', message: 'x' });
  });

  it.each(traps)('that is %s ends the orchestration failed', async (_, make) => {
    const instance = await begin(() => {
      throw make();
    });
    expect(instance.last.outcome.kind).toBe('failed');
  });

  it.each(traps)('that nobody handles and that is %s fails the orchestration', async (_, make) => {
    const instance = await begin((ctx) => {
      void Promise.reject(make());
      return ctx.waitForEvent('never');
    });
    expect(instance.failure).toMatchObject({ code: 'UNHANDLED_REJECTION' });
  });

  it('keeps its stack', async () => {
    const instance = await begin(() => {
      throw new Error('here');
    });
    expect(instance.last.outcome).toMatchObject({
      kind: 'failed',
      failure: expect.stringMatching(/"stack":"Error: here\\n {4}at .*errors\.test\.ts/) as string,
    });
  });
});

describe('failures', () => {
  it('keep at most eight causes, so that a cycle ends', () => {
    const error = new Error('cycle');
    error.cause = error;
    let depth = 0;
    for (let failure: Failure | undefined = toFailure(error); failure !== undefined; failure = failure.cause) depth += 1;
    expect(depth).toBe(9);
  });

  it('keep an error whose cause cannot be read', () => {
    const failure = toFailure(new TypeError('outer', { cause: Object.create(null) }));
    expect(failure).toMatchObject({ name: 'TypeError', message: 'outer', cause: { message: 'the thrown value could not be read' } });
  });

  it('cut long messages and stacks', () => {
    const error = new Error('x'.repeat(100_000));
    const { message, stack = '' } = toFailure(error);
    expect([message.length, stack.length].every((length) => length < 17_000)).toBe(true);
    expect(message.endsWith('… (cut)')).toBe(true);
  });

  it('come back as errors, and go again as the same data', () => {
    expect(fromFailure(declined)).toBeInstanceOf(Error);
    expect(toFailure(fromFailure(declined))).toMatchObject({
      name: 'CardError',
      message: 'declined',
      code: 'E_CARD',
      stack: declined.stack,
    });
    expect(toFailure(fromFailure(declined)).cause).toMatchObject({ name: 'TypeError', cause: { name: 'NonError', message: '42' } });
  });
});
