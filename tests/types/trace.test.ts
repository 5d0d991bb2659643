// The texts of a trace: what comes from strangers, what callers give, what is stored, and the ids that follow from it.
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/types/errors.ts';
import {
  assertTrace,
  isSampled,
  isStoredTraceparent,
  isStoredTracestate,
  newTraceparent,
  readStamp,
  readTraceHeaders,
  spanBelow,
  stamp,
  toTraceContext,
} from '../../src/types/trace.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const traceparent = `00-${TRACE_ID}-${SPAN_ID}-01`;

const BROKEN: readonly (readonly [string, unknown])[] = [
  ['no text', 5],
  ['nothing', ''],
  ['half of it', traceparent.slice(0, 30)],
  ['capitals', traceparent.toUpperCase()],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN_ID}-01`],
  ['a span id of zeros', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
  ['the version that is none', `ff-${TRACE_ID}-${SPAN_ID}-01`],
  ['more than version 00 has', `${traceparent}-00`],
  ['something behind it', `${traceparent} `],
  ['a line break behind it', `${traceparent}\n`],
];

describe('headers of strangers', () => {
  it('are taken as they are', () => {
    const headers = { traceparent, tracestate: 'a=1,b=2', host: 'shop' };
    expect(readTraceHeaders(headers)).toEqual({ traceparent, tracestate: 'a=1,b=2' });
    expect(readTraceHeaders({ traceparent: traceparent.replace(/01$/, '00') })).toEqual({ traceparent: traceparent.replace(/01$/, '00') });
  });

  it('of a later version mean what this version knows of them', () => {
    expect(readTraceHeaders({ traceparent: `cc-${TRACE_ID}-${SPAN_ID}-ff-what-comes` })).toEqual({ traceparent });
    expect(readTraceHeaders({ traceparent: `01-${TRACE_ID}-${SPAN_ID}-02` })).toEqual({ traceparent: `00-${TRACE_ID}-${SPAN_ID}-00` });
  });

  it.each(BROKEN)('are left out when traceparent is %s', (_, value) => {
    expect(readTraceHeaders({ traceparent: value, tracestate: 'a=1' })).toEqual({});
  });

  it.each([['a'.repeat(513)], ['línea=1'], ['a=1\nb=2'], [''], [['a=1']]])('are left out when tracestate is %j', (tracestate) => {
    expect(readTraceHeaders({ traceparent, tracestate })).toEqual({ traceparent });
  });
});

describe('the trace of a start', () => {
  it('is none, or both texts', () => {
    expect(assertTrace({})).toBeNull();
    expect(assertTrace({ traceparent })).toEqual({ traceparent });
    expect(assertTrace({ traceparent, tracestate: 'a=1' })).toEqual({ traceparent, tracestate: 'a=1' });
  });

  it.each(BROKEN)('is refused as %s', (_, value) => {
    expect(() => assertTrace({ traceparent: value })).toThrow(ArgumentError);
    expect(() => assertTrace({ traceparent: value })).toThrow('readTraceHeaders');
  });

  it('is refused with a trace state that nobody could pass on, or one by itself', () => {
    expect(() => assertTrace({ traceparent, tracestate: 'a'.repeat(513) })).toThrow('1 to 512 printable ASCII characters');
    expect(() => assertTrace({ tracestate: 'a=1' })).toThrow('Expected tracestate to come with traceparent');
  });
});

describe('a span', () => {
  it('has the trace, parent, flags and state that it is below, and an id of its own', () => {
    const span = spanBelow({ traceparent, tracestate: 'a=1' }, 'order-1 1 1000');
    expect(span).toEqual({
      traceId: TRACE_ID,
      spanId: expect.stringMatching(/^[\da-f]{16}$/) as string,
      parentSpanId: SPAN_ID,
      flags: 1,
      tracestate: 'a=1',
    });
    expect(isSampled(span)).toBe(true);
    expect(toTraceContext(span)).toEqual({ traceparent: `00-${TRACE_ID}-${span.spanId}-01`, tracestate: 'a=1' });
  });

  it('begins a trace below a stored parent of zeros', () => {
    const span = spanBelow({ traceparent: newTraceparent(TRACE_ID, false) }, 'order-1 1 1000');
    expect(span).toMatchObject({ traceId: TRACE_ID, parentSpanId: null, flags: 0, tracestate: null });
    expect(isSampled(span)).toBe(false);
    expect(isSampled(spanBelow({ traceparent: newTraceparent(TRACE_ID, true) }, 'order-1 1 1000'))).toBe(true);
    expect(toTraceContext(span)).toEqual({ traceparent: `00-${TRACE_ID}-${span.spanId}-00` });
  });

  it('has the same id each time, and another one than 40,000 others of its trace', () => {
    const idOf = (key: string): string => spanBelow({ traceparent }, key).spanId;
    expect(idOf('order-1 1 1000')).toBe(idOf('order-1 1 1000'));
    const ids = new Set<string>();
    for (let index = 0; index < 20_000; index += 1) {
      ids.add(idOf(`order-${index} 1 1000`));
      ids.add(idOf(`${index} token`));
    }
    expect(ids.size).toBe(40_000);
    expect(ids).not.toContain('0'.repeat(16));
  });
});

describe('what is stored', () => {
  it('is what starts and traces write', () => {
    for (const text of [traceparent, newTraceparent(TRACE_ID, true)]) expect(isStoredTraceparent(text)).toBe(true);
    expect(isStoredTracestate('a=1')).toBe(true);
  });

  it('is nothing else', () => {
    for (const [name, value] of BROKEN) {
      if (name !== 'a span id of zeros') expect(isStoredTraceparent(value), name).toBe(false);
    }
    for (const value of [undefined, '', 'a\nb', 'a'.repeat(513)]) expect(isStoredTracestate(value)).toBe(false);
  });
});

describe('the payload of a work item', () => {
  it.each([
    ['"text"', {}],
    ['{"a":"~\\n"}', { tracestate: 'a=~,b=1' }],
    ['', { tracestate: 'a=1' }],
  ])('keeps trace and input apart: %j', (input, state) => {
    const payload = stamp(input === '' ? undefined : input, { traceparent, ...state });
    expect(readStamp(payload)).toEqual({ trace: { traceparent, ...state }, input });
  });

  it('is the input when it has no trace', () => {
    for (const payload of ['', '1', '"~"', '~', `~${traceparent}`, `~${traceparent.slice(1)}\n1`, '~\n1']) {
      expect(readStamp(payload), payload).toBeNull();
    }
    expect(readStamp(undefined as unknown as string)).toBeNull();
  });
});
