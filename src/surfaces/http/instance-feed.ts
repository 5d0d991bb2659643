// What happens to one instance, for all who watch it: its latest state, and history by the cursor of each. Neighbours: streams.ts, shared-poll.ts.
//
// Events never change once they are stored: what one reader has read is kept for the others, a little of it, and only while somebody watches.
import type { Client } from '../../client/client.ts';
import type { InstanceState } from '../../client/instance-state.ts';
import type { HistoryEvent } from '../../types/history-event.ts';
import { toWireText } from '../operations/wire.ts';
import { encodeEvents } from './event-stream.ts';
import { SharedPoll } from './shared-poll.ts';

/** A place in the history of an instance: behind this event. */
export type Cursor = { readonly executionId: number; readonly eventId: number };

/** The next events after a place. */
export type Batch = { readonly text: string; readonly cursor: Cursor };

/** `life`: when the instance was made, so that what another one had under its id is told apart. */
type Window = { readonly life: number; readonly executionId: number; readonly events: readonly HistoryEvent[] };

/** About the size of a piece, in UTF-16 units: what one connection holds of a history that its reader is slow to take. */
const PIECE_UNITS: number = 64 * 1024;
/** Events that are read at once. Reason: they may be large, and a slow reader reads them again when others have read on. */
const READ_EVENTS = 256;
/** Stretches of history that are kept: of those at the end, and of those that catch up. */
const MAX_WINDOWS = 3;

/** Feeds of instances, by id. */
export class InstanceFeeds {
  readonly #client: Client;
  readonly #pauseMs: number;
  readonly #feeds = new Map<string, InstanceFeed>();

  /**
   * @param client - reads
   * @param pauseMs - between looks at an instance
   */
  constructor(client: Client, pauseMs: number) {
    this.#client = client;
    this.#pauseMs = pauseMs;
  }

  /** How many instances are watched. */
  get size(): number {
    return this.#feeds.size;
  }

  /**
   * Finds or begins the feed of an instance.
   *
   * @param instanceId - its id
   * @returns the feed; watch its poll
   */
  get(instanceId: string): InstanceFeed {
    const known = this.#feeds.get(instanceId);
    if (known !== undefined) return known;
    const feed: InstanceFeed = new InstanceFeed(this.#client, { instanceId, pauseMs: this.#pauseMs, onIdle: () => this.#forget(feed) });
    this.#feeds.set(instanceId, feed);
    return feed;
  }

  #forget(feed: InstanceFeed): void {
    if (this.#feeds.get(feed.instanceId) === feed) this.#feeds.delete(feed.instanceId);
  }
}

/** The feed of one instance. */
export class InstanceFeed {
  readonly instanceId: string;
  readonly poll: SharedPoll<InstanceState | null>;
  readonly #client: Client;
  readonly #reads = new Map<string, Promise<readonly HistoryEvent[]>>();
  #windows: readonly Window[] = [];

  /**
   * @param client - reads
   * @param options - which instance, how often
   */
  constructor(client: Client, options: { readonly instanceId: string; readonly pauseMs: number; readonly onIdle: () => void }) {
    const { instanceId, pauseMs, onIdle } = options;
    this.instanceId = instanceId;
    this.#client = client;
    this.poll = new SharedPoll({ read: () => client.getState(instanceId), print: fingerprint, pauseMs, onIdle });
  }

  /**
   * Reads the next events.
   *
   * @param cursor - of the reader
   * @param life - when the instance was made that it reads of, epoch milliseconds
   * @returns as many as a piece holds; no text: there are none now
   */
  async readAfter(cursor: Cursor, life: number): Promise<Batch> {
    const { executionId, eventId } = cursor;
    const kept = this.#windows.find((window) => window.life === life && window.executionId === executionId && covers(window, eventId));
    const events = kept?.events ?? (await this.#read(cursor, life));
    const [first] = events;
    if (first === undefined) return { text: '', cursor };
    let text = '';
    let last = eventId;
    for (let index = eventId + 1 - first.id; index < events.length && text.length < PIECE_UNITS; index += 1) {
      const event = events[index];
      if (event === undefined) break;
      last = event.id;
      text += encodeEvents([{ event: 'history', id: `${executionId}:${last}`, data: toWireText({ executionId, event }) }]);
    }
    return { text, cursor: { executionId, eventId: last } };
  }

  /**
   * Finds the execution after one that has ended.
   *
   * @param executionId - the one that has ended
   * @param current - the one that the instance is at
   * @returns the next one whose history is still there
   */
  async nextExecution(executionId: number, current: number): Promise<number> {
    const executions = await this.#client.listExecutions(this.instanceId);
    return executions.find((execution) => execution.executionId > executionId)?.executionId ?? current;
  }

  /**
   * Tells whether a reader comes from another life of the instance: it was deleted and made anew.
   *
   * @param cursor - of the reader
   * @returns true when there is no such place yet
   */
  async isAhead({ executionId, eventId }: Cursor): Promise<boolean> {
    // The latest look may be older than what the reader has.
    const state = await this.#client.getState(this.instanceId);
    return state !== null && (executionId > state.executionId || (executionId === state.executionId && eventId > state.eventCount));
  }

  /** Readers at the same place, such as all that have seen everything, share one read. */
  async #read({ executionId, eventId }: Cursor, life: number): Promise<readonly HistoryEvent[]> {
    const key = `${life}:${executionId}:${eventId}`;
    let read = this.#reads.get(key);
    if (read === undefined) {
      read = this.#client
        .readHistoryAfter(this.instanceId, { executionId, afterEventId: eventId, limit: READ_EVENTS })
        .finally(() => this.#reads.delete(key));
      this.#reads.set(key, read);
    }
    const events = await read;
    if (events.length > 0 && !this.#windows.some((window) => window.events === events)) {
      this.#windows = [{ life, executionId, events }, ...this.#windows.slice(0, MAX_WINDOWS - 1)];
    }
    return events;
  }
}

function covers({ events }: Window, eventId: number): boolean {
  const [first] = events;
  const last = events.at(-1);
  return first !== undefined && last !== undefined && first.id <= eventId + 1 && eventId < last.id;
}

/** What makes a state another one. */
function fingerprint(state: InstanceState | null): string {
  if (state === null) return 'none';
  const { executionId, eventCount, status, customStatusVersion, createdAt, updatedAt } = state;
  return `${createdAt.getTime()} ${executionId} ${eventCount} ${status} ${customStatusVersion} ${updatedAt.getTime()}`;
}
