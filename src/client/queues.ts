// Looking into the queues of a store, and changing them by hand. Neighbours: client.ts shows it, provider/management.ts says what an item is.
import { placeOf, type QueueEdit, type QueueItem, type QueueItemRef, type QueuePlace } from '../provider/management.ts';
import { readField, readOptions, type FieldNames } from '../types/arguments.ts';
import { encodeRecord } from '../types/codec.ts';
import { ArgumentError } from '../types/errors.ts';
import type { OrchestratorMessage } from '../types/history-event.ts';
import type { ActivityRouting } from '../types/replay.ts';
import { show } from '../types/show.ts';
import { readStamp } from '../types/trace.ts';
import type { ClientStore } from './client-store.ts';
import { assertTarget } from './requests.ts';
import { StoredReader } from './stored-reader.ts';

/** Which items to look at. */
export type PeekOptions = {
  /** `orchestrator`: messages and timers of instances; `worker`: activities. */
  readonly queue: 'orchestrator' | 'worker';
  /** Only those of this instance. @default all */
  readonly instanceId?: string;
  /** `cursor` of the page before. @default the first page */
  readonly cursor?: string;
  /** Size of the page, 1 to 1000. @default 100 */
  readonly limit?: number;
};

/** An item of a queue. `attempt`: how often it was handed out; `damage`: what of it cannot be read, which is undefined here; null: nothing. */
export type QueueEntry = { readonly damage: string | null } & (
  | {
      readonly kind: 'message';
      readonly instanceId: string;
      readonly messageId: number;
      /** Event of the timer; null: it is none. */
      readonly timerEventId: number | null;
      readonly key: string | null;
      /** When the timer is due; null: at once. */
      readonly visibleAt: Date | null;
      readonly attempt: number;
      /** Until when its instance is locked by a turn; null: it is not. */
      readonly lockedUntil: Date | null;
      /** What the instance will get to know. */
      readonly message: unknown;
    }
  | {
      readonly kind: 'workItem';
      readonly instanceId: string;
      readonly executionId: number;
      readonly eventId: number;
      readonly name: string;
      readonly visibleAt: Date;
      readonly attempt: number;
      /** Until when a runtime has it; null: none has. */
      readonly lockedUntil: Date | null;
      readonly routing: ActivityRouting | null;
      readonly heartbeat: unknown;
      readonly input: unknown;
    }
);

/** A page of a queue. */
export type QueuePage = {
  readonly items: readonly QueueEntry[];
  /** For the next page; null: that was all. */
  readonly cursor: string | null;
};

const PEEK_OPTIONS: FieldNames<PeekOptions> = { queue: true, instanceId: true, cursor: true, limit: true };
const PEEK_LIMIT = { default: 100, maximum: 1000 };
const ACTIONS = ['unlock', 'moveBack', 'drop'] as const;

/** What can be done to an item by hand. */
export type QueueAction = (typeof ACTIONS)[number];

/**
 * Looks into a queue.
 *
 * @param store - the store
 * @param options - which queue, which items
 * @returns a page
 * @throws {ArgumentError} for a bad option
 */
export async function peekQueue(store: ClientStore, options: PeekOptions): Promise<QueuePage> {
  const { queue, instanceId, cursor, limit = PEEK_LIMIT.default } = readOptions(options, 'the options of a look', PEEK_OPTIONS);
  if (queue !== 'orchestrator' && queue !== 'worker') {
    throw new ArgumentError(`Expected \`queue\` to be 'orchestrator' or 'worker', got ${show(queue)}`);
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > PEEK_LIMIT.maximum) {
    throw new ArgumentError(`Expected limit to be an integer from 1 to ${PEEK_LIMIT.maximum}, got ${show(limit)}`);
  }
  const items = await store.peekQueue({
    queue,
    ...(instanceId !== undefined && { instanceId: assertTarget(instanceId) }),
    after: readCursor(queue, cursor),
    limit,
  });
  const last = items.length < limit ? undefined : items.at(-1);
  return { items: items.map(toEntry), cursor: last === undefined ? null : toCursor(queue, placeOf(last)) };
}

/**
 * Changes an item by hand.
 *
 * @param store - the store
 * @param action - what is to be done
 * @param item - to which
 * @returns false when it is gone
 * @throws {ArgumentError} for a bad action or item
 */
