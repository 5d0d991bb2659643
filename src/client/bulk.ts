// The same wish for many instances, by filter. Neighbours: client.ts shows it, removal.ts and requests.ts say what is asked for each.
//
// Goes through the store a page at a time, in the order of starts, and acts on a small batch at a time: turns and activities go on in between.
import { readOptions, type FieldNames } from '../types/arguments.ts';
import type { Clock } from '../types/clock.ts';
import { ArgumentError, DurableError } from '../types/errors.ts';
import { isEnded, type InstanceRecord } from '../types/instance.ts';
import { show } from '../types/show.ts';
import type { ClientStore } from './client-store.ts';
import { toFilter, type InstanceFilterOptions } from './filter.ts';
import { assertSignal, eachPage } from './listing.ts';
import { refusal, retryInstance } from './removal.ts';
import { toCancel, toTerminate } from './requests.ts';

/** What can be done to many instances at once. */
export type BulkAction = 'cancel' | 'terminate' | 'suspend' | 'resume' | 'retry' | 'delete';

/** Options of a bulk call. */
export type BulkOptions = {
  /** Only counts what would be done. @default false */
  readonly dryRun?: boolean;
  /** For `delete`: living ones, too. @default false */
  readonly force?: boolean;
  /** For `cancel` and `terminate`, for the record. */
  readonly reason?: string;
  /** Most instances to act on. @default all */
  readonly limit?: number;
  /** Called after each batch. */
  readonly onProgress?: (progress: BulkProgress) => void;
  /** Ends it after the batch that is under way. */
  readonly signal?: AbortSignal;
};

/** How far a bulk call is. */
export type BulkProgress = {
  /** Instances that the filter meets, as far as they were looked at. */
  readonly matched: number;
  /** With `dryRun`: how many would be done. */
  readonly done: number;
  /** What cannot be done to them as they are, such as cancelling what has ended, also since it was looked at. */
  readonly skipped: number;
  readonly failed: number;
};

/** What became of a bulk call. */
export type BulkResult = BulkProgress & {
  readonly action: BulkAction;
  readonly dryRun: boolean;
  /** The first 100 that failed. */
  readonly failures: readonly { readonly instanceId: string; readonly code: string; readonly message: string }[];
  /** The first 100 that were done, or would be. */
  readonly sample: readonly string[];
};

/** How many at a time. Reason: a batch is one transaction, and the store is for turns first. */
const BATCH = 100;
/** How many ids and failures are told. */
const MAX_TOLD = 100;
const BULK_OPTIONS: FieldNames<BulkOptions> = { dryRun: true, force: true, reason: true, limit: true, onProgress: true, signal: true };

/** Outcome for one instance: null: done; `skipped`: it has ended, or is gone, since it was looked at. */
type Outcome = DurableError | 'skipped' | null;

/**
 * Does something to all instances of a filter.
 *
 * @param store - the store
 * @param action - what
 * @param filter - to which
 * @param options - how
 * @param clock - as for `eachPage`
 * @returns what became of it
 * @throws {ArgumentError} for an unknown action, a bad filter or option
 */
