// Events in the words of the list: what each is about, and which field of it is worth reading.
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { formatDuration, formatMoment, toVisible } from './format.ts';

/**
 * Says what an event is about.
 *
 * @param event - of a history
 * @param history - all events before it, for what it answers
 * @returns one line
 */
export function describeEvent(event: HistoryEvent, history: readonly HistoryEvent[]): string {
  return toVisible(describe(event, history));
}

function describe(event: HistoryEvent, history: readonly HistoryEvent[]): string {
  switch (event.kind) {
    case 'OrchestrationStarted':
      return `${event.name} ${event.version}`;
    case 'ActivityScheduled':
      return `${event.name}${event.attempt === undefined ? '' : `, attempt ${event.attempt}`}${event.tag === undefined ? '' : `, tag ${event.tag}`}`;
    case 'ActivityCompleted':
    case 'SubOrchestrationCompleted':
    case 'TimerFired':
      return answerTo(event, history);
    case 'ActivityFailed':
    case 'SubOrchestrationFailed':
      return `${answerTo(event, history)}: ${event.failure.message}`;
    case 'TimerCreated':
      return `for ${formatDuration(event.fireAtMs - event.atMs)}, until ${formatMoment(event.fireAtMs)}`;
    case 'EventAwaited':
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
      return `${event.name} as ${event.instanceId}`;
    case 'CancelRequested':
    case 'OrchestrationCancelled':
      return event.reason;
    case 'AttributesSet':
      return oneLine(event.attributes);
    case 'CustomStatusSet':
      return oneLine(event.status);
    case 'FutureCancelled':
      return answerTo(event, history);
    case 'ValueSet':
      return `${event.key} = ${oneLine(event.value)}`;
    case 'ValueDeleted':
      return event.key;
    case 'SessionMessageSent':
      return event.sessionId;
    case 'Patched':
      return event.patchId;
    case 'OrchestrationCompleted':
      return oneLine(event.result);
    case 'OrchestrationFailed':
      return event.failure.message;
    case 'OrchestrationContinuedAsNew':
      return oneLine(event.input);
  }
}

/** A value on one line, cut. */
export function oneLine(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return toVisible(text.length > 160 ? `${text.slice(0, 160)}…` : text);
}

function answerTo({ sourceId }: { readonly sourceId: number }, history: readonly HistoryEvent[]): string {
  const source = history[sourceId - 1];
  const name = source === undefined ? '' : 'name' in source ? source.name : source.kind === 'TimerCreated' ? 'timer' : '';
  return `${name} (#${sourceId})`.trim();
}
