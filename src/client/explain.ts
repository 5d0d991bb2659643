// Why an instance does not go on: what it waits for, since when, and whether anybody can answer. Neighbours: client.ts shows it,
// replay/open-decisions.ts reads the history, provider/management.ts has the queues.
//
// Everything is read one after the other while the instance may run: what is told was so a moment ago.
import type { QueueItem } from '../provider/management.ts';
import type { WorkItemRecord } from '../provider/provider.ts';
import { openDecisions, type OpenDecision } from '../replay/open-decisions.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { parseHistoryPages } from '../types/history-text.ts';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../types/instance.ts';
import type { ClientStore } from './client-store.ts';
import { notFound, toListedState } from './instance-state.ts';
import { toRuntimeInfo, type RuntimeInfo, type RuntimeTags } from './runtime-info.ts';
import { StoredReader } from './stored-reader.ts';

/** One thing that an instance waits for. `problem`: why it cannot come as things are, and what to do; null: nothing stands in its way. */
export type Wait = { readonly problem: string | null } & (
  | {
      /** Its next turn: messages are queued for it, or it has not begun. */
      readonly kind: 'turn';
      /** When it is due; null: as soon as somebody takes it. */
      readonly dueAt: Date | null;
      readonly messages: number;
      /** True while a runtime has it. */
      readonly isLocked: boolean;
      /** How often its oldest message was handed out. */
      readonly attempt: number;
      /** Living runtimes that have its code. */
      readonly runtimes: readonly string[];
    }
  | {
      readonly kind: 'activity';
      readonly eventId: number;
      readonly name: string;
      readonly since: Date;
      /** `missing`: its queue has it no more, and its completion has not come: it is on its way, or was removed by hand. */
      readonly state: 'queued' | 'running' | 'delayed' | 'missing';
      /** How often it was handed out. */
      readonly attempt: number;
      /** When it is due; of a running one when its lease ends, unless it is renewed; null: it is missing. */
      readonly dueAt: Date | null;
      readonly tag: string | null;
      readonly sessionId: string | null;
      readonly limitKey: string | null;
      /** Details of its last heartbeat; undefined: none. */
      readonly heartbeat: unknown;
      /** Living runtimes that take it. */
      readonly runtimes: readonly string[];
    }
  | { readonly kind: 'timer'; readonly eventId: number; readonly since: Date; readonly dueAt: Date }
  | { readonly kind: 'event'; readonly eventId: number; readonly since: Date; readonly name: string }
  | { readonly kind: 'topic'; readonly eventId: number; readonly since: Date; readonly pattern: string }
  | {
      readonly kind: 'child';
      readonly eventId: number;
      readonly since: Date;
      readonly instanceId: string;
      readonly name: string;
      /** null: there is no such instance. */
      readonly status: InstanceStatus | null;
    }
  | {
      /** Somebody has to decide: it is suspended or quarantined. */
      readonly kind: 'operator';
      readonly since: Date;
      readonly reason: string;
    }
);

/** What an instance waits for. */
export type WaitingExplanation = {
  readonly instanceId: string;
  readonly status: InstanceStatus;
  readonly executionId: number;
  /** One sentence for people. */
  readonly summary: string;
  readonly waits: readonly Wait[];
};

/** Messages that are looked at. Reason: the first ones say why the others wait. */
const PEEKED = 100;
/** A timer that is this late shows that nobody runs the instance, in milliseconds. Reason: clocks differ, and turns wait for each other. */
const LATE_MS = 5_000;

/**
 * Finds out what an instance waits for.
 *
 * @param store - the store
 * @param instanceId - which
 * @param nowMs - the time, epoch milliseconds
 * @returns what it waits for; nothing when it has ended
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 * @throws {HistoryError} when its history is no JSON
 */
