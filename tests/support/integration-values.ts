// Payloads that JSON, databases and object literals like to damage. Neighbour: tests/integration/payloads.test.ts.

/** Values with what JSON makes of them, by name. */
export const VALUES: Readonly<Record<string, { readonly value: unknown; readonly expected: unknown }>> = {
  undefined: same(undefined),
  null: same(null),
  zero: same(0),
  'empty text': same(''),
  false: same(false),
  NaN: { value: Number.NaN, expected: null },
  'minus zero': { value: -0, expected: 0 },
  infinity: { value: [Number.POSITIVE_INFINITY], expected: [null] },
  'largest integer': same(Number.MAX_SAFE_INTEGER),
  'smallest number': same(Number.MIN_VALUE),
  'empty array': same([]),
  'empty object': same({}),
  'nested emptiness': same({ a: null, b: [null, '', 0, false, []], '': '' }),
  'one MiB': same('x'.repeat(1024 * 1024)),
  'one MiB of multi-byte text': same('€'.repeat(349_525)),
  'lone surrogates': same(['\uD800', '\uDC00', 'a\uD800b', '\uDC00\uD800']),
  'surrogate pairs': same('😀'.repeat(100)),
  'text that looks like JSON': same('{"kind":"ActivityCompleted","executionId":1,"sourceId":2}'),
  'quotes and controls': same('"\\\u0000\u0001\n\r\t\u2028\u2029\u007F'),
  '__proto__ key': same(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1},"toString":0}')),
  'keys of our own records': same({ kind: 'InstanceFaulted', executionId: 9, sourceId: 9, id: -1, atMs: -1, failure: null, result: 1 }),
  'thenable look-alike': same(JSON.parse('{"then":"not a function"}')),
  'deep nesting': same(nest(500)),
  'undefined fields': { value: { a: undefined, b: [undefined] }, expected: { b: [null] } },
  date: { value: new Date(0), expected: '1970-01-01T00:00:00.000Z' },
};

/** Names of values that cannot be a payload, with the code of their error. */
export const UNWRITABLE: Readonly<Record<string, 'PAYLOAD_NOT_SERIALIZABLE' | 'PAYLOAD_TOO_LARGE'>> = {
  bigint: 'PAYLOAD_NOT_SERIALIZABLE',
  cycle: 'PAYLOAD_NOT_SERIALIZABLE',
  function: 'PAYLOAD_NOT_SERIALIZABLE',
  symbol: 'PAYLOAD_NOT_SERIALIZABLE',
  tooLarge: 'PAYLOAD_TOO_LARGE',
};

/** Makes a value of `UNWRITABLE`; in the thread that needs it, for such values cannot travel. */
export function makeUnwritable(name: string): unknown {
  switch (name) {
    case 'bigint':
      return { deep: [1n] };
    case 'cycle': {
      const cycle: { self?: unknown } = {};
      cycle.self = cycle;
      return cycle;
    }
    case 'function':
      return (): void => undefined;
    case 'symbol':
      return Symbol('x');
    case 'tooLarge':
      return 'x'.repeat(4 * 1024 * 1024);
    default:
      throw new RangeError(`unknown value ${name}`);
  }
}

function same(value: unknown): { readonly value: unknown; readonly expected: unknown } {
  return { value, expected: value };
}

function nest(depth: number): unknown {
  let value: unknown = 'bottom';
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}