export async function bulk(
  store: ClientStore,
  action: BulkAction,
  filter: InstanceFilterOptions,
  options: BulkOptions | undefined,
  clock: Clock,
): Promise<BulkResult> {
  const given = readOptions(options, 'the options of a bulk call', BULK_OPTIONS);
  const { dryRun = false, force = false, reason = `${action} by a client`, limit = Number.POSITIVE_INFINITY, onProgress, signal } = given;
  const act = actionOf(store, action, { force, reason });
  if (!(limit === Number.POSITIVE_INFINITY || (Number.isSafeInteger(limit) && limit >= 1))) {
    throw new ArgumentError(`Expected \`limit\` to be a whole number from 1, got ${show(limit)}`);
  }
  assertSignal(signal);
  const isStopped = (): boolean => signal?.aborted === true;
  const counts = { matched: 0, done: 0, skipped: 0, failed: 0 };
  const failures: BulkResult['failures'][number][] = [];
  const sample: string[] = [];
  // What is started anew comes last in the order of starts: it would be met again.
  const seen = new Set<string>();
  for await (const page of eachPage(store, toFilter(filter), clock)) {
    // Also between pages that have nothing.
    if (isStopped()) break;
    for (let first = 0; first < page.length; first += BATCH) {
      const room = limit - counts.done - counts.failed;
      if (room <= 0 || isStopped()) return { ...counts, action, dryRun, failures, sample };
      const batch = page.slice(first, first + BATCH).filter(({ instanceId }) => action !== 'retry' || !seen.has(instanceId));
      const fitting = batch.filter((record) => fits(action, record, force)).slice(0, room);
      if (action === 'retry') for (const { instanceId } of fitting) seen.add(instanceId);
      const outcomes = dryRun ? fitting.map(() => null) : await act(fitting);
      counts.matched += batch.length;
      counts.skipped += batch.length - fitting.length;
      for (const [index, { instanceId }] of fitting.entries()) {
        const outcome = outcomes[index] ?? null;
        if (outcome === 'skipped') counts.skipped += 1;
        else if (outcome === null) {
          counts.done += 1;
          if (sample.length < MAX_TOLD) sample.push(instanceId);
        } else {
          counts.failed += 1;
          if (failures.length < MAX_TOLD) failures.push({ instanceId, code: outcome.code, message: outcome.message });
        }
      }
      onProgress?.({ ...counts });
    }
  }
  return { ...counts, action, dryRun, failures, sample };
}

function fits(action: BulkAction, { status }: InstanceRecord, force: boolean): boolean {
  switch (action) {
    case 'cancel':
    case 'terminate':
      return !isEnded(status);
    case 'suspend':
      return status === 'Pending' || status === 'Running';
    case 'resume':
      return status === 'Suspended' || status === 'Quarantined';
    case 'retry':
      return status === 'Quarantined' || (isEnded(status) && status !== 'Completed');
    case 'delete':
      return force || isEnded(status);
  }
}

function actionOf(
  store: ClientStore,
  action: BulkAction,
  { force, reason }: { readonly force: boolean; readonly reason: string },
): (records: readonly InstanceRecord[]) => Promise<readonly Outcome[]> {
  switch (action) {
    case 'cancel':
      return async (records) => {
        const outcomes = await store.enqueueMessages(records.map(({ instanceId }) => toCancel(instanceId, reason)));
        return outcomes.map(toOutcome);
      };
    case 'terminate':
      return async (records) => {
        const outcomes = await store.controlInstances(records.map((record) => toTerminate(record, reason)));
        return outcomes.map(toOutcome);
      };
    case 'suspend':
    case 'resume':
      return async (records) => {
        const outcomes = await store.controlInstances(records.map(({ instanceId }) => ({ kind: action, instanceId })));
        return outcomes.map(toOutcome);
      };
    case 'retry':
      return async (records) => {
        const outcomes: Outcome[] = [];
        for (const record of records) outcomes.push(await retryOne(store, record));
        return outcomes;
      };
    case 'delete':
      return async (records) => {
        const outcomes = await store.deleteInstances(
          // Not one that has the id of one that ended.
          records.map(({ instanceId, endedAtMs }) => ({ instanceId, isForced: force, ...(endedAtMs !== null && { endedAtMs }) })),
        );
        return records.map(({ instanceId }, index) => {
          const kind = outcomes[index]?.kind ?? 'notFound';
          // Gone with its parent, which was deleted before it.
          return kind === 'deleted' || kind === 'notFound' ? null : refusal(instanceId, kind);
        });
      };
    default:
      throw new ArgumentError(`Expected action to be cancel, terminate, suspend, resume, retry or delete, got ${show(action)}`);
  }
}

async function retryOne(store: ClientStore, record: InstanceRecord): Promise<Outcome> {
  try {
    await retryInstance(store, record);
    return null;
  } catch (error) {
    // What failed for one is told with the others; a store that fails ends it.
    if (error instanceof DurableError && error.code.startsWith('INSTANCE_')) return error;
    throw error;
  }
}

function toOutcome(outcome: string | undefined): Outcome {
  return outcome === 'notFound' || outcome === 'ended' ? 'skipped' : null;
}