export async function explainWaiting(store: ClientStore, instanceId: string, nowMs: number): Promise<WaitingExplanation> {
  const [record] = await store.readInstances([instanceId]);
  if (record === undefined || record === null) throw notFound(instanceId);
  const { status, executionId } = record;
  if (isEnded(status)) return { instanceId, status, executionId, summary: `It has ended: ${status}.`, waits: [] };
  const [[pages = []], messages, items, reports] = await Promise.all([
    store.readHistory([{ instanceId, executionId, afterEventId: 0 }]),
    store.peekQueue({ queue: 'orchestrator', instanceId, after: null, limit: PEEKED }),
    store.readWorkItems(instanceId),
    store.listRuntimes(),
  ]);
  const history = parseHistoryPages(pages.map(({ events }) => events)) as readonly HistoryEvent[];
  const situation = { record, nowMs, items, runtimes: reports.map((report) => toRuntimeInfo(report)) };
  const decisions = openDecisions(history);
  const children = decisions.filter((decision) => decision.kind === 'child');
  const childRecords = children.length === 0 ? [] : await store.readInstances(children.map((child) => child.instanceId));
  const statuses = new Map(children.map((child, index) => [child.instanceId, childRecords[index]?.status ?? null]));
  const waits = [
    ...operatorWaits(record),
    ...turnWaits(situation, messages),
    ...decisions.map((decision) => toWait(decision, situation, statuses)),
  ];
  return { instanceId, status, executionId, summary: summarise(record, waits, messages.length > 0), waits };
}

type Situation = {
  readonly record: InstanceRecord;
  readonly nowMs: number;
  readonly items: readonly WorkItemRecord[];
  readonly runtimes: readonly RuntimeInfo[];
};

function operatorWaits(record: InstanceRecord): readonly Wait[] {
  if (record.status !== 'Suspended' && record.status !== 'Quarantined') return [];
  const isSuspended = record.status === 'Suspended';
  const reason = isSuspended ? 'it was suspended' : (toListedState(record).error?.message ?? 'it failed too often');
  const problem = isSuspended
    ? 'nothing of it runs until it is resumed'
    : 'nothing of it runs until its cause is mended and it is resumed, or it is terminated';
  return [{ kind: 'operator', since: new Date(record.updatedAtMs), reason, problem }];
}

function turnWaits({ record, nowMs, runtimes }: Situation, messages: readonly QueueItem[]): readonly Wait[] {
  const due = messages.filter((item) => item.kind === 'message').filter((item) => item.visibleAtMs <= nowMs);
  const [first] = due;
  if (first === undefined || record.status === 'Suspended' || record.status === 'Quarantined') return [];
  const able = runtimes.filter((runtime) => hasCode(runtime, record)).map(({ runtimeId }) => runtimeId);
  const isLocked = first.lockedUntilMs !== null;
  const { name, version } = record;
  const code = `'${name}'${version === null ? '' : ` ${version}`}`;
  const problem =
    able.length === 0 && !isLocked
      ? `no living runtime on this store has ${code}: start one, or register it there (client.listRuntimes() tells what there is)`
      : first.attempt > 1
        ? `its turn was handed out ${first.attempt} times without being recorded: look at the logs of the runtimes`
        : null;
  const dueAt = first.timerEventId === null ? null : new Date(first.visibleAtMs);
  return [{ kind: 'turn', dueAt, messages: due.length, isLocked, attempt: first.attempt, runtimes: able, problem }];
}

function toWait(decision: OpenDecision, situation: Situation, statuses: ReadonlyMap<string, InstanceStatus | null>): Wait {
  const { eventId } = decision;
  const since = new Date(decision.sinceMs);
  switch (decision.kind) {
    case 'activity':
      return toActivityWait(decision, situation);
    case 'timer': {
      const isLate = decision.fireAtMs < situation.nowMs - LATE_MS;
      const problem = isLate ? 'it is due: the next turn of the instance will see it' : null;
      return { kind: 'timer', eventId, since, dueAt: new Date(decision.fireAtMs), problem };
    }
    case 'event':
      return { kind: 'event', eventId, since, name: decision.name, problem: null };
    case 'topic':
      return { kind: 'topic', eventId, since, pattern: decision.pattern, problem: null };
    case 'child': {
      const { instanceId, name } = decision;
      const status = statuses.get(instanceId) ?? null;
      return { kind: 'child', eventId, since, instanceId, name, status, problem: childProblem(instanceId, status) };
    }
  }
}

