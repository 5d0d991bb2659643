// The control plane: rare calls to a thread, by Comlink on a port of its own, so that they never wait behind a batch of work.
import { expose, releaseProxy, wrap, type Endpoint } from 'comlink';
import nodeAdapter from 'comlink/dist/umd/node-adapter.js';
import type { MessagePort } from 'node:worker_threads';
import { DefinitionError, DurableError, type ErrorCode } from '../types/errors.ts';
import { fromFailure, toFailure, type Failure } from '../types/failure.ts';
import type { RegisteredName, ThreadSource } from './registry.ts';
import type { VersionPolicy } from './versions.ts';

/** The adapter is a CommonJS module whose types describe its ES twin: at run time the default import is the function itself. */
export const nodeEndpoint = nodeAdapter as unknown as (port: MessagePort) => Endpoint;

/** Outcome of loading modules: errors travel as data, structured clone would drop their class and code. */
export type LoadResult =
  | {
      readonly ok: true;
      readonly names: readonly RegisteredName[];
      readonly drain: string;
      /** Node's number of the thread that has loaded them. */
      readonly threadId: number;
    }
  | { readonly ok: false; readonly failure: Failure };

/** What every thread answers. */
export interface ThreadControl {
  /** Loads modules; once, before the first batch. */
  load(sources: readonly ThreadSource[], policy: VersionPolicy): Promise<LoadResult>;
}

/** What a replay thread answers. */
export interface ReplayControl extends ThreadControl {
  /** Forgets live engines: their last turn was not committed. */
  evict(instanceIds: readonly string[]): Promise<void>;
}

/** An activity of a session that had received messages, and was answered for. False: the answer was not recorded, and it runs again somewhere. */
export type ReceiverEnd = { readonly seq: number; readonly sessionId: string; readonly isRecorded: boolean };

/** What an activity thread answers. */
export interface ActivityControl extends ThreadControl {
  /** Aborts running activities and skips queued ones. */
  cancel(seqs: readonly number[]): Promise<void>;
  /** Gives back the activities that have not started: they are not answered. */
  takeBack(): Promise<readonly number[]>;
  /** Changes how many activities run at once. Those that run go on. */
  setSlots(slots: number): Promise<void>;
  /** Tells what became of the answers of activities that had received messages. */
  settle(ends: readonly ReceiverEnd[]): Promise<void>;
}

/**
 * Serves control calls in a thread.
 *
 * @param control - the implementation
 * @param port - the thread's end of the control port
 */
export function serveControl(control: ThreadControl, port: MessagePort): void {
  expose(control, nodeEndpoint(port));
}

/**
 * Calls the control of a thread.
 *
 * @param port - main's end of the control port
 * @returns the proxy, and a function that releases it and closes the port
 */
export function callControl<Control extends ThreadControl>(port: MessagePort): { readonly control: Control; readonly release: () => void } {
  const proxy = wrap<ThreadControl>(nodeEndpoint(port));
  return {
    // Comlink's mapped type adds nothing here: every method returns a promise already.
    control: proxy as unknown as Control,
    release: () => {
      proxy[releaseProxy]();
      port.close();
    },
  };
}

/**
 * Runs a load and turns its failure into data.
 *
 * @param load - what to run; its result describes the registry
 * @returns the outcome
 */
export async function asLoadResult(load: () => Promise<Omit<Extract<LoadResult, { ok: true }>, 'ok'>>): Promise<LoadResult> {
  try {
    return { ok: true, ...(await load()) };
  } catch (error) {
    return { ok: false, failure: toFailure(error) };
  }
}

/**
 * Rebuilds the typed error of a failed load.
 *
 * @param failure - from the thread
 * @returns the error to throw
 */
export function toLoadError(failure: Failure): DurableError {
  const cause = failure.cause === undefined ? undefined : { cause: fromFailure(failure.cause) };
  const code = failure.code as ErrorCode | undefined;
  if (code === 'MODULE_NOT_LOADED' || code === 'DEFINITION_DUPLICATE' || code === 'DEFINITION_INVALID') {
    return new DefinitionError(code, failure.message, cause);
  }
  return new DurableError('MODULE_NOT_LOADED', `a thread could not start: ${failure.message}`, { cause: fromFailure(failure) });
}
