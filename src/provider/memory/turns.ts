// Commits turns. Neighbours: instances.ts, work-queue.ts, session-messages.ts take the effects, control.ts ends children.
//
// I1. Every check comes before the first change, so that an ack takes effect as a whole or not at all (P2).
// I2. The order of effects is that of the fields of `OrchestrationAck` and `AckEffects`.
import { ENGINE_BEHAVIOUR } from '../../types/history-event.ts';
import { isEnded } from '../../types/instance.ts';
import { isSameLink } from '../../types/names.ts';
import type { AckEffects, OrchestrationAck, OrchestrationAckOutcome, WorkItemAck } from '../provider.ts';
import { closeChildren, startInstance, terminate } from './control.ts';
import type { Instances } from './instances.ts';
import type { SessionMessages } from './session-messages.ts';
import { addStartMessage, addTimer, removeMessages, setCode } from './stored-instance.ts';
import type { StoredInstance } from './stored-instance.ts';
import type { WorkQueue } from './work-queue.ts';

/** What a turn has effects on. */
export type TurnTargets = { readonly instances: Instances; readonly work: WorkQueue; readonly sessionMessages: SessionMessages };

/**
 * Commits a turn.
 *
 * @param targets - what it has effects on
 * @param ack - the turn
 * @param nowMs - the time, epoch milliseconds
 * @returns what became of it
 */
export function commitTurn(targets: TurnTargets, ack: OrchestrationAck, nowMs: number): OrchestrationAckOutcome {
  const { instances, work } = targets;
  if (instances.get(ack.instanceId) === undefined) return 'instanceGone';
  const { lockToken, completed = [] } = ack;
  const isOptimistic = lockToken === null;
  const instance = isOptimistic ? instances.idle(ack.instanceId) : instances.locked({ instanceId: ack.instanceId, lockToken });
  if (instance === undefined) return isOptimistic ? 'conflict' : 'lockLost';
  const { executionId, lastEventId, createdAtMs } = instance.record;
  if (executionId !== ack.executionId || lastEventId !== ack.baseEventId) return 'conflict';
  if (ack.createdAtMs !== undefined && ack.createdAtMs !== createdAtMs) return 'conflict';
  if (isOptimistic && !work.holdsAll(completed, nowMs)) return 'conflict';

  removeCompleted(targets, completed, nowMs);
  updateRecord(instance, ack, nowMs);
  updateMessages(instance, ack, nowMs);
  instance.holdUntilMs = Number.NEGATIVE_INFINITY;
  // The lock ends here: what the turn sends to its own instance is a message to an instance in progress like any other.
  instances.settle(instance);
  // Adding comes before removing: what is scheduled and cancelled in one turn is absent.
  work.add(ack, ack.workItems, nowMs);
  work.cancel(ack, ack.cancelledActivities);
  startOthers(instances, ack, nowMs);
  // After the starts: a child that is started and cancelled in one turn must get the request to cancel.
  for (const message of ack.messages) instances.enqueue(message);
  if (ack.effects !== null) applyEffects(targets, instance, ack.effects, nowMs);
  if (ack.closeChildren !== null) closeChildren(instances, ack.instanceId, ack.closeChildren, nowMs);
  if (isEnded(ack.status)) instances.clear(instance);
  return 'committed';
}

/** What an optimistic turn was computed for: it has consumed the completions. */
function removeCompleted({ work, sessionMessages }: TurnTargets, completed: readonly WorkItemAck[], nowMs: number): void {
  work.change(completed, nowMs, (item, { received }) => {
    work.markSessionUsed(item, nowMs);
    work.remove(item);
    if (received !== undefined) sessionMessages.remove(received.sessionId, received.uptoSeq);
  });
}

function updateRecord(instance: StoredInstance, ack: OrchestrationAck, nowMs: number): void {
  const { record, code } = instance;
  const { status, output, page, next } = ack;
  if (page !== null) {
    const pages = instance.pages.get(ack.executionId) ?? [];
    pages.push({ firstEventId: ack.baseEventId + 1, ...page });
    instance.pages.set(ack.executionId, pages);
  }
  const { name, version } = next ?? { name: record.name, version: ack.version };
  instance.record = {
    ...record,
    name,
    version,
    lastEventId: next === null ? (page?.lastEventId ?? record.lastEventId) : 0,
    executionId: record.executionId + (next === null ? 0 : 1),
    status,
    output,
    customStatus: ack.customStatus === undefined ? record.customStatus : ack.customStatus,
    customStatusVersion: record.customStatusVersion + (ack.customStatus === undefined ? 0 : 1),
    updatedAtMs: nowMs,
    endedAtMs: isEnded(status) ? nowMs : null,
  };
  if (next !== null) {
    const { executionId, lastEventId } = { ...record, lastEventId: page?.lastEventId ?? record.lastEventId };
    const past = { executionId, name: record.name, version: ack.version, status: 'ContinuedAsNew', lastEventId, endedAtMs: nowMs } as const;
    instance.past = [...instance.past, past];
  }
  const engineNow = page === null ? code.engine : ENGINE_BEHAVIOUR;
  setCode(instance, { name, version, engine: next === null ? engineNow : 0 });
}

function updateMessages(instance: StoredInstance, ack: OrchestrationAck, nowMs: number): void {
  const consumed = new Set(ack.consumedMessageIds);
  const cancelledTimers = new Set(ack.cancelledTimers);
  // Attempts tell failures: what a committed turn leaves is not charged for it.
  for (const message of instance.handedOut) message.attempt -= 1;
  for (const timer of ack.timers) addTimer(instance, timer);
  removeMessages(instance, ({ messageId, timerEventId }) => {
    const isDropped = timerEventId !== null && (ack.next !== null || cancelledTimers.has(timerEventId));
    return consumed.has(messageId) || isDropped;
  });
  if (ack.next !== null) addStartMessage(instance, ack.next.payload, nowMs);
}

function startOthers(instances: Instances, { instanceId, starts }: OrchestrationAck, nowMs: number): void {
  for (const start of starts) {
    // The own id is taken whatever the policy says: a turn cannot replace what it is a turn of.
    const isTaken = start.instanceId === instanceId || startInstance(instances, start, nowMs) === 'exists';
    if (isTaken && start.conflictPayload !== null) instances.enqueue({ instanceId, payload: start.conflictPayload });
  }
}

function applyEffects({ instances, sessionMessages }: TurnTargets, instance: StoredInstance, effects: AckEffects, nowMs: number): void {
  const { instanceId } = instance.record;
  if (effects.attributes !== null) {
    const { text, list } = effects.attributes;
    instance.record = { ...instance.record, attributes: list.length === 0 ? null : text };
    instance.attributes = list;
  }
  for (const { key, value } of effects.values) {
    if (value === null) instance.values.delete(key);
    else instance.values.set(key, { key, value, updatedAtMs: nowMs });
  }
  for (const { pattern, subscribed } of effects.subscriptions) {
    if (subscribed) instances.subscriptions.add(instanceId, pattern);
    else instances.subscriptions.remove(instanceId, pattern);
  }
  for (const publication of effects.publications) instances.publish(publication);
  for (const { sessionId, payload } of effects.sessionMessages) sessionMessages.send(sessionId, payload, nowMs);
  for (const { instanceId: childId, parent, output, cancelPayload } of effects.terminations) {
    const child = instances.get(childId);
    if (child === undefined || isEnded(child.record.status) || !isSameLink(parent, child.record.parent ?? undefined)) continue;
    terminate(instances, child, output, { output, cancelPayload }, nowMs);
  }
}
