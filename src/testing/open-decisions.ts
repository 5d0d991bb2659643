// What an instance waits for, read from its history: for people who ask why nothing happens. Pure. Neighbour: stuck.ts.
import { Mailbox } from '../replay/mailbox.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { TOPIC_MAILBOX_PREFIX } from '../types/names.ts';
import { matchesTopic } from '../types/topics.ts';

/**
 * Describes the decisions of an execution that nothing has answered.
 *
 * @param events - a valid history
 * @returns one text each, in the order of the events
 */
export function describeOpenDecisions(events: readonly HistoryEvent[]): readonly string[] {
  const open = new Map<number, string>();
  const mailbox = new Mailbox<number>();
  const patterns = new Set<string>();
  const arrive = (name: string): void => {
    const taker = mailbox.raise(name, null);
    if (taker !== null) open.delete(taker);
  };
  for (const event of events) {
    switch (event.kind) {
      case 'OrchestrationStarted':
        for (const { name } of event.carried ?? []) arrive(name);
        for (const pattern of event.subscriptions ?? []) patterns.add(pattern);
        break;
      case 'ActivityScheduled':
        open.set(event.id, `activity '${event.name}'${event.attempt === undefined ? '' : ` (attempt ${event.attempt})`}`);
        break;
      case 'TimerCreated':
        open.set(event.id, `a timer at ${new Date(event.fireAtMs).toISOString()}`);
        break;
      case 'SubOrchestrationScheduled':
        open.set(event.id, `child '${event.instanceId}' (${event.name})`);
        break;
      case 'EventAwaited':
        if (mailbox.take(event.name) !== undefined) break;
        mailbox.wait(event.name, event.id);
        open.set(event.id, describeAwaited(event.name));
        break;
      case 'EventRaised':
        arrive(event.name);
        break;
      case 'TopicReceived':
        for (const pattern of patterns) if (matchesTopic(pattern, event.topic)) arrive(`${TOPIC_MAILBOX_PREFIX}${pattern}`);
        break;
      case 'TopicSubscribed':
        patterns.add(event.pattern);
        break;
      case 'TopicUnsubscribed':
        patterns.delete(event.pattern);
        mailbox.drop(`${TOPIC_MAILBOX_PREFIX}${event.pattern}`);
        break;
      case 'ActivityCompleted':
      case 'ActivityFailed':
      case 'TimerFired':
      case 'SubOrchestrationCompleted':
      case 'SubOrchestrationFailed':
        open.delete(event.sourceId);
        break;
      case 'FutureCancelled': {
        open.delete(event.sourceId);
        const source = events[event.sourceId - 1];
        if (source?.kind === 'EventAwaited') mailbox.giveUp(source.name, event.sourceId);
        break;
      }
      case 'CancelRequested':
      case 'OrchestrationStartRequested':
      case 'CustomStatusSet':
      case 'ValueSet':
      case 'ValueDeleted':
      case 'AttributesSet':
      case 'TopicPublished':
      case 'SessionMessageSent':
      case 'Patched':
        break;
      case 'OrchestrationCompleted':
      case 'OrchestrationFailed':
      case 'OrchestrationCancelled':
      case 'OrchestrationContinuedAsNew':
        return [];
    }
  }
  return [...open.values()];
}

function describeAwaited(name: string): string {
  if (!name.startsWith(TOPIC_MAILBOX_PREFIX)) return `event '${name}'`;
  return `a message of topic '${name.slice(TOPIC_MAILBOX_PREFIX.length)}'`;
}
