// Replays recorded histories against the code of today: the check that a change of an orchestration does not break what is running.
// Neighbours: recorded-history.ts (their form), replayer.ts (how one is replayed), replay-all.ts (many of them).
import { describeParting } from '../replay/history-diff.ts';
import { validateHistory } from '../replay/validate-history.ts';
import { readSource, type DefinitionSource } from '../threads/registry.ts';
import { readArray, readOptions } from '../types/arguments.ts';
import { decodePayload, parseRecord } from '../types/codec.ts';
import { ArgumentError, DurableError, HistoryMismatchError, type ErrorCode } from '../types/errors.ts';
import { fromFailure, type Failure, type RemoteError } from '../types/failure.ts';
import type { ReplayResult } from '../types/replay.ts';
import { show } from '../types/show.ts';
import { readRecorded, type HistoryInput, type RecordedExecution, type RecordedHistory } from './recorded-history.ts';
import { Replayer } from './replayer.ts';

/** How a recorded execution ended. `running`: it has not, it waits for what comes next. */
export type ReplayOutcome =
  | { readonly kind: 'running' }
  | { readonly kind: 'completed'; readonly result: unknown }
  | { readonly kind: 'failed' | 'cancelled'; readonly error: RemoteError }
  | { readonly kind: 'continuedAsNew' };

/** One execution that the code followed from its first event to its last. */
export type ReplayedExecution = {
  readonly executionId: number;
  readonly version: string;
  readonly events: number;
  readonly outcome: ReplayOutcome;
};

/** An instance that the code followed. */
export type ReplayedHistory = {
  readonly instanceId: string;
  readonly name: string;
  readonly version: string;
  /** How many events were replayed, in all executions. */
  readonly events: number;
  readonly executions: readonly ReplayedExecution[];
  /** Of the last execution. */
  readonly outcome: ReplayOutcome;
};

/** One or many modules or definitions, as for `Runtime.start`. */
export type ReplaySources = DefinitionSource | readonly DefinitionSource[];

/** Options of `replayHistory`. */
export type ReplayOptions = {
  /**
   * Whose history it is, when only its events are given: random numbers, UUIDs and ids of children follow from it. @default 'replayed'
   */
  readonly instanceId?: string;
};

/**
 * Replays a recorded history against code, in this thread, as production does after a restart: nothing outside happens, no activity runs.
 * Each version must be among the orchestrations that are given. May be called at any time, also many at once; needs no runtime.
 *
 * @param history - from `exportHistory` (or its JSON text), or the events of one execution from its first one; running or ended
 * @param orchestrations - modules (URL or absolute path) or definitions
 * @param options - `instanceId`, when only events are given
 * @returns how many events were followed, and how each execution ended
 * @throws {HistoryMismatchError} `NONDETERMINISM`: the code decides something else; `diff` shows both sides and the events around them
 * @throws {HistoryError} when the history is damaged or none
 * @throws {DurableError} `ORCHESTRATION_NOT_REGISTERED` when its name or version is not among the orchestrations
 * @throws {DefinitionError} when a module cannot be loaded
 */
export async function replayHistory(
  history: HistoryInput,
  orchestrations: ReplaySources,
  options?: ReplayOptions,
): Promise<ReplayedHistory> {
  const { instanceId } = readOptions(options, 'the options of a replay', { instanceId: true });
  const recorded = readRecorded(history, instanceId);
  const replayer = await Replayer.open(toList(orchestrations));
  try {
    return await replayRecorded(replayer, recorded);
  } finally {
    replayer.close();
  }
}

/**
 * Replays a history with a replayer that is open already.
 *
 * @param replayer - with the code
 * @param recorded - the history
 * @returns as `replayHistory`, with its errors
 */
export async function replayRecorded(replayer: Replayer, recorded: RecordedHistory): Promise<ReplayedHistory> {
  const { instanceId, name, version } = recorded;
  const executions: ReplayedExecution[] = [];
  for (const execution of recorded.executions) {
    const result = await replayer.replay(instanceId, execution);
    const outcome = toOutcome(instanceId, execution, result);
    executions.push({ executionId: execution.executionId, version: result.version, events: execution.events.length, outcome });
  }
  const events = executions.reduce((sum, execution) => sum + execution.events, 0);
  return { instanceId, name, version, events, executions, outcome: executions.at(-1)?.outcome ?? { kind: 'running' } };
}

/**
 * One or many.
 *
 * @throws {ArgumentError} for what is none
 */
export function toList(sources: ReplaySources): readonly DefinitionSource[] {
  return (readArray(sources) ?? [sources]).map((given) => {
    const source = readSource(given);
    if (source === null) throw new ArgumentError(`Expected orchestrations to be module URLs or definitions, got ${show(given)}`);
    return source;
  });
}

function toOutcome(instanceId: string, { executionId, events }: RecordedExecution, { outcome }: ReplayResult): ReplayOutcome {
  switch (outcome.kind) {
    case 'waiting':
      return { kind: 'running' };
    case 'completed':
      return { kind: 'completed', result: decodePayload(outcome.result) };
    case 'failed':
    case 'cancelled':
      return { kind: outcome.kind, error: fromFailure(parseRecord(outcome.failure) as Failure) };
    case 'continuedAsNew':
      return { kind: 'continuedAsNew' };
    case 'notRegistered':
    case 'faulted': {
      const failure = parseRecord(outcome.failure) as Failure;
      if (failure.nondeterminism !== undefined) {
        const details = { instanceId, executionId, ...describeParting(events, failure.nondeterminism) };
        throw new HistoryMismatchError(failure.message, details);
      }
      // Throws the error with its class and event, when it is the history that is at fault.
      validateHistory(events);
      throw new DurableError((failure.code ?? 'INVARIANT_BROKEN') as ErrorCode, failure.message, { cause: fromFailure(failure) });
    }
  }
}
