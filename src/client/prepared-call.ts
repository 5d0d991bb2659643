// Calls of a client apart from the way to the store: checked and encoded before it, its outcome turned into a result or an error after it.
// Neighbours: client.ts sends them to a provider; transactions/ writes them inside a transaction of the application, synchronously or not.
import type { EnqueueOutcome, NewInstance, NewMessage, StartOutcome } from '../provider/provider.ts';
import { readOptions } from '../types/arguments.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { notFound } from './instance-state.ts';
import { isDelivered, RAISE_OPTIONS, toRaise, type RaiseOptions, type RaiseResult } from './requests.ts';
import { alreadyExists, START_OPTIONS, toNewInstance, type StartOptions, type StartResult } from './start.ts';

/** A call that is ready for the store. */
export type PreparedCall<Request, Outcome, Result> = {
  /** What the store is told. */
  readonly request: Request;
  /** What its outcome means to the caller; throws the typed error of one that is none of success. undefined: a store that gave none. */
  readonly conclude: (outcome: Outcome | undefined) => Result;
};

/** What became of a start inside a transaction: `exists` only with `onExisting: 'useExisting'`. */
export type StartedInstance = Pick<StartResult, 'instanceId' | 'outcome'>;

/**
 * Prepares a start.
 *
 * @param instanceId - id of the new instance
 * @param orchestration - definition, or name
 * @param input - a JSON value
 * @param options - as of `Client.startOrchestration`
 * @returns the call; `conclude` throws `INSTANCE_EXISTS`
 * @throws {ArgumentError} for a bad id, name, definition or option
 * @throws {PayloadError} when the input is no JSON value or too large
 */
export function prepareStart(
  instanceId: string,
  orchestration: OrchestrationDefinition | string,
  input: unknown,
  options: StartOptions | undefined,
): PreparedCall<NewInstance, StartOutcome, StartedInstance> {
  const given = readOptions(options, 'the options of a start', START_OPTIONS);
  return {
    request: toNewInstance({ ...given, instanceId, orchestration, input }),
    conclude: (outcome = 'started') => {
      if (outcome === 'exists' && given.onExisting !== 'useExisting') throw alreadyExists(instanceId, given.onExisting);
      return { instanceId, outcome };
    },
  };
}

/**
 * Prepares an event.
 *
 * @param instanceId - which instance
 * @param name - name of the event
 * @param data - a JSON value
 * @param options - as of `Client.raiseEvent`
 * @returns the call; `conclude` throws `INSTANCE_NOT_FOUND`
 * @throws {ArgumentError} for a bad id, name or key
 * @throws {PayloadError} when the data is no JSON value or too large
 */
export function prepareRaise(
  instanceId: string,
  name: string,
  data: unknown,
  options: RaiseOptions | undefined,
): PreparedCall<NewMessage, EnqueueOutcome, RaiseResult> {
  const { key } = readOptions(options, 'the options of an event', RAISE_OPTIONS);
  return {
    request: toRaise({ instanceId, name, data, ...(key !== undefined && { key }) }),
    conclude: (outcome = 'notFound') => {
      if (outcome === 'notFound') throw notFound(instanceId);
      return { delivered: isDelivered(outcome), key };
    },
  };
}