function toActivityWait(
  { eventId, name, sinceMs, tag, sessionId }: Extract<OpenDecision, { kind: 'activity' }>,
  { record, nowMs, items, runtimes }: Situation,
): Wait {
  const item = items.find((other) => other.eventId === eventId && other.executionId === record.executionId);
  const able = runtimes.filter((runtime) => takes(runtime, name, item?.tag ?? tag)).map(({ runtimeId }) => runtimeId);
  const common = { kind: 'activity', eventId, name, since: new Date(sinceMs), tag: item?.tag ?? tag, sessionId, runtimes: able } as const;
  if (item === undefined) {
    const problem =
      nowMs - sinceMs > LATE_MS ? 'it is in no queue any more: its completion is on its way, or it was removed by hand' : null;
    return { ...common, state: 'missing', attempt: 0, dueAt: null, limitKey: null, heartbeat: undefined, problem };
  }
  const { attempt, isRunning, visibleAtMs, limitKey } = item;
  const state = isRunning ? 'running' : visibleAtMs > nowMs ? 'delayed' : 'queued';
  const taken = common.tag === null ? 'the default queue' : `tag '${common.tag}'`;
  const stored = new StoredReader();
  const heartbeat = stored.read(item.heartbeat, `heartbeat of activity '${name}' of instance '${record.instanceId}'`);
  const problem =
    able.length === 0 && !isRunning
      ? `no living runtime takes '${name}' from ${taken}: start one that has it${common.tag === null ? '' : `, with tags: { only: ['${common.tag}'] }`}`
      : stored.damage;
  return { ...common, state, attempt, dueAt: new Date(visibleAtMs), limitKey, heartbeat, problem };
}

function childProblem(instanceId: string, status: InstanceStatus | null): string | null {
  switch (status) {
    case null:
      return 'there is no such instance: it is about to be started, or was deleted';
    case 'Suspended':
      return `it is suspended: resume '${instanceId}'`;
    case 'Quarantined':
      return `it is quarantined: see what '${instanceId}' waits for, then resume or terminate it`;
    case 'Pending':
    case 'Running':
    case 'Completed':
    case 'Failed':
    case 'Cancelled':
    case 'Terminated':
      return null;
  }
}

/** By an exact version. Of a range, which only a start has that no turn followed, any version of the name may do. */
function hasCode({ orchestrations }: RuntimeInfo, { name, version }: InstanceRecord): boolean {
  const isExact = version !== null && /^\d/u.test(version);
  return orchestrations.some((other) => other.name === name && (!isExact || other.version === version));
}

function takes({ activities, tags }: RuntimeInfo, name: string, tag: string | null): boolean {
  return activities.some((other) => other.name === name) && takesTag(tags, tag);
}

function takesTag(tags: RuntimeTags, tag: string | null): boolean {
  if (tags === 'none') return false;
  if (tags === 'any') return true;
  if (tags === 'default') return tag === null;
  if ('only' in tags) return tag !== null && tags.only.includes(tag);
  return tag === null || tags.defaultAnd.includes(tag);
}

function summarise({ status, instanceId }: InstanceRecord, waits: readonly Wait[], hasMessages: boolean): string {
  const problem = waits.map((wait) => wait.problem).find((text) => text !== null);
  if (waits.length === 0) {
    if (status !== 'Pending') return 'It waits for nothing that its history shows: a turn of it is under way.';
    // A turn under way has its messages still.
    return hasMessages
      ? 'It waits for its first turn.'
      : `Its start message was dropped: it never begins. Terminate '${instanceId}' and start it again under its id, with onExisting: 'replaceTerminal'.`;
  }
  const operator = waits.find((wait) => wait.kind === 'operator');
  const others = waits.filter((wait) => wait !== operator);
  const named = others.map(describe).slice(0, MAX_NAMED).join(' or ');
  const rest = `${named}${others.length > MAX_NAMED ? ` or ${others.length - MAX_NAMED} more` : ''}`;
  if (operator !== undefined) {
    const what = `It waits for an operator: ${operator.reason}.${problem === undefined ? '' : ` ${capitalise(problem)}.`}`;
    return others.length === 0 ? what : `${what} Then it waits for ${rest}.`;
  }
  const what = `It waits for ${rest}.`;
  if (problem !== undefined) return `${what} ${capitalise(problem)}.`;
  const event = waits.find((wait) => wait.kind === 'event');
  return event === undefined ? what : `${what} Raise it with client.raiseEvent('${instanceId}', '${event.name}', data).`;
}

/** Waits that a sentence names. */
const MAX_NAMED = 3;

function describe(wait: Wait): string {
  switch (wait.kind) {
    case 'turn':
      return wait.isLocked ? 'a turn that is under way' : 'its next turn';
    case 'activity':
      return `activity '${wait.name}' (${wait.state})`;
    case 'timer':
      return `a timer at ${wait.dueAt.toISOString()}`;
    case 'event':
      return `event '${wait.name}'`;
    case 'topic':
      return `a message of topic '${wait.pattern}'`;
    case 'child':
      return `child '${wait.instanceId}' (${wait.status ?? 'unknown'})`;
    case 'operator':
      return `an operator: ${wait.reason}`;
  }
}

function capitalise(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
