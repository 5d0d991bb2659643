// Pure: what a turn asks for → what the provider commits. Neighbour: orchestration-dispatcher.ts.
import { closingOf } from '../client/requests.ts';
import type { AckEffects, NewMessage, OrchestrationAck, OrchestrationItem } from '../provider/provider.ts';
import { encodeRecord } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import type { ParentLink } from '../types/names.ts';
import type { ReplayResult, TurnEffects, TurnOutcome } from '../types/replay.ts';

/** Outcomes that are committed; the others are abandoned or quarantined. */
export type CommittedOutcome = Exclude<TurnOutcome, { kind: 'notRegistered' | 'faulted' }>;

/**
 * Makes the ack of a turn.
 *
 * @param item - the locked instance
 * @param result - what the replay thread answered
 * @param outcome - its outcome
 * @returns the ack
 */
export function toAck(item: OrchestrationItem, result: ReplayResult, outcome: CommittedOutcome): OrchestrationAck {
  return {
    instanceId: item.instanceId,
    lockToken: item.lockToken,
    executionId: item.executionId,
    baseEventId: item.lastEventId,
    version: result.version,
    page: result.lastEventId < result.firstEventId ? null : { lastEventId: result.lastEventId, events: result.events },
    consumedMessageIds: item.messages.slice(0, result.consumedMessages).map((message) => message.messageId),
    ...toStatus(outcome),
    customStatus: result.customStatus,
    workItems: result.activities.map(({ eventId, name, input, routing }) => ({ eventId, name, payload: input ?? '', routing })),
    timers: result.timers.map(({ eventId, fireAtMs, payload }) => ({ eventId, visibleAtMs: fireAtMs, payload })),
    messages: result.messages,
    starts: result.starts.map(({ isChild, eventId, ...start }) => ({
      ...start,
      parent: isChild ? { instanceId: item.instanceId, executionId: item.executionId, eventId } : null,
      delayMs: 0,
      parentNotice: isChild ? replacedNotice(item, eventId) : null,
      // Only a start that may replace a living instance needs it: encoding it costs more than the rest of a start.
      closeChildren: start.policy === 'terminateExisting' ? closingOf(start.instanceId, 'was replaced') : null,
    })),
    cancelledActivities: result.cancelledActivities,
    cancelledTimers: result.cancelledTimers,
    effects: result.effects === null ? null : toEffects(item, result.effects),
    closeChildren: null,
  };
}

/** What this parent is told when somebody replaces its child, or ends it while the parent is in quarantine. A literal: every child start has one. */
function replacedNotice({ executionId }: OrchestrationItem, eventId: number): string {
  return `{"kind":"SubOrchestrationFailed","executionId":${executionId},"sourceId":${eventId},"failure":{"name":"OrchestrationError","message":"the sub-orchestration was terminated from outside, or another instance took its id","code":"ORCHESTRATION_TERMINATED"}}`;
}

function toEffects(item: OrchestrationItem, effects: TurnEffects): AckEffects {
  const { attributes, values, subscriptions, publications, sessionMessages, terminations } = effects;
  const { instanceId, executionId } = item;
  return {
    attributes,
    values,
    subscriptions,
    publications,
    sessionMessages,
    terminations: terminations.map((termination) => ({
      instanceId: termination.instanceId,
      parent: { instanceId, executionId, eventId: termination.eventId },
      output: closingOf(instanceId, 'ended').output,
      // For its own children the child is the parent.
      cancelPayload: closingOf(termination.instanceId, 'was terminated').cancelPayload,
    })),
  };
}

function toStatus(outcome: CommittedOutcome): Pick<OrchestrationAck, 'status' | 'output' | 'next'> {
  switch (outcome.kind) {
    case 'waiting':
      return { status: 'Running', output: null, next: null };
    case 'completed':
      return { status: 'Completed', output: outcome.result ?? null, next: null };
    case 'failed':
      return { status: 'Failed', output: outcome.failure, next: null };
    case 'cancelled':
      return { status: 'Cancelled', output: outcome.failure, next: null };
    case 'continuedAsNew': {
      const { name, version, payload } = outcome;
      return { status: 'Running', output: null, next: { name, version, payload } };
    }
  }
}

/**
 * Makes the ack that takes an instance out of service: nothing is consumed or added, an operator decides. Its parent is told, its children
 * are closed by their policy (T38).
 *
 * @param item - the locked instance
 * @param failure - why, encoded
 * @returns the ack
 */
export function toQuarantine(item: OrchestrationItem, failure: string): OrchestrationAck {
  return {
    instanceId: item.instanceId,
    lockToken: item.lockToken,
    executionId: item.executionId,
    baseEventId: item.lastEventId,
    version: item.version,
    page: null,
    consumedMessageIds: [],
    status: 'Quarantined',
    output: failure,
    next: null,
    customStatus: undefined,
    workItems: [],
    timers: [],
    messages: item.parent === null ? [] : [quarantineMessage(item, item.parent)],
    starts: [],
    cancelledActivities: [],
    cancelledTimers: [],
    effects: null,
    closeChildren: closingOf(item.instanceId, 'was quarantined'),
  };
}

function quarantineMessage(item: OrchestrationItem, parent: ParentLink): NewMessage {
  const { executionId, eventId, instanceId } = parent;
  const { stack: _, ...failure } = toFailure(
    new DurableError(
      'INSTANCE_QUARANTINED',
      `sub-orchestration '${item.name}' (instance '${item.instanceId}') cannot go on by itself: see its error. An operator may resume or terminate it`,
    ),
  );
  return { instanceId, payload: encodeRecord({ kind: 'SubOrchestrationFailed', executionId, sourceId: eventId, failure }) };
}

/**
 * Waits longer with each attempt.
 *
 * @param attempt - attempts so far, from 1
 * @param backoff - first and longest wait, in milliseconds
 * @returns the wait, in milliseconds
 */
export function computeBackoffMs(attempt: number, backoff: { readonly initialMs: number; readonly maximumMs: number }): number {
  return Math.min(backoff.initialMs * 2 ** Math.min(attempt - 1, 30), backoff.maximumMs);
}
