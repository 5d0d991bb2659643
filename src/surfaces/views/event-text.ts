// What an event says, in a few words without its payloads. Neighbour: report.ts.
import type { HistoryEvent } from '../../types/history-event.ts';
import { TOPIC_MAILBOX_PREFIX } from '../../types/names.ts';
import { toTimeText } from '../../types/time-text.ts';

/**
 * Describes an event.
 *
 * @param event - from history
 * @param history - where it is from, to name what it answers
 * @returns such as `charge, attempt 2`; the kind is not part of it
 */
export function describeBriefly(event: HistoryEvent, history: readonly HistoryEvent[]): string {
  switch (event.kind) {
    case 'OrchestrationStarted':
      return `${event.name} ${event.version}${event.executionId === 1 ? '' : `, execution ${event.executionId}`}`;
    case 'ActivityScheduled': {
      const { name, attempt, tag, sessionId } = event;
      return join([name, attempt && `attempt ${attempt}`, tag && `tag ${tag}`, sessionId && `session ${sessionId}`]);
    }
    case 'ActivityCompleted':
    case 'SubOrchestrationCompleted':
    case 'TimerFired':
    case 'FutureCancelled':
      return describeSource(event.sourceId, history);
    case 'ActivityFailed':
    case 'SubOrchestrationFailed':
      return `${describeSource(event.sourceId, history)}: ${event.failure.name}: ${event.failure.message}`;
    case 'TimerCreated':
      return `due ${toTimeText(event.fireAtMs)}`;
    case 'EventAwaited':
      return event.name.startsWith(TOPIC_MAILBOX_PREFIX) ? `topic ${event.name.slice(TOPIC_MAILBOX_PREFIX.length)}` : event.name;
    case 'EventRaised':
      return event.name;
    case 'TopicReceived':
    case 'TopicPublished':
      return event.topic;
    case 'TopicSubscribed':
    case 'TopicUnsubscribed':
      return event.pattern;
    case 'SubOrchestrationScheduled':
    case 'OrchestrationStartRequested':
      return join([event.name, event.version, event.instanceId]);
    case 'CancelRequested':
    case 'OrchestrationCancelled':
      return event.reason;
    case 'ValueSet':
    case 'ValueDeleted':
      return event.key;
    case 'AttributesSet':
      return Object.keys(event.attributes).join(', ');
    case 'SessionMessageSent':
      return `session ${event.sessionId}`;
    case 'Patched':
      return event.patchId;
    case 'OrchestrationFailed':
      return `${event.failure.name}: ${event.failure.message}`;
    case 'OrchestrationContinuedAsNew':
      return event.version === undefined ? '' : `version ${event.version}`;
    case 'CustomStatusSet':
    case 'OrchestrationCompleted':
      return '';
  }
}

function join(parts: readonly (string | number | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '' && part !== 0).join(', ');
}

function describeSource(sourceId: number, history: readonly HistoryEvent[]): string {
  const source = history[sourceId - 1];
  return source !== undefined && 'name' in source ? `${sourceId} (${describeBriefly(source, [])})` : String(sourceId);
}
