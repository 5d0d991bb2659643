// Server-sent events by fetch: EventSource cannot send a token. After a break it goes on where it was, by Last-Event-ID.
import { computed, signal } from '@preact/signals';
import { ApiError, send, urlOf } from './api.ts';
import { EventParser, type StreamEvent } from './event-parser.ts';
import type { Query } from './types.ts';

type StreamState = 'connecting' | 'open' | 'waiting';

/** What a user of a stream gives. */
export type StreamHandlers = {
  readonly onEvent: (event: StreamEvent) => void;
  /** The server refused, and will refuse again: nothing more comes. */
  readonly onRefused?: (error: ApiError) => void;
};

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

const states = signal<ReadonlyMap<symbol, StreamState>>(new Map());

/** How the streams of the page stand together; `none`: the page has none. */
export const connection = computed<'none' | 'live' | 'reconnecting'>(() => {
  const all = [...states.value.values()];
  if (all.length === 0) return 'none';
  return all.includes('waiting') ? 'reconnecting' : 'live';
});

/**
 * Listens to a stream until it is told to stop.
 *
 * @param path - of the route
 * @param query - its parameters
 * @param handlers - who gets the events
 * @param lastEventId - where to begin; empty: where the server begins
 * @returns ends it
 */
export function listen(path: string, query: Query, handlers: StreamHandlers, lastEventId = ''): () => void {
  const key = Symbol(path);
  const stop = new AbortController();
  void run(key, urlOf(path, query), handlers, lastEventId, stop.signal).finally(() => setState(key, null));
  return () => stop.abort();
}

async function run(key: symbol, url: URL, { onEvent, onRefused }: StreamHandlers, lastEventId: string, stop: AbortSignal): Promise<void> {
  let lastId = lastEventId;
  let waitMs = FIRST_WAIT_MS;
  setState(key, 'connecting');
  while (!stop.aborted) {
    try {
      const headers = { accept: 'text/event-stream', ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
      const response = await send(url, { headers, signal: stop });
      setState(key, 'open');
      waitMs = FIRST_WAIT_MS;
      for await (const event of readEvents(response)) {
        if (event.id !== '') lastId = event.id;
        onEvent(event);
      }
    } catch (error) {
      // Too many requests and troubles of the server pass; other refusals do not.
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
        if (!stop.aborted) onRefused?.(error);
        return;
      }
    }
    if (stop.aborted) return;
    setState(key, 'waiting');
    await pause(waitMs * (0.75 + Math.random() / 2), stop);
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  }
}

/** Ends at once when it is told to stop, or when the network comes back. */
async function pause(ms: number, stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = (): void => resolve();
  stop.addEventListener('abort', wake);
  addEventListener('online', wake);
  await promise;
  clearTimeout(timer);
  stop.removeEventListener('abort', wake);
  removeEventListener('online', wake);
}

async function* readEvents(response: Response): AsyncGenerator<StreamEvent> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function setState(key: symbol, state: StreamState | null): void {
  const next = new Map(states.value);
  if (state === null) next.delete(key);
  else next.set(key, state);
  states.value = next;
}
