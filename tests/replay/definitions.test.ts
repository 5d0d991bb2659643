// Definitions, durations and names: what users write is checked where they write it.
import { describe, expect, it } from 'vitest';
import { defineActivity, defineOrchestration, defineTransactionalActivity } from '../../src/types/definition.ts';
import { toMilliseconds, type Duration } from '../../src/types/duration.ts';
import { ArgumentError } from '../../src/types/errors.ts';
import type { TransactionSource, TransactionStep } from '../../src/types/transaction.ts';
import { assertInstanceId, assertName, childInstanceId } from '../../src/types/names.ts';

const handler = (): void => undefined;

/** A source whose transaction is a list of what was done in it. */
function listSource<Mode extends 'sync' | 'async'>(mode: Mode, recorded: unknown[]): TransactionSource<string[], Mode> {
  return {
    mode,
    transact: async ({ run }: TransactionStep<string[]>) => {
      const written: string[] = [];
      recorded.push(await run(written), ...written);
      return 'done';
    },
    close: () => Promise.resolve(),
  };
}

describe('transactional activities', () => {
  it('are activities with a source and its code', () => {
    const source = listSource('sync', []);
    const code = (): string => 'done';
    const definition = defineTransactionalActivity('a', source, code);
    expect(definition).toMatchObject({ kind: 'activity', name: 'a', schemas: {}, transaction: { source, handler: code } });
  });

  it.each([
    ['synchronous', (tx: string[], input: string) => `${tx.push('row')} ${input}`],
    ['asynchronous', async (tx: string[], input: string) => await Promise.resolve(`${tx.push('row')} ${input}`)],
  ])('that are %s commit when they are called directly, and record no completion', async (_what, code) => {
    const recorded: unknown[] = [];
    const definition = defineTransactionalActivity('a', listSource('async', recorded), code);
    expect(await definition.handler({ signal: new AbortController().signal } as never, 'x')).toBe('1 x');
    expect(recorded).toEqual([null, 'row']);
  });

  it.each([undefined, null, {}, { mode: 'sync' }, { ...listSource('sync', []), mode: 'other' }, 'store.db'])(
    'refuse %s as a source',
    (wrong) => {
      expect(() => defineTransactionalActivity('a', wrong as never, handler)).toThrow(ArgumentError);
    },
  );

  it.each([undefined, null, 'code'])('refuse %s as code', (wrong) => {
    expect(() => defineTransactionalActivity('a', listSource('sync', []), wrong as never)).toThrow(/handler of 'a' to be a function/);
  });
});

describe('definitions', () => {
  it('are plain values with name, version and code', () => {
    expect(defineOrchestration('o', handler)).toEqual({ kind: 'orchestration', name: 'o', version: '1.0.0', handler, schemas: {} });
    expect(defineOrchestration('o', handler, { version: '10.20.30' }).version).toBe('10.20.30');
    expect(defineActivity('a', handler)).toEqual({ kind: 'activity', name: 'a', handler, schemas: {} });
  });

  it.each(['', '1', '1.0', '1.0.0.0', 'v1.0.0', '1.0.0-beta', '1.0.x', ' 1.0.0', '-1.0.0'])('refuse the version "%s"', (version) => {
    expect(() => defineOrchestration('o', handler, { version })).toThrow(ArgumentError);
  });

  it.each([undefined, null, 'code', {}, 5])('refuse %s as a handler', (wrong) => {
    expect(() => defineOrchestration('o', wrong as never)).toThrow(/handler of 'o' to be a function/);
    expect(() => defineActivity('a', wrong as never)).toThrow(/handler of 'a' to be a function/);
  });

  it.each(['', 'x'.repeat(257), 'a\uDC00', 'a\0', undefined, 5])('refuse the name %j', (name) => {
    expect(() => defineOrchestration(name as string, handler)).toThrow(ArgumentError);
    expect(() => defineActivity(name as string, handler)).toThrow(ArgumentError);
  });
});

describe('names', () => {
  it.each(['a', 'x'.repeat(256), '😀', '__proto__', 'with space', 'a/b:c', '::'])('accept "%s"', (name) => {
    expect(assertName(name, 'name')).toBe(name);
  });

  it('of instances accept all but the separator of children', () => {
    expect(assertInstanceId('x'.repeat(512))).toHaveLength(512);
    for (const wrong of ['', '::', 'a::1.2', 'x'.repeat(513), '\uD800', 'a\0b'])
      expect(() => assertInstanceId(wrong)).toThrow(ArgumentError);
  });

  it('of children are unique for instance, execution and event', () => {
    const ids = ['a', 'a::1.1'].flatMap((instanceId) =>
      [1, 11].flatMap((executionId) => [1, 11, 111].map((eventId) => childInstanceId({ instanceId, executionId, eventId }))),
    );
    expect(new Set(ids).size).toBe(12);
  });
});

describe('durations', () => {
  it.each<readonly [Duration, number]>([
    [0, 0],
    [1.2, 2],
    ['250ms', 250],
    ['0.5s', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['0.0001ms', 1],
    ['36500d', 3_153_600_000_000],
  ])('%s is %d ms', (duration, ms) => {
    expect(toMilliseconds(duration, 'timer')).toBe(ms);
  });

  it.each<readonly [unknown]>([
    [-1],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    ['36500.1d'],
    [''],
    ['5'],
    ['ms'],
    ['-5s'],
    ['5 s'],
    ['5S'],
    ['1e3ms'],
    ['0x10ms'],
    ['1.ms'],
    [null],
    [undefined],
    [{}],
    [5n],
  ])('%s is none', (wrong) => {
    expect(() => toMilliseconds(wrong as Duration, 'timer')).toThrow(/Expected timer to be milliseconds ≥ 0 or text such as/);
  });
});
