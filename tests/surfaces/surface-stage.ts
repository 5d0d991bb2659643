// A store in a file, a runtime in threads and an HTTP server on it, for the tests of the surfaces; and clients that talk to it.
import { LogTail, type Client, type Runtime, type RuntimeOptions } from 'duraloom';
import { serve, type HttpServer, type ServeOptions } from 'duraloom/http';
import type { SqliteProvider } from 'duraloom/sqlite';
import { connect } from 'node:net';
import { Stage } from '../support/integration-stage.ts';

/** The modules of the fixtures. */
export const surfaceModules: { readonly orchestrations: URL; readonly activities: URL } = {
  orchestrations: new URL('fixtures/orchestrations.ts', import.meta.url),
  activities: new URL('fixtures/activities.ts', import.meta.url),
};

/** All that a test of a surface needs. */
export type Surface = AsyncDisposable & {
  readonly stage: Stage;
  readonly provider: SqliteProvider;
  readonly client: Client;
  readonly runtime: Runtime;
  readonly logs: LogTail;
  readonly server: HttpServer;
};

/** Opens all of it; the server looks for changes often. */
export async function openSurface(options: Partial<ServeOptions> = {}, runtimeOptions: Partial<RuntimeOptions> = {}): Promise<Surface> {
  const stage = new Stage();
  try {
    const logs = new LogTail();
    const opened = await stage.open({ ...surfaceModules, replayThreads: 1, activityThreads: 1, logger: logs, ...runtimeOptions });
    const { provider, client, runtime } = opened;
    const server = await serve({ client, provider, runtimes: [runtime], logs, port: 0, pollMs: 20, ...options });
    stage.defer(() => server.close());
    return { stage, provider, client, runtime, logs, server, [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose]() };
  } catch (error) {
    await stage[Symbol.asyncDispose]();
    throw error;
  }
}

/** An answer, read. */
export type Answer = { readonly status: number; readonly headers: Headers; readonly body: Record<string, unknown>; readonly text: string };

/** Sends a request to the API; an object as body is JSON. */
export async function ask(
  server: { readonly url: string },
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  const { body, headers } = options;
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { ...(method === 'POST' && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parse(text), text };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Sends bytes as they are, and gives back all that comes until the other side closes. */
export function sendRaw(port: number, request: string | readonly Buffer[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => {
      for (const part of typeof request === 'string' ? [request] : request) socket.write(part);
    });
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => (answer += chunk));
    socket.on('close', () => resolve(answer));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(answer) : reject(error),
    );
  });
}

/** One server-sent event. */
export type SseEvent = { readonly event: string; readonly id: string | null; readonly data: Record<string, unknown> };

/** Reads a stream of events. */
export async function* readEvents(
  server: { readonly url: string },
  path: string,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal } = {},
): AsyncGenerator<SseEvent> {
  yield* parseEvents(await fetch(`${server.url}${path}`, options));
}

/** Reads the events of an answer. */
export async function* parseEvents(response: Response): AsyncGenerator<SseEvent> {
  if (response.status !== 200 || response.body === null) throw new TypeError(`no stream: ${response.status} ${await response.text()}`);
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = `${rest}${chunk}`.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string): string | null => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? null;
      const event = field('event');
      if (event !== null) yield { event, id: field('id'), data: JSON.parse(field('data') ?? '{}') as Record<string, unknown> };
    }
  }
}

/** Reads events until one fits; gives all of them. */
export async function eventsUntil(events: AsyncGenerator<SseEvent>, fits: (event: SseEvent) => boolean): Promise<readonly SseEvent[]> {
  const seen: SseEvent[] = [];
  for (;;) {
    const next = await events.next();
    if (next.done === true) throw new TypeError(`the stream ended after ${JSON.stringify(seen).slice(0, 2_000)}`);
    seen.push(next.value);
    if (fits(next.value)) return seen;
  }
}
