// Proves from the database that no work was lost and no result recorded twice: counts what the histories of all instances say.
// Reads through the client, as any program could. It knows nothing of the job but that its activities return their attempt.
import { validateHistory, type Client, type HistoryEvent, type InstancePage } from 'duraloom';

/** What the histories say. */
export type Proof = {
  readonly instances: number;
  /** Activities that were scheduled. */
  readonly activities: number;
  /** How often activities were handed to a thread: more than `activities` when kills cut some off. */
  readonly attempts: number;
  /** Activities and sub-orchestrations that were scheduled, but have no recorded result. */
  readonly lost: number;
  /** Recorded results beyond the one for each activity and sub-orchestration, also those that nobody asked for. */
  readonly duplicatedResults: number;
  /** What else is wrong: instances that did not complete, histories that break a rule. */
  readonly faults: readonly string[];
};

/** What is counted in each history. */
export type Counts = Pick<Proof, 'activities' | 'attempts' | 'lost' | 'duplicatedResults'>;

const PAGE = 500;

const RESULTS: ReadonlySet<HistoryEvent['kind']> = new Set([
  'ActivityCompleted',
  'ActivityFailed',
  'SubOrchestrationCompleted',
  'SubOrchestrationFailed',
] as const);

/**
 * Reads all histories of a store and counts.
 *
 * @param client - a client of the store
 * @returns the counts
 */
export async function proveNothingLost(client: Client): Promise<Proof> {
  const proof = { instances: 0, activities: 0, attempts: 0, lost: 0, duplicatedResults: 0, faults: [] as string[] };
  let cursor: string | null = null;
  do {
    const page: InstancePage = await client.listInstances({ limit: PAGE, ...(cursor !== null && { cursor }) });
    cursor = page.cursor;
    for (const { instanceId, executionId, status } of page.instances) {
      proof.instances += 1;
      if (status !== 'Completed') proof.faults.push(`instance ${instanceId} is ${status}`);
      for (let execution = 1; execution <= executionId; execution += 1) {
        const history = await client.readHistory(instanceId, execution);
        const counts = countResults(history);
        proof.activities += counts.activities;
        proof.attempts += counts.attempts;
        proof.lost += counts.lost;
        proof.duplicatedResults += counts.duplicatedResults;
        try {
          validateHistory(history);
        } catch (error) {
          proof.faults.push(`history of ${instanceId}, execution ${execution}: ${String(error)}`);
        }
      }
    }
  } while (cursor !== null);
  return proof;
}

/**
 * Counts in one history.
 *
 * @param history - its events
 * @returns the counts
 */
export function countResults(history: readonly HistoryEvent[]): Counts {
  /** How many results there are for each event that asked for one. */
  const results = new Map<number, number>();
  let activities = 0;
  let attempts = 0;
  let unasked = 0;
  for (const event of history) {
    if (event.kind === 'ActivityScheduled' || event.kind === 'SubOrchestrationScheduled') {
      results.set(event.id, 0);
      if (event.kind === 'ActivityScheduled') activities += 1;
    }
    if (RESULTS.has(event.kind) && 'sourceId' in event) {
      const count = results.get(event.sourceId);
      if (count === undefined) unasked += 1;
      else results.set(event.sourceId, count + 1);
    }
    if (event.kind === 'ActivityCompleted') attempts += (event.result as { readonly attempt: number }).attempt;
  }
  const counts = [...results.values()];
  return {
    activities,
    attempts,
    lost: counts.filter((count) => count === 0).length,
    duplicatedResults: unasked + counts.reduce((sum, count) => sum + Math.max(0, count - 1), 0),
  };
}
