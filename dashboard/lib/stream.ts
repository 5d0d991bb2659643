// Server-sent events by fetch: EventSource cannot send a token. After a break it goes on where it was, by Last-Event-ID. A page that is hidden
// listens to nothing: browsers allow a server six connections, and tabs that nobody looks at would take them all.
import { computed, signal } from '@preact/signals';
import { ApiError, messageOf, recoveries, send, urlOf } from './api.ts';
import { EventParser, type StreamEvent } from './event-parser.ts';
import type { Query } from './types.ts';

type StreamState =
  | { readonly kind: 'connecting' | 'open' }
  /** Broken: why, and it is tried again. */
  | { readonly kind: 'waiting'; readonly problem: string };

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
  return all.some(({ kind }) => kind === 'waiting') ? 'reconnecting' : 'live';
});

/** Why a stream is broken; null: none is. */
export const interruption = computed<string | null>(() => {
  for (const state of states.value.values()) if (state.kind === 'waiting') return state.problem;
  return null;
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
  setState(key, { kind: 'connecting' });
  while (!stop.aborted) {
    await shown(stop);
    const hidden = whenHidden();
    let problem = 'the connection broke';
    try {
      const headers = { accept: 'text/event-stream', ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
      const response = await send(url, { headers, signal: AbortSignal.any([stop, hidden.signal]) });
      setState(key, { kind: 'open' });
      for await (const event of readEvents(response)) {
        if (event.event === 'error') {
          problem = (JSON.parse(event.data) as { readonly detail: string }).detail;
          continue;
        }
        waitMs = FIRST_WAIT_MS;
        if (event.id !== '') lastId = event.id;
        onEvent(event);
      }
    } catch (error) {
      // Too many requests and troubles of the server pass; other refusals do not.
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
        if (!stop.aborted) onRefused?.(error);
        return;
      }
      if (error instanceof ApiError) problem = messageOf(error);
    } finally {
      hidden.forget();
    }
    if (stop.aborted) return;
    if (hidden.signal.aborted) continue;
    setState(key, { kind: 'waiting', problem });
    await pause(waitMs * (0.75 + Math.random() / 2), stop);
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  }
}

/** Waits until somebody can see the page. */
async function shown(stop: AbortSignal): Promise<void> {
  if (document.visibilityState === 'visible' || stop.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = new AbortController();
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && resolve(), { signal: done.signal });
  stop.addEventListener('abort', () => resolve(), { signal: done.signal });
  await promise;
  done.abort();
}

function whenHidden(): { readonly signal: AbortSignal; readonly forget: () => void } {
  const hidden = new AbortController();
  const onChange = (): void => {
    if (document.visibilityState === 'hidden') hidden.abort();
  };
  document.addEventListener('visibilitychange', onChange);
  return { signal: hidden.signal, forget: () => document.removeEventListener('visibilitychange', onChange) };
}

/** Ends at once when it is told to stop, or when the server or the network comes back. */
async function pause(ms: number, stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = (): void => resolve();
  const before = recoveries.peek();
  const unsubscribe = recoveries.subscribe((count) => count > before && resolve());
  stop.addEventListener('abort', wake);
  addEventListener('online', wake);
  await promise;
  clearTimeout(timer);
  unsubscribe();
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
    // A stream that broke off has told why; there is nothing left to cancel.
    await reader.cancel().catch(() => undefined);
  }
}

function setState(key: symbol, state: StreamState | null): void {
  const next = new Map(states.value);
  if (state === null) next.delete(key);
  else next.set(key, state);
  states.value = next;
}
