// A response of server-sent events, pulled by its reader. Neighbours: streams.ts has the events, app.ts counts the streams.
//
// V1. A reader gets the next piece when it has taken the one before: what it does not take is never made. Nothing is queued here.
// V2. A reader that takes nothing for `stallMs` is cut; one that gets nothing for a while gets a comment, so that both sides know the other is there.
// V3. However it ends (reader gone, cut, source at its end, server closing), the source is told by its signal and `onEnd` is called, once.
import { DurableError } from '../../types/errors.ts';

/** One event as text. */
export type StreamEvent = { readonly event: string; readonly data: string; readonly id?: string };

/** Longest silence, in milliseconds. Reason: proxies give up after a minute. */
const HEARTBEAT_MS = 15_000;

/** How a stream is served. */
export type EventStreamOptions = {
  readonly stallMs: number;
  /** Of the request: ends the stream. */
  readonly signal: AbortSignal;
  /** Cuts the connection; null: there is none to cut. */
  readonly cut: (() => void) | null;
  /** Writes the last event of a source that failed. */
  readonly onFailure: (error: unknown) => StreamEvent;
  readonly onEnd: () => void;
};

/** A stream that is being served. */
export type EventStream = {
  readonly response: Response;
  /** Ends it from this side. */
  readonly end: () => void;
};

/**
 * Writes events.
 *
 * @param events - to write
 * @returns their text
 */
export function encodeEvents(events: readonly StreamEvent[]): string {
  return events
    .map(({ event, data, id }) => `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data.replaceAll('\n', '\ndata: ')}\n\n`)
    .join('');
}

/**
 * Serves events.
 *
 * @param source - makes pieces of text until its signal is aborted
 * @param options - how
 * @returns the response
 */
export function eventStream(source: (signal: AbortSignal) => AsyncGenerator<string>, options: EventStreamOptions): EventStream {
  const ending = new AbortController();
  const pieces = source(ending.signal);
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<string>> | null = null;
  let stall: NodeJS.Timeout | undefined;
  const end = (): void => {
    if (ending.signal.aborted) return;
    clearTimeout(stall);
    options.signal.removeEventListener('abort', end);
    ending.abort();
    // One whose reader takes nothing more stands at a piece, where no signal reaches it: it would watch for ever.
    void pieces.return(undefined);
    options.onEnd();
  };
  options.signal.addEventListener('abort', end, { once: true });
  if (options.signal.aborted) queueMicrotask(end);

  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    clearTimeout(stall);
    next ??= nextPiece(pieces, options.onFailure);
    const piece = await orSilence(next);
    if (piece !== null) next = null;
    if (piece?.done === true) {
      end();
      controller.close();
      return;
    }
    controller.enqueue(encoder.encode(piece?.value ?? ': keep-alive\n\n'));
    if (ending.signal.aborted) return;
    stall = setTimeout(() => {
      end();
      if (options.cut === null) controller.error(new DurableError('TIMEOUT', 'the reader of the stream took nothing for too long'));
      else options.cut();
    }, options.stallMs);
  };
  const cancel = async (): Promise<void> => {
    end();
    await pieces.return(undefined);
  };
  const body = new ReadableStream<Uint8Array>({ pull, cancel }, { highWaterMark: 0 });
  const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
  return { response: new Response(body, { headers }), end };
}

/** A source that fails ends with an event that says so. */
async function nextPiece(pieces: AsyncGenerator<string>, onFailure: EventStreamOptions['onFailure']): Promise<IteratorResult<string>> {
  try {
    return await pieces.next();
  } catch (error) {
    return { done: false, value: encodeEvents([onFailure(error)]) };
  }
}

/** The next piece, or null when it is time for a sign of life. */
async function orSilence(next: Promise<IteratorResult<string>>): Promise<IteratorResult<string> | null> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), HEARTBEAT_MS);
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}
