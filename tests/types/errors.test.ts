// Every class of errors: its code, its name, what it carries. And the statement of what only a bug can break.
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  assert,
  CancelledError,
  DefinitionError,
  DeterminismError,
  DurableError,
  HistoryError,
  HistoryMismatchError,
  InstanceError,
  NonRetryableError,
  OptionError,
  OrchestrationError,
  PayloadError,
  ProviderError,
  ReplayError,
  SchemaError,
  TimeoutError,
} from '../../src/types/errors.ts';
import { toFailure } from '../../src/types/failure.ts';

const cause = new RangeError('below');
const because = { cause };
const store = { operation: 'fetch', retryable: true, message: 'm' };

describe('an error of our own', () => {
  it.each([
    ['DurableError', 'TIMEOUT', new DurableError('TIMEOUT', 'm')],
    ['OptionError', 'OPTION_INVALID', new OptionError('m')],
    ['ArgumentError', 'ARGUMENT_INVALID', new ArgumentError('m')],
    ['PayloadError', 'PAYLOAD_TOO_LARGE', new PayloadError('PAYLOAD_TOO_LARGE', 'm')],
    ['DefinitionError', 'DEFINITION_INVALID', new DefinitionError('DEFINITION_INVALID', 'm')],
    ['DeterminismError', 'LATE_CALL', new DeterminismError('LATE_CALL', 'm')],
    ['CancelledError', 'CANCELLED', new CancelledError('m')],
    ['TimeoutError', 'ACTIVITY_TIMEOUT', new TimeoutError('ACTIVITY_TIMEOUT', 'm')],
    ['SchemaError', 'SCHEMA_MISMATCH', new SchemaError('m')],
    ['InstanceError', 'INSTANCE_EXISTS', new InstanceError('INSTANCE_EXISTS', 'i1', 'm')],
    ['OrchestrationError', 'ORCHESTRATION_FAILED', new OrchestrationError('ORCHESTRATION_FAILED', 'i1', 'm')],
    ['ProviderError', 'PROVIDER_FAILED', new ProviderError('PROVIDER_FAILED', store)],
  ])('is told by its class %s and its code %s', (name, code, error) => {
    expect(error).toBeInstanceOf(DurableError);
    expect(error).toMatchObject({ name, code, message: 'm' });
    expect('cause' in error).toBe(false);
  });

  it.each([
    new DurableError('TIMEOUT', 'm', because),
    new ArgumentError('m', because),
    new PayloadError('PAYLOAD_TOO_LARGE', 'm', because),
    new DefinitionError('MODULE_NOT_LOADED', 'm', because),
    new DeterminismError('UNHANDLED_REJECTION', 'm', because),
    new InstanceError('INSTANCE_ENDED', 'i1', 'm', because),
    new OrchestrationError('ORCHESTRATION_FAILED', 'i1', 'm', because),
    new ProviderError('PROVIDER_FAILED', { ...store, cause }),
    new NonRetryableError('m', because),
  ])('of class $name keeps what caused it', (error) => {
    expect(error.cause).toBe(cause);
  });

  it('about an instance names it', () => {
    expect(new InstanceError('INSTANCE_NOT_FOUND', 'i1', 'm').instanceId).toBe('i1');
    expect(new OrchestrationError('ORCHESTRATION_CANCELLED', 'i1', 'm').instanceId).toBe('i1');
  });

  it('of the store says what failed and whether it may succeed later', () => {
    expect(new ProviderError('PROVIDER_CLOSED', { ...store, retryable: false })).toMatchObject({ operation: 'fetch', retryable: false });
    expect(new ProviderError('PROVIDER_FAILED', store)).toMatchObject({ operation: 'fetch', retryable: true });
  });

  it('about a history says which event and what to do', () => {
    const error = new HistoryError(7, 'it is odd');
    expect(error).toMatchObject({ name: 'HistoryError', code: 'HISTORY_INVALID', eventId: 7 });
    expect(error.message).toMatch(/event 7: it is odd\. .*restore it from a backup/);
  });

  it('about code that left its history says where, with both sides and the diff', () => {
    const details = { instanceId: 'i1', executionId: 2, eventId: 3, recorded: 'TimerCreated', emitted: 'the end', diff: '- a\n+ b' };
    const error = new HistoryMismatchError('it parts', details, because);
    expect(error).toBeInstanceOf(DeterminismError);
    expect(error).toMatchObject({
      name: 'HistoryMismatchError',
      code: 'NONDETERMINISM',
      message: 'it parts\n\n- a\n+ b',
      cause,
      ...details,
    });
  });

  it('about histories that could not be replayed has all of them, and the first as its cause', () => {
    const failures = [
      { source: 'a.json', error: cause },
      { source: 'b.json', error: 'thrown' },
    ];
    expect(new ReplayError('two of five', failures, 3)).toMatchObject({
      code: 'REPLAY_FAILED',
      message: 'two of five',
      failures,
      replayed: 3,
      cause,
    });
    expect(new ReplayError('no file', [], 0)).toMatchObject({ failures: [], replayed: 0, cause: undefined });
  });

  it.each([new NonRetryableError('m'), new SchemaError('m')])('of class $name is not tried again', (error) => {
    expect(toFailure(error)).toMatchObject({ name: error.name, message: 'm', nonRetryable: true });
  });
});

describe('assert', () => {
  it('lets pass what holds', () => {
    expect(() => assert(1, 'one is true')).not.toThrow();
  });

  it('names the broken rule and asks for a report', () => {
    expect(() => assert(null, 'null is true')).toThrow(
      expect.objectContaining({
        code: 'INVARIANT_BROKEN',
        message: expect.stringMatching(/^null is true\. This is a bug in duraloom/) as unknown,
      }),
    );
  });
});

describe('an error of another realm, as test runners have it that give each file a context of its own', () => {
  it.each([
    [
      'an error',
      runInNewContext("Object.assign(new RangeError('far'), { code: 'FAR', cause: new TypeError('farther') })") as unknown,
      'RangeError',
    ],
    [
      'an error of the web platform',
      Object.create({
        name: 'AbortError',
        message: 'far',
        code: 'FAR',
        cause: new TypeError('farther'),
        [Symbol.toStringTag]: 'DOMException',
      }) as unknown,
      'AbortError',
    ],
  ])('is kept as one: %s', (_, thrown, name) => {
    expect(thrown).not.toBeInstanceOf(Error);
    expect(toFailure(thrown)).toMatchObject({ name, message: 'far', code: 'FAR', cause: { name: 'TypeError', message: 'farther' } });
  });

  it.each([
    ['a proxy that throws', new Proxy({}, { get: () => assert(false, 'never read') }), 'Error'],
    ['an object that only looks like one', { name: 'RangeError', message: 'near' }, 'NonError'],
  ])('is not %s', (_, thrown, name) => {
    expect(toFailure(thrown).name).toBe(name);
  });
});
