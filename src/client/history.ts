// Parts of a history for those who read it page by page, or follow it: what they ask for is what is read. Neighbour: client.ts.
//
// Ids of events are dense, and a turn is stored whole under its first event: who knows an id knows about where its turn is.
import type { HistoryPage } from '../provider/provider.ts';
import { readOptions } from '../types/arguments.ts';
import { ArgumentError } from '../types/errors.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { parseHistoryPages } from '../types/history-text.ts';
import type { InstanceRecord } from '../types/instance.ts';
import { show } from '../types/show.ts';
import type { ClientStore } from './client-store.ts';

/** How much further back each look for the beginning of a turn goes. Reason: few looks, and little more than the turn. */
const STEP_BACK = 2;

/**
 * Reads what came after an event.
 *
 * @param store - the store
 * @param record - the instance
 * @param options - see `Client.readHistoryAfter`
 * @returns the events, in order
 * @throws {ArgumentError} for numbers that are none
 * @throws {HistoryError} when the stored text is no JSON
 * @throws {ProviderError} when the store fails
 */
export async function readHistoryAfter(
  store: ClientStore,
  { instanceId, executionId: current, lastEventId }: InstanceRecord,
  options: { readonly afterEventId: number; readonly executionId?: number; readonly limit?: number },
): Promise<readonly HistoryEvent[]> {
  const given = readOptions(options, 'the options of a history', { afterEventId: true, executionId: true, limit: true });
  const { executionId = current, limit } = given;
  for (const [what, id] of Object.entries({ 'event id': given.afterEventId ?? 0, 'execution id': executionId })) {
    if (!Number.isSafeInteger(id)) throw new ArgumentError(`Expected ${what} to be a whole number, got ${show(id)}`);
  }
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1)) {
    throw new ArgumentError(`Expected \`limit\` to be a whole number from 1, got ${show(limit)}`);
  }
  const afterEventId = Math.max(0, given.afterEventId ?? 0);
  const past = executionId === current ? [] : await store.listExecutions(instanceId);
  const endId = executionId === current ? lastEventId : (past.find((one) => one.executionId === executionId)?.lastEventId ?? 0);
  if (afterEventId > 0 && afterEventId >= endId) return [];
  const read = async (after: number, upToEventId?: number): Promise<readonly HistoryPage[]> => {
    const request = { instanceId, executionId, afterEventId: after, ...(upToEventId !== undefined && { upToEventId }) };
    return (await store.readHistory([request]))[0] ?? [];
  };

  let pages = await read(afterEventId, limit === undefined ? undefined : afterEventId + limit);
  if (afterEventId > 0 && pages[0]?.firstEventId !== afterEventId + 1) {
    // The event is in the midst of a turn, or the last one.
    let before: readonly HistoryPage[] = [];
    for (let back = 1; before.length === 0 && back < afterEventId * STEP_BACK; back *= STEP_BACK) {
      before = await read(Math.max(0, afterEventId - back), afterEventId);
    }
    pages = [...before.filter((page) => page.lastEventId > afterEventId), ...pages];
  }
  // Fewer than were asked for: it is the end, unless there is a gap that somebody made.
  const last = pages.at(-1)?.lastEventId ?? afterEventId;
  if (limit !== undefined && last < afterEventId + limit && last < endId) pages = [...pages, ...(await read(last))];
  const events = parseHistoryPages(pages.map((page) => page.events)) as readonly HistoryEvent[];
  return (afterEventId === 0 ? events : events.filter(({ id }) => id > afterEventId)).slice(0, limit);
}
