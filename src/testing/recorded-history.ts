// Recorded histories: how one is taken out of a store, and the forms in which it comes back. Neighbour: replay-history.ts replays them.
import type { Client } from '../client/client.ts';
import { notFound } from '../client/instance-state.ts';
import { parseRecord } from '../types/codec.ts';
import { ArgumentError, DurableError, HistoryError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import { ENGINE_BEHAVIOUR, type HistoryEvent } from '../types/history-event.ts';
import { MAX_INSTANCE_ID_LENGTH } from '../types/limits.ts';
import { assertText } from '../types/names.ts';
import { show } from '../types/show.ts';

/** What `RecordedHistory.format` says. Reason: a file must tell what it is years later. */
const FORMAT = 'duraloom-history-1';

/** One execution as it was recorded. */
export type RecordedExecution = { readonly executionId: number; readonly events: readonly HistoryEvent[] };

/** Everything that is needed to replay an instance. Plain data: keep it as JSON. */
export type RecordedHistory = {
  readonly format: typeof FORMAT;
  /** Behaviour of the engine that exported it; each execution says in its first event which one it began with. */
  readonly engine: number;
  readonly instanceId: string;
  readonly name: string;
  /** Version of the code of the last execution. */
  readonly version: string;
  /** All executions that the store still has, oldest first. */
  readonly executions: readonly RecordedExecution[];
};

/** A recorded history: from `exportHistory`, as JSON text of it, or the events of one execution. */
export type HistoryInput = RecordedHistory | readonly HistoryEvent[] | string;

/**
 * Takes the history of an instance out of the store: all executions, each from its first event. The instance may be running.
 *
 * @param client - of the store
 * @param instanceId - id of the instance
 * @returns plain data for `replayHistory`; `JSON.stringify` it to keep it in a file
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 * @throws {HistoryError} when it has no history yet, because it has not had its first turn
 */
export async function exportHistory(client: Pick<Client, 'getState' | 'readHistory'>, instanceId: string): Promise<RecordedHistory> {
  const state = await client.getState(instanceId);
  if (state === null) throw notFound(instanceId);
  const executions: RecordedExecution[] = [];
  for (let executionId = 1; executionId <= state.executionId; executionId += 1) {
    const events = await client.readHistory(instanceId, executionId);
    if (events.length > 0) executions.push({ executionId, events });
  }
  return recordedHistory(instanceId, executions);
}

/**
 * Brings whatever form a history has into one.
 *
 * @param input - a history
 * @param instanceId - whose it is, for a list of events, which does not say
 * @returns the history; its events are unchecked
 * @throws {HistoryError} when it is none
 * @throws {ArgumentError} when the id does not fit
 */
export function readRecorded(input: HistoryInput, instanceId: string | undefined): RecordedHistory {
  if (instanceId !== undefined) assertText(instanceId, 'instanceId', MAX_INSTANCE_ID_LENGTH);
  try {
    return read(input, instanceId);
  } catch (error) {
    throw error instanceof DurableError ? error : new HistoryError(0, `it cannot be read: ${toFailure(error).message}`);
  }
}

function read(input: HistoryInput, instanceId: string | undefined): RecordedHistory {
  const given = typeof input === 'string' ? parse(input) : input;
  if (Array.isArray(given)) return fromEvents(given as readonly HistoryEvent[], instanceId);
  const history = (given ?? {}) as Partial<RecordedHistory>;
  if (history.format !== FORMAT) {
    throw new HistoryError(0, `its format is ${show(history.format)}, expected '${FORMAT}': give what exportHistory returned`);
  }
  if (typeof history.instanceId !== 'string' || !Array.isArray(history.executions) || history.executions.length === 0) {
    throw new HistoryError(0, 'it has no instanceId or no executions');
  }
  for (const execution of history.executions as readonly unknown[]) {
    const { events, executionId } = (execution ?? {}) as Partial<RecordedExecution>;
    if (!Array.isArray(events)) throw new HistoryError(0, 'an execution has no events');
    if (!Number.isSafeInteger(executionId)) throw new HistoryError(0, `an execution has the number ${show(executionId)}`);
  }
  if (instanceId !== undefined && instanceId !== history.instanceId) {
    throw new ArgumentError(`Expected instanceId to be that of the history ('${history.instanceId}') or left out, got '${instanceId}'`);
  }
  return history as RecordedHistory;
}

function parse(text: string): unknown {
  try {
    return parseRecord(text);
  } catch {
    throw new HistoryError(0, 'it is no JSON');
  }
}

function fromEvents(events: readonly HistoryEvent[], instanceId: string | undefined): RecordedHistory {
  const first = events[0];
  // Another one is found when the events are checked.
  const executionId = first?.kind === 'OrchestrationStarted' && Number.isSafeInteger(first.executionId) ? first.executionId : 1;
  return recordedHistory(instanceId ?? 'replayed', [{ executionId, events }]);
}

/**
 * Makes a recorded history.
 *
 * @param instanceId - id of the instance
 * @param executions - at least one, oldest first
 * @returns the history
 * @throws {HistoryError} when the last one does not begin with its start
 */
export function recordedHistory(instanceId: string, executions: readonly RecordedExecution[]): RecordedHistory {
  const start = executions.at(-1)?.events[0];
  if (start?.kind !== 'OrchestrationStarted') throw new HistoryError(0, 'it does not begin with OrchestrationStarted');
  return { format: FORMAT, engine: ENGINE_BEHAVIOUR, instanceId, name: start.name, version: start.version, executions };
}
