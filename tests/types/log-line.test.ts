// Log lines of user code: what they keep of what was logged, whatever it was.
import { describe, expect, test } from 'vitest';
import { MAX_LOG_LINE_UNITS } from '../../src/types/limits.ts';
import { takeLogLine } from '../../src/types/log-line.ts';
import { isWanted, LOG_LEVELS } from '../../src/types/logger.ts';

const fieldsOf = (fields: unknown): Readonly<Record<string, unknown>> => takeLogLine('info', 'line', fields).line.fields;

describe('a log line', () => {
  test('has level, message and fields, and counts at least 200', () => {
    expect(takeLogLine('warn', 'line', { step: 1, name: 'a', isOn: true, none: null, left: undefined })).toEqual({
      line: { level: 'warn', message: 'line', fields: { step: 1, name: 'a', isOn: true, none: null } },
      units: 200 + 'line'.length + 'stepnameisOnnone'.length + 8 + 1 + 8 + 8,
    });
    expect(takeLogLine('warn', '', undefined).units).toBe(200);
  });

  test('is as it was when it was logged', () => {
    const flat: Record<string, unknown> = { step: 1 };
    const deep = { list: [1, { step: 1 }] };
    const taken = [fieldsOf(flat), fieldsOf(deep)];
    flat['step'] = 2;
    deep.list.push(3);
    expect(taken).toEqual([{ step: 1 }, { list: [1, { step: 1 }] }]);
  });

  test('has errors as data', () => {
    const error = new RangeError('too far', { cause: new Error('the wind') });
    expect(fieldsOf({ err: error, step: 1 })).toMatchObject({
      err: {
        name: 'RangeError',
        message: 'too far',
        stack: expect.stringContaining('log-line.test') as unknown,
        cause: { message: 'the wind' },
      },
      step: 1,
    });
    expect(fieldsOf(error)).toMatchObject({ err: { message: 'too far' } });
  });

  const cycle: Record<string, unknown> = { name: 'a' };
  cycle['self'] = cycle;
  test.each([
    ['dates', { at: new Date(0) }, { at: '1970-01-01T00:00:00.000Z' }],
    ['what JSON writes itself', { toJSON: () => ({ short: 1 }) }, { short: 1 }],
    ['a BigInt', { count: 5n, name: 'a' }, { count: '5', name: 'a' }],
    ['a cycle', cycle, { name: 'a', self: '[object Object]' }],
    [
      'a BigInt beside others',
      { count: 5n, step: 1, isOn: true, list: [1], left: undefined },
      { count: '5', step: 1, isOn: true, list: [1] },
    ],
    [
      'a cycle beside an error',
      { cycle, err: Object.assign(new TypeError('no'), { stack: 'x' }) },
      { cycle: '[object Object]', err: { name: 'TypeError', message: 'no', stack: 'x' } },
    ],
    ['not a number', { share: Number.NaN }, { share: null }],
    ['functions', { call: () => 1, name: 'a' }, { name: 'a' }],
    ['a list', [1, 2], { value: [1, 2] }],
    ['a text', 'text', { value: 'text' }],
    ['nothing', null, { value: null }],
    ['a name that means something else', JSON.parse('{"__proto__":5}'), JSON.parse('{"__proto__":5}')],
    ['such a name with more behind it', JSON.parse('{"__proto__":{"step":1}}'), JSON.parse('{"__proto__":{"step":1}}')],
  ])('keeps of %s what can be kept', (_, given, kept) => {
    expect(JSON.stringify(fieldsOf(given))).toBe(JSON.stringify(kept));
  });

  test('is made of what throws when it is read', () => {
    const traps = { get: () => fail(), ownKeys: () => fail(), has: () => fail(), getOwnPropertyDescriptor: () => fail() };
    const fail = (): never => {
      throw new RangeError('no');
    };
    expect(Object.keys(fieldsOf(new Proxy({ name: 'a' }, traps)))).toEqual(['unreadable']);
    expect(
      fieldsOf({
        get name() {
          return fail();
        },
      }),
    ).toHaveProperty('unreadable');
    expect(takeLogLine('info', { toString: fail }, {}).line.message).toBe('the thrown value could not be read');
    expect(takeLogLine('info', 5, {}).line.message).toBe('5');
  });

  test('is made of what is JSON only now and then', () => {
    let calls = 0;
    const moody = {
      toJSON: () => {
        calls += 1;
        if (calls % 2 === 1) throw new RangeError('not now');
        return 'now';
      },
    };
    expect(fieldsOf({ moody, step: 1 })).toEqual({ moody: 'now', step: 1 });
    expect(calls).toBe(2);
  });

  test('is cut when it is too long', () => {
    const long = 'x'.repeat(MAX_LOG_LINE_UNITS + 1);
    const { line, units } = takeLogLine('info', long, { long });
    expect(line.message).toHaveLength(MAX_LOG_LINE_UNITS + '… (cut)'.length);
    expect(line.fields).toEqual({ cutFields: expect.stringMatching(/^they take 655\d\d characters, more than 65536: /) as unknown });
    expect(units).toBeLessThan(MAX_LOG_LINE_UNITS + 2_000);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`field${index}`, 'x'.repeat(900)]));
    expect(Object.keys(fieldsOf(many))).toEqual(['cutFields']);
  });
});

test.each([
  ['debug', [true, true, true, true]],
  ['warn', [false, false, true, true]],
  ['error', [false, false, false, true]],
  ['silent', [false, false, false, false]],
] as const)('lines of the level %s and above are wanted', (threshold, wanted) => {
  expect(LOG_LEVELS.map((level) => isWanted(threshold, level))).toEqual(wanted);
});
