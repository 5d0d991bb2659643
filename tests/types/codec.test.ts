// Text from the store that may have been changed outside, and values that refuse to become text.
import { describe, expect, it } from 'vitest';
import { decodeStored, encodePayload, formatPayload } from '../../src/types/codec.ts';

describe('a stored payload', () => {
  it.each([
    ['1', 1],
    ['"text"', 'text'],
    ['{"a":[null]}', { a: [null] }],
    ['null', null],
    [null, undefined],
  ])('%s is read as %j', (encoded, value) => {
    expect(decodeStored(encoded, 'the result')).toEqual(value);
  });

  it.each(['', '{', 'undefined', "{'a':1}", '1 2'])('of the text %j is refused with what it was meant to be', (encoded) => {
    expect(() => decodeStored(encoded, 'the result')).toThrow(
      expect.objectContaining({
        code: 'MESSAGE_INVALID',
        message: expect.stringMatching(/^the result cannot be read: it is no JSON\. It was changed outside duraloom/) as unknown,
        cause: expect.any(SyntaxError) as unknown,
      }),
    );
  });
});

describe('a value whose toJSON throws', () => {
  it.each<readonly [string, unknown, string]>([
    ['an error', new RangeError('no'), 'no'],
    ['an error of two lines: its first', new Error('one\ntwo'), 'one'],
    ['text', 'plain text', 'plain text'],
    ['nothing', undefined, 'undefined'],
    ['an error whose message is no text', Object.assign(new Error('x'), { message: 5 }), '5'],
    ['what has no text at all', Object.create(null), 'the thrown value could not be read'],
  ])('is refused as a payload: %s', (_, thrown, reason) => {
    const value = {
      toJSON: () => {
        throw thrown;
      },
    };
    expect(() => encodePayload(value, 'input')).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_NOT_SERIALIZABLE', message: `input is not a JSON value: ${reason}. Convert it first` }),
    );
  });
});

describe('a value as text for a person', () => {
  it.each<readonly [unknown, string]>([
    [{ a: [1] }, '{\n  "a": [\n    1\n  ]\n}'],
    ['text', '"text"'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Symbol('s'), 'Symbol(s)'],
    [1n, '(cannot be shown: Do not know how to serialize a BigInt)'],
  ])('%o is shown in some way', (value, text) => {
    expect(formatPayload(value)).toBe(text);
  });

  it('may be nested too deep to be shown', () => {
    let nested: unknown = 1;
    for (let depth = 0; depth < 100_000; depth += 1) nested = [nested];
    expect(formatPayload(nested)).toMatch(/^\(cannot be shown: /);
  });
});
