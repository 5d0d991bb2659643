// What must hold when a simulated world has come to rest. Pure, but for the replay. Neighbours: world.ts collects what is looked at,
// observer.ts recorded what was committed.
import { validateHistory } from '../../replay/validate-history.ts';
import { parseRecord } from '../../types/codec.ts';
import type { HistoryEvent } from '../../types/history-event.ts';
import { isEnded, type InstanceRecord } from '../../types/instance.ts';
import { parseHistoryPages } from '../../types/history-text.ts';
import { READ_VALUE_ACTIVITY } from '../../types/names.ts';
import type { QueueDepths } from '../../provider/provider.ts';
import { executionKey, type Committed } from './observer.ts';

/** One execution in the store: its pages, parsed. */
export type StoredExecution = { readonly instanceId: string; readonly executionId: number; readonly pages: readonly string[] };

/** What is left when nothing happens any more. */
export type Rest = {
  readonly instances: readonly InstanceRecord[];
  readonly executions: readonly StoredExecution[];
  readonly depths: QueueDepths;
  readonly committed: Committed;
  /** How often an activity began to run, by execution and name. */
  readonly runs: ReadonlyMap<string, number>;
};

/** An execution whose history is well formed. */
export type ReadExecution = { readonly instanceId: string; readonly executionId: number; readonly events: readonly HistoryEvent[] };

/** Names an activity of an execution in `Rest.runs`. */
export function runKey(instanceId: string, executionId: number, name: string): string {
  return `${executionKey(instanceId, executionId)} ${name}`;
}

/**
 * Checks a world at rest.
 *
 * @param rest - what is left
 * @returns what is wrong, in words; and the histories that could be read
 */
export function checkRest(rest: Rest): { readonly violations: readonly string[]; readonly executions: readonly ReadExecution[] } {
  const violations: string[] = [];
  const { orchestratorMessages, workItems } = rest.depths;
  const living = rest.instances.filter(({ status }) => status !== 'Suspended' && status !== 'Quarantined');
  if (living.length === rest.instances.length && orchestratorMessages + workItems > 0) {
    violations.push(`nothing happens any more, and ${orchestratorMessages} messages and ${workItems} activities are queued`);
  }
  for (const { instanceId, status, output } of rest.instances) {
    if (status === 'Quarantined') violations.push(`${instanceId} is quarantined: ${output ?? ''}`);
  }
  violations.push(...checkLog(rest));
  const executions: ReadExecution[] = [];
  for (const { instanceId, executionId, pages } of rest.executions) {
    try {
      executions.push({ instanceId, executionId, events: validateHistory(parseHistoryPages(pages)) });
    } catch (error) {
      violations.push(`history of ${instanceId}/${executionId}: ${String(error)}`);
    }
  }
  for (const execution of executions) violations.push(...checkExecution(execution, rest));
  return { violations, executions };
}

/** Histories are what was committed, all of it and nothing else: no commit was lost, none was changed later. */
function checkLog({ executions, committed }: Rest): readonly string[] {
  const violations: string[] = [];
  const stored = new Map(executions.map(({ instanceId, executionId, pages }) => [executionKey(instanceId, executionId), pages.join('\n')]));
  for (const [key, pages] of committed.pages) {
    if (stored.get(key) !== pages.join('\n')) violations.push(`the history of execution ${key} is not what was committed to it`);
  }
  for (const { instanceId, executionId, pages } of executions) {
    if (pages.length > 0 && !committed.pages.has(executionKey(instanceId, executionId))) {
      violations.push(`the history of ${instanceId}/${executionId} was never committed`);
    }
  }
  return violations;
}

function checkExecution({ instanceId, executionId, events }: ReadExecution, rest: Rest): readonly string[] {
  const violations: string[] = [];
  const say = (text: string): void => void violations.push(`${instanceId}/${executionId} ${text}`);
  const record = rest.instances.find((instance) => instance.instanceId === instanceId);
  const hasEnded = record === undefined || record.executionId > executionId || isEnded(record.status);
  const names = new Map<number, string>();
  const cancelled = new Set<number>();
  const answers = new Map<number, HistoryEvent>();
  for (const event of events) {
    if (event.kind === 'ActivityScheduled') names.set(event.id, event.name);
    else if (event.kind === 'FutureCancelled') cancelled.add(event.sourceId);
    else if (event.kind === 'ActivityCompleted' || event.kind === 'ActivityFailed') {
      if (answers.has(event.sourceId)) say(`has two results for the activity of event ${event.sourceId}`);
      answers.set(event.sourceId, event);
    }
  }
  const recorded = new Map<string, number>();
  for (const [eventId, name] of names) {
    const answer = answers.get(eventId);
    if (answer === undefined) {
      if (!cancelled.has(eventId) && !hasEnded) say(`waits for activity '${name}' of event ${eventId}, which nobody runs`);
      continue;
    }
    if (name === READ_VALUE_ACTIVITY) continue;
    if (!isExpired(answer)) recorded.set(name, (recorded.get(name) ?? 0) + 1);
    if (!wasAnswered(answer, rest.committed.completions.get(executionKey(instanceId, executionId)) ?? [])) {
      say(`has a result for the activity of event ${eventId} that nobody delivered`);
    }
  }
  for (const [name, count] of recorded) {
    const runs = rest.runs.get(runKey(instanceId, executionId, name)) ?? 0;
    if (runs < count) say(`has ${count} results of activity '${name}', which ran ${runs} times`);
  }
  if (hasEnded && record !== undefined && record.executionId > executionId && events.at(-1)?.kind !== 'OrchestrationContinuedAsNew') {
    say(`is followed by another execution and ends with ${String(events.at(-1)?.kind)}`);
  }
  return violations;
}

/** Given up by the store or the runtime: such an activity may never have run. */
function isExpired(answer: HistoryEvent): boolean {
  return answer.kind === 'ActivityFailed' && (answer.failure.code === 'ACTIVITY_EXPIRED' || answer.failure.code === 'CANCELLED');
}

/** The result in history is one that the store was given for that very activity. */
function wasAnswered(answer: HistoryEvent, completions: readonly string[]): boolean {
  if (answer.kind !== 'ActivityCompleted' && answer.kind !== 'ActivityFailed') return false;
  return completions.some((payload) => {
    const { kind, sourceId } = parseRecord(payload) as { readonly kind: string; readonly sourceId: number };
    return kind === answer.kind && sourceId === answer.sourceId;
  });
}
