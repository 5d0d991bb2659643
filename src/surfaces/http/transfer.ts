// Instances as lines of JSON, out and in, a line at a time. Neighbour: app.ts has the routes.
import type { Client } from '../../client/client.ts';
import { encodeRecord } from '../../types/codec.ts';
import { ArgumentError } from '../../types/errors.ts';
import type { FilterOptions } from '../operations/filters.ts';
import { parseJson } from './request-body.ts';

/** Longest line of an import, in UTF-16 units. Reason: one instance with all its history is one line. */
const MAX_LINE_UNITS: number = 256 * 1024 * 1024;

/**
 * Streams instances out.
 *
 * @param client - reads them
 * @param filter - which
 * @param onFailure - told when it breaks off; returns whether the connection was cut
 * @returns the response
 */
export function exportResponse(client: Client, filter: FilterOptions, onFailure: (error: unknown) => boolean): Response {
  const leaving = new AbortController();
  const lines = client.exportInstances(filter, { signal: leaving.signal });
  const encoder = new TextEncoder();
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    try {
      const next = await lines.next();
      if (leaving.signal.aborted) return;
      if (next.done === true) controller.close();
      else controller.enqueue(encoder.encode(`${encodeRecord(next.value)}\n`));
    } catch (error) {
      if (leaving.signal.aborted) return;
      // Half an export must not look like a whole one.
      if (!onFailure(error)) controller.error(error);
    }
  };
  const cancel = async (): Promise<void> => {
    leaving.abort();
    await lines.return();
  };
  return new Response(new ReadableStream({ pull, cancel }, { highWaterMark: 0 }), { headers: { 'content-type': 'application/x-ndjson' } });
}

/**
 * Reads lines of JSON.
 *
 * @param body - of a request; null: there is none
 * @yields the value of each line that is not empty
 * @throws {ArgumentError} for a line that is no JSON, or too long
 */
export async function* readLines(body: ReadableStream<Uint8Array> | null): AsyncGenerator {
  if (body === null) return;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parts: string[] = [];
  let units = 0;
  let line = 0;
  const reader = body.getReader();
  try {
    for (let isDone = false; !isDone;) {
      const next = await reader.read();
      isDone = next.done;
      const pieces = `${decode(decoder, next.value, line)}${isDone ? '\n' : ''}`.split('\n');
      for (const [index, piece] of pieces.entries()) {
        parts.push(piece);
        units += piece.length;
        if (units > MAX_LINE_UNITS)
          throw new ArgumentError(`Line ${line + 1} has more than ${MAX_LINE_UNITS} characters. Import it by itself`);
        if (index === pieces.length - 1) continue;
        line += 1;
        const text = parts.join('').trim();
        parts.length = 0;
        units = 0;
        if (text !== '') yield parseLine(text, line);
      }
    }
  } finally {
    await reader.cancel();
  }
}

function decode(decoder: InstanceType<typeof TextDecoder>, bytes: Uint8Array | undefined, line: number): string {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch (cause) {
    throw new ArgumentError(`Expected UTF-8, got something else after line ${line}`, { cause });
  }
}

function parseLine(text: string, line: number): unknown {
  const read = parseJson(text, `Line ${line}`);
  if ('refusal' in read) throw new ArgumentError(`${read.refusal.detail}. Export it again; the lines before it are imported`);
  return read.value;
}
