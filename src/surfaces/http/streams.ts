// What the event streams say: instances, lists, log lines, figures. Neighbours: event-stream.ts sends it, shared-poll.ts and instance-feed.ts look.
import { createHash } from 'node:crypto';
import type { InstanceState } from '../../client/instance-state.ts';
import { encodeRecord } from '../../types/codec.ts';
import { isEnded } from '../../types/instance.ts';
import type { LogFilter, LogSource } from '../operations/log-source.ts';
import type { Tell } from '../operations/operation.ts';
import { toWireInstance, toWireText } from '../operations/wire.ts';
import { encodeEvents } from './event-stream.ts';
import type { Cursor, InstanceFeed } from './instance-feed.ts';
import { Wakeup, type SharedPoll } from './shared-poll.ts';

/** Log lines of one piece. */
const LOG_LINES = 100;

/**
 * Follows an instance: history as it is committed, then the state that came of it. Ends when the instance has.
 *
 * @param find - finds its feed, when the reader has come
 * @param resume - the last event that the reader has; null: it begins with the current execution
 * @param signal - ends it
 * @yields events as text
 */
export async function* followInstance(find: () => InstanceFeed, resume: Cursor | null, signal: AbortSignal): AsyncGenerator<string> {
  const wakeup = new Wakeup(signal);
  const feed = find();
  const unwatch = feed.poll.watch(wakeup.raise);
  try {
    let cursor = resume;
    let sent: InstanceState | null = null;
    for (;;) {
      const look = feed.poll.latest ?? (await firstLook(feed.poll, wakeup));
      if (look === null || signal.aborted) return;
      if ('error' in look) throw look.error;
      const { state } = look;
      if (state === null) {
        yield encodeEvents([{ event: 'end', data: encodeRecord({ reason: 'deleted' }) }]);
        return;
      }
      const isAnother =
        sent === null ? cursor !== null && (await feed.isAhead(cursor)) : sent.createdAt.getTime() !== state.createdAt.getTime();
      if (isAnother) {
        yield encodeEvents([{ event: 'reset', data: encodeRecord({ executionId: state.executionId }) }]);
        cursor = null;
      }
      cursor ??= { executionId: state.executionId, eventId: 0 };
      // The state was read before the history: an execution that it has left behind is complete.
      while (cursor.executionId < state.executionId || cursor.eventId < state.eventCount) {
        const batch = await feed.readAfter(cursor, state.createdAt.getTime());
        cursor = batch.cursor;
        if (batch.text !== '') yield batch.text;
        else if (cursor.executionId >= state.executionId) break;
        else cursor = { executionId: await feed.nextExecution(cursor.executionId, state.executionId), eventId: 0 };
        if (signal.aborted) return;
      }
      if (state !== sent) {
        sent = state;
        yield encodeEvents([{ event: 'status', data: toWireText(toWireInstance(state)) }]);
      }
      if (isEnded(state.status)) {
        yield encodeEvents([{ event: 'end', data: encodeRecord({ reason: 'ended' }) }]);
        return;
      }
      await wakeup.next();
    }
  } finally {
    unwatch();
  }
}

async function firstLook<State>(poll: SharedPoll<State>, wakeup: Wakeup): Promise<SharedPoll<State>['latest']> {
  await wakeup.next();
  return poll.latest;
}

/** Something that is sent whole whenever it differs. */
export type Snapshot = { readonly text: string; readonly digest: string };

/**
 * Makes a snapshot.
 *
 * @param value - what is sent
 * @returns its text and digest
 */
export function toSnapshot(value: object): Snapshot {
  const text = toWireText(value);
  return { text, digest: createHash('sha256').update(text).digest('base64url').slice(0, 22) };
}

/**
 * Follows something that is sent whole.
 *
 * @param find - finds what looks at it, when the reader has come
 * @param options - name of the event, and the snapshot that the reader has
 * @param signal - ends it
 * @yields events as text
 */
export async function* followSnapshots(
  find: () => SharedPoll<Snapshot>,
  options: { readonly event: string; readonly lastDigest: string | null },
  signal: AbortSignal,
): AsyncGenerator<string> {
  const wakeup = new Wakeup(signal);
  const poll = find();
  const unwatch = poll.watch(wakeup.raise);
  try {
    let sent = options.lastDigest;
    while (!signal.aborted) {
      const look = poll.latest;
      if (look !== null && 'error' in look) throw look.error;
      if (look !== null && look.state.digest !== sent) {
        sent = look.state.digest;
        yield encodeEvents([{ event: options.event, id: sent, data: look.state.text }]);
      }
      await wakeup.next();
    }
  } finally {
    unwatch();
  }
}

/**
 * Follows log lines.
 *
 * @param logs - keeps them
 * @param options - which, and the last one that the reader has; null: it begins with the newest
 * @param signal - ends it
 * @yields events as text
 */
export async function* followLogs(
  logs: LogSource,
  options: { readonly filter: LogFilter; readonly afterSeq: number | null },
  signal: AbortSignal,
): AsyncGenerator<string> {
  const wakeup = new Wakeup(signal);
  const unsubscribe = logs.subscribe(options.filter, wakeup.raise);
  try {
    let { afterSeq } = options;
    while (!signal.aborted) {
      const page = logs.read({ ...options.filter, ...(afterSeq !== null && { afterSeq }), limit: LOG_LINES });
      if (afterSeq !== null && page.lastSeq < afterSeq) {
        // The reader comes from the process before, whose lines had higher numbers.
        afterSeq = 0;
        continue;
      }
      const isAtEnd = page.entries.length < LOG_LINES;
      const gap = { event: 'gap', data: encodeRecord({ missed: page.missed }) };
      const lines = page.entries.map((entry) => ({ event: 'log', id: String(entry.seq), data: toWireText(entry) }));
      const events = [...(page.missed > 0 ? [gap] : []), ...lines];
      afterSeq = page.lastSeq;
      if (events.length > 0) yield encodeEvents(events);
      // What came while the reader took these has woken already.
      if (isAtEnd) await wakeup.next();
    }
  } finally {
    unsubscribe();
  }
}

/**
 * Follows a call to its end. What it says while the reader takes nothing is replaced by what it says next.
 *
 * @param run - runs it; it ends by the signal, too
 * @param signal - ends the stream
 * @yields events as text
 */
export async function* followProgress(run: (tell: Tell) => Promise<object>, signal: AbortSignal): AsyncGenerator<string> {
  const wakeup = new Wakeup(signal);
  const told: { latest: object | null; isOver: boolean } = { latest: null, isOver: false };
  const onEnd = (): void => {
    told.isOver = true;
    wakeup.raise();
  };
  const running = run((progress) => {
    told.latest = progress;
    wakeup.raise();
  });
  running.then(onEnd, onEnd);
  while (!told.isOver && !signal.aborted) {
    await wakeup.next();
    const { latest } = told;
    told.latest = null;
    if (latest !== null) yield encodeEvents([{ event: 'progress', data: encodeRecord(latest) }]);
  }
  if (!signal.aborted) yield encodeEvents([{ event: 'result', data: toWireText(await running) }]);
}

/**
 * Reads the place where a reader was cut.
 *
 * @param text - `<executionId>:<eventId>`
 * @returns the place; null: it is none
 */
export function readCursor(text: string): Cursor | null {
  const [, executionId = '', eventId = ''] = /^(\d{1,15}):(\d{1,15})$/.exec(text) ?? [];
  return executionId === '' ? null : { executionId: Number(executionId), eventId: Number(eventId) };
}
