// Pure: what a turn asks for → what the provider commits. Neighbour: orchestration-dispatcher.ts.
import type { OrchestrationAck, OrchestrationItem } from '../provider/provider.ts';
import type { ReplayResult, TurnOutcome } from '../types/replay.ts';

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
    workItems: result.activities.map(({ eventId, name, input }) => ({ eventId, name, payload: input ?? '' })),
    timers: result.timers.map(({ eventId, fireAtMs, payload }) => ({ eventId, visibleAtMs: fireAtMs, payload })),
    messages: result.messages,
    starts: result.starts.map(({ isChild, ...start }) => ({ ...start, parentInstanceId: isChild ? item.instanceId : null })),
    cancelledActivities: result.cancelledActivities,
    cancelledTimers: result.cancelledTimers,
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
 * Makes the ack that takes an instance out of service: nothing is consumed or added, an operator decides.
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
    messages: [],
    starts: [],
    cancelledActivities: [],
    cancelledTimers: [],
  };
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