export async function editQueue(store: ClientStore, action: QueueAction, item: QueueItemRef): Promise<boolean> {
  const ref = readRef(item);
  if (!ACTIONS.includes(action)) throw new ArgumentError(`Expected action to be ${ACTIONS.join(', ')}, got ${show(action)}`);
  const edit: QueueEdit =
    action === 'drop'
      ? { kind: action, item: ref, completionPayload: ref.kind === 'workItem' ? toDropped(ref) : null }
      : { kind: action, item: ref };
  const [outcome] = await store.editQueues([edit]);
  return outcome === 'done';
}

/** What the orchestration of a dropped activity is told: a retry policy gives up at once. */
function toDropped({ executionId, eventId }: { readonly executionId: number; readonly eventId: number }): string {
  const message = 'the activity was dropped from its queue by an operator';
  const failure = { name: 'ActivityDropped', message, code: 'ACTIVITY_DROPPED', nonRetryable: true } as const;
  const completion: OrchestratorMessage = { kind: 'ActivityFailed', executionId, sourceId: eventId, failure };
  return encodeRecord(completion);
}

function toEntry(item: QueueItem): QueueEntry {
  const stored = new StoredReader();
  const lockedUntil = item.lockedUntilMs === null ? null : new Date(item.lockedUntilMs);
  if (item.kind === 'message') {
    const { instanceId, messageId, timerEventId, key, visibleAtMs, attempt, payload } = item;
    const visibleAt = timerEventId === null ? null : new Date(visibleAtMs);
    const message = stored.read(payload, `message ${messageId} of instance '${instanceId}'`);
    const { damage } = stored;
    return { kind: 'message', instanceId, messageId, timerEventId, key, visibleAt, attempt, lockedUntil, message, damage };
  }
  const { instanceId, executionId, eventId, name, visibleAtMs, attempt, routing, heartbeat, payload } = item;
  // The trace stands before the input.
  const encoded = readStamp(payload)?.input ?? payload;
  const where = `activity '${name}' of instance '${instanceId}'`;
  const values = {
    heartbeat: stored.read(heartbeat, `heartbeat of ${where}`),
    input: stored.read(encoded === '' ? null : encoded, `input of ${where}`),
  };
  return {
    kind: 'workItem',
    instanceId,
    executionId,
    eventId,
    name,
    visibleAt: new Date(visibleAtMs),
    attempt,
    lockedUntil,
    routing,
    ...values,
    damage: stored.damage,
  };
}

function toCursor(queue: string, { instanceId, major, minor }: QueuePlace): string {
  return `${queue}.${major}.${minor}.${encodeURIComponent(instanceId)}`;
}

function readCursor(queue: string, cursor: unknown): QueuePlace | null {
  if (cursor === undefined) return null;
  const [, name, major, minor, encoded = ''] = typeof cursor === 'string' ? (/^([a-z]+)\.(\d+)\.(\d+)\.(.+)$/su.exec(cursor) ?? []) : [];
  if (name === queue) {
    try {
      return { instanceId: assertTarget(decodeURIComponent(encoded)), major: Number(major), minor: Number(minor) };
    } catch {
      // Broken escapes, or no id: no cursor of ours.
    }
  }
  throw new ArgumentError(`Expected \`cursor\` to be the \`cursor\` of a page of the same queue, got ${show(cursor)}`);
}

function readRef(item: QueueItemRef): QueueItemRef {
  if (typeof item === 'object' && item !== null) {
    const kind = readField(item, 'kind', 'the item');
    const instanceId = assertTarget(readField(item, 'instanceId', 'the item') as string);
    if (kind === 'message') return { kind, instanceId, messageId: readNumber(item, 'messageId') };
    if (kind === 'workItem')
      return { kind, instanceId, executionId: readNumber(item, 'executionId'), eventId: readNumber(item, 'eventId') };
  }
  throw new ArgumentError(`Expected item to be an item that \`peekQueue\` showed, got ${show(item)}`);
}

function readNumber(item: object, name: string): number {
  const value = readField(item, name, 'the item');
  if (Number.isSafeInteger(value)) return value as number;
  throw new ArgumentError(`Expected \`${name}\` of the item to be a whole number, got ${show(value)}`);
}
