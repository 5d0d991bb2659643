// What the main thread does for activity threads: the store for their clients, and the messages of their sessions. Served on a port of its own, so
// that a long wait of one activity holds up neither work nor control. Neighbours: main/runtime.ts makes it, activity-loop.ts uses it.
import { expose, wrap } from 'comlink';
import type { MessagePort } from 'node:worker_threads';
import type { ClientStore } from '../client/client-store.ts';
import { CLIENT_STORE_METHODS } from '../client/client-store.ts';
import { ArgumentError, DurableError, ProviderError, type ErrorCode } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import { nodeEndpoint } from './control.ts';

type Method = (typeof CLIENT_STORE_METHODS)[number];

/** A message to a session, with its number. */
export type NumberedMessage = { readonly seq: number; readonly payload: string };

/** Outcome of a call: errors travel as data, structured clone would drop their class and code. */
export type CallOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly failure: Failure; readonly operation: string | null; readonly retryable: boolean };

/** What an activity thread may ask of the main thread. */
export interface ActivityHost {
  /** Calls a method of the client's store; an abort signal in the arguments does not get here. */
  call(method: Method, args: readonly unknown[]): Promise<CallOutcome>;
  /** Waits a while for messages of a session after a number, and removes those that are done with. */
  receive(sessionId: string, afterSeq: number, doneSeqs: readonly number[]): Promise<CallOutcome>;
}

/** What main needs of a store to be a host. */
export type HostStore = ClientStore & {
  receiveSessionMessages(params: {
    readonly sessionId: string;
    readonly afterSeq: number;
    readonly doneSeqs: readonly number[];
    readonly waitMs: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly NumberedMessage[]>;
};

/** One long poll for session messages, in milliseconds. Reason: an activity that ends leaves at most one open for this long. */
const RECEIVE_MS = 5_000;

/**
 * Makes the host.
 *
 * @param store - the provider
 * @param signal - ends waits when the runtime stops
 * @returns what to serve
 */
export function makeActivityHost(store: HostStore, signal: AbortSignal): ActivityHost {
  const methods: ReadonlySet<string> = new Set(CLIENT_STORE_METHODS);
  return {
    call: (method, args) =>
      outcomeOf(async () => {
        if (!methods.has(method)) throw new ArgumentError(`Expected a method of the client's store, got ${method}`);
        return (store[method] as (...given: readonly unknown[]) => Promise<unknown>)(...args);
      }),
    receive: (sessionId, afterSeq, doneSeqs) =>
      outcomeOf(() => store.receiveSessionMessages({ sessionId, afterSeq, doneSeqs, waitMs: RECEIVE_MS, signal })),
  };
}

async function outcomeOf(call: () => Promise<unknown>): Promise<CallOutcome> {
  try {
    return { ok: true, value: await call() };
  } catch (error) {
    const provider = error instanceof ProviderError ? error : null;
    return { ok: false, failure: toFailure(error), operation: provider?.operation ?? null, retryable: provider?.retryable ?? false };
  }
}

/** Serves a host on a port. */
export function serveHost(host: ActivityHost, port: MessagePort): void {
  expose(host, nodeEndpoint(port));
}

/** Calls the host from a thread. */
export function connectHost(port: MessagePort): ActivityHost {
  return wrap<ActivityHost>(nodeEndpoint(port));
}

/**
 * Makes the store of a client that lives in an activity thread.
 *
 * @param host - the main thread
 * @param name - name of the provider
 * @returns the store
 */
export function hostStore(host: ActivityHost, name: string): ClientStore {
  const methods = CLIENT_STORE_METHODS.map((method) => [
    method,
    async (...args: readonly unknown[]) => unwrap(await host.call(method, args.map(withoutSignal))),
  ]);
  return { ...(Object.fromEntries(methods) as Omit<ClientStore, 'name'>), name };
}

/** Takes the value out of an outcome, or throws its error. */
export function unwrap(outcome: CallOutcome): unknown {
  if (outcome.ok) return outcome.value;
  const { failure, operation, retryable } = outcome;
  const cause = fromFailure(failure);
  if (operation !== null) {
    throw new ProviderError(failure.code as ConstructorParameters<typeof ProviderError>[0], {
      operation,
      retryable,
      message: failure.message,
      cause,
    });
  }
  if (failure.code === 'ARGUMENT_INVALID') throw new ArgumentError(failure.message, { cause });
  if (failure.code !== undefined) throw new DurableError(failure.code as ErrorCode, failure.message, { cause });
  throw cause;
}

function withoutSignal(argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null || !('signal' in argument)) return argument;
  const { signal: _, ...rest } = argument;
  return rest;
}
