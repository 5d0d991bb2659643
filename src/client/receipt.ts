// Whether an instance has received an event with a key: looks into its histories. Neighbour: client.ts (`waitForReceipt`).
import { quote } from '../types/codec.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { parseHistoryPages } from '../types/history-text.ts';
import type { InstanceRecord } from '../types/instance.ts';
import type { ClientStore } from './client-store.ts';

/**
 * Looks for an event, newest execution first.
 *
 * @param store - the store
 * @param record - the instance
 * @param key - the caller's key of the event
 * @returns true when a history of the instance holds it
 * @throws {HistoryError} when a stored page is no JSON
 * @throws {ProviderError} when the store fails
 */
export async function hasReceived(store: ClientStore, record: InstanceRecord, key: string): Promise<boolean> {
  const quoted = quote(key);
  for (let { executionId } = record; executionId > 0; executionId -= 1) {
    const [pages = []] = await store.readHistory([{ instanceId: record.instanceId, executionId, afterEventId: 0 }]);
    // Most pages do not hold the key anywhere, so they need not be parsed.
    const candidates = pages.map(({ events }) => events).filter((events) => events.includes(quoted));
    if (parseHistoryPages(candidates).some((event) => isReceipt(event, key))) return true;
  }
  return false;
}

/** An execution also knows the last keys of those before it. Nobody has checked the events: what is none received nothing. */
function isReceipt(given: unknown, key: string): boolean {
  if (typeof given !== 'object' || given === null) return false;
  const event = given as HistoryEvent;
  if (event.kind === 'EventRaised' || event.kind === 'TopicReceived') return event.key === key;
  return event.kind === 'OrchestrationStarted' && Array.isArray(event.eventKeys) && event.eventKeys.includes(key);
}
