// What must hold in the store after whatever happened: checked on the store itself, from another process than the one that died.
// Neighbours: workload.ts knows the results; every mode asks this in the end, `kill` also after each round.
import Database from 'better-sqlite3';
import { validateHistory } from 'duraloom';
import type { Client, HistoryEvent, InstancePage, InstanceState, InstanceStatus, Provider } from 'duraloom';
import { expectedResult, parseJob } from './workload.ts';

/** What was counted on the way. */
export type Census = { instances: number; completed: number; events: number; activities: number };

/** What the checks need to know. */
export type CheckOptions = {
  /** Ids whose start was acknowledged: all must be there. */
  readonly acknowledged: Iterable<string>;
  /** Ids of which a client was told that they have ended: none may run again. */
  readonly ended?: ReadonlySet<string>;
  /** Instances whose histories need no second look; filled with those that have ended well. @default none */
  readonly settled?: Set<string>;
  /** True when everything must have ended: nothing may be queued any more either. */
  readonly final: boolean;
  /** Reads the histories of one in this many instances only. @default 1 */
  readonly sampleEvery?: number;
};

/** No job ends in these or stays in them: none fails, none is cancelled, and `maxAttempts` is out of reach. */
const WRONG: ReadonlySet<InstanceStatus> = new Set(['Failed', 'Cancelled', 'Terminated', 'Suspended', 'Quarantined']);

const PAGE = 1000;

/**
 * Checks a store.
 *
 * @param provider - an open one
 * @param client - on it
 * @param options - what must be there
 * @returns what is wrong, in words, and the counts of this look
 */
export async function checkInvariants(
  provider: Provider,
  client: Client,
  { acknowledged, ended = new Set(), settled = new Set(), final, sampleEvery = 1 }: CheckOptions,
): Promise<{ readonly violations: readonly string[]; readonly census: Census }> {
  const violations: string[] = [];
  const census: Census = { instances: 0, completed: 0, events: 0, activities: 0 };
  const seen = new Set<string>();
  for await (const instance of listAll(client)) {
    seen.add(instance.instanceId);
    census.instances += 1;
    if (instance.status === 'Completed') census.completed += 1;
    violations.push(...checkState(instance, final));
    if (ended.has(instance.instanceId) && instance.status !== 'Completed')
      violations.push(`${instance.instanceId} had ended and runs again`);
    if (settled.has(instance.instanceId) || census.instances % sampleEvery !== 0) continue;
    const wrong = await checkHistories(client, instance, census);
    violations.push(...wrong);
    if (wrong.length === 0 && instance.status === 'Completed') settled.add(instance.instanceId);
  }
  for (const instanceId of acknowledged) if (!seen.has(instanceId)) violations.push(`${instanceId} was acknowledged and is lost`);
  if (final) {
    const depths = await provider.readQueueDepths();
    if (depths.orchestratorMessages + depths.workItems > 0) violations.push(`the queues are not empty: ${JSON.stringify(depths)}`);
  }
  return { violations, census };
}

/** What SQLite itself finds wrong with the pages and indexes of a file. */
export function checkFile(file: string): readonly string[] {
  const database = new Database(file, { readonly: true });
  try {
    const found = database.prepare('PRAGMA integrity_check').pluck().all() as readonly string[];
    return found.filter((text) => text !== 'ok').map((text) => `the file is damaged: ${text}`);
  } catch (error) {
    return [`the file is damaged: ${String(error)}`];
  } finally {
    database.close();
  }
}

/** All instances of a store. */
export async function* listAll(client: Client): AsyncGenerator<InstanceState> {
  let cursor: string | null = null;
  do {
    const page: InstancePage = await client.listInstances({ limit: PAGE, ...(cursor !== null && { cursor }) });
    yield* page.instances;
    cursor = page.cursor;
  } while (cursor !== null);
}

function checkState({ instanceId, status, error, result }: InstanceState, final: boolean): readonly string[] {
  if (WRONG.has(status)) return [`${instanceId} is ${status}: ${error?.message ?? ''}`];
  if (status !== 'Completed') return final ? [`${instanceId} is ${status} and will not end`] : [];
  const job = parseJob(instanceId);
  if (job === null || result === expectedResult(job)) return [];
  return [`${instanceId} returned ${String(result)}, expected ${expectedResult(job)}`];
}

async function checkHistories(client: Client, instance: InstanceState, census: Census): Promise<readonly string[]> {
  const { instanceId, executionId: current, status } = instance;
  const violations: string[] = [];
  for (let executionId = 1; executionId <= current; executionId += 1) {
    const events = await client.readHistory(instanceId, executionId);
    const isOver = executionId < current || status === 'Completed';
    // An execution has no history before its first turn.
    if (events.length === 0 && !isOver) continue;
    census.events += events.length;
    try {
      // Rejects a second completion of a decision, gaps, and everything else that a torn commit could leave.
      violations.push(...checkHistory(validateHistory(events), isOver, census).map((text) => `${instanceId}/${executionId} ${text}`));
    } catch (error) {
      violations.push(`${instanceId}/${executionId}: ${String(error)}`);
    }
  }
  return violations;
}

function checkHistory(events: readonly HistoryEvent[], isOver: boolean, census: Census): readonly string[] {
  const answers = new Map<number, number>();
  const cancelled = new Set<number>();
  for (const event of events) {
    if (event.kind === 'FutureCancelled') cancelled.add(event.sourceId);
    if (event.kind !== 'ActivityCompleted' && event.kind !== 'ActivityFailed') continue;
    census.activities += 1;
    answers.set(event.sourceId, (answers.get(event.sourceId) ?? 0) + 1);
  }
  const violations: string[] = [];
  for (const [sourceId, count] of answers) if (count > 1) violations.push(`has ${count} results for the activity of event ${sourceId}`);
  if (!isOver) return violations;
  const last = events.at(-1)?.kind;
  if (last !== 'OrchestrationCompleted' && last !== 'OrchestrationContinuedAsNew') violations.push(`is over and ends with ${last}`);
  for (const { kind, id } of events) {
    if (kind === 'ActivityScheduled' && !answers.has(id) && !cancelled.has(id))
      violations.push(`has no result for the activity of event ${id}`);
  }
  return violations;
}
