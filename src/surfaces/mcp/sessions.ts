// MCP over HTTP: a server for each session, so many and no more, and none for ever. Neighbours: server.ts, ../http/app.ts mounts it behind its guard.
//
// M1. A session that nobody uses for a while ends. When there are too many, the one that was used longest ago goes.
import type { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { randomUUID } from 'node:crypto';
import { encodeRecord } from '../../types/codec.ts';
import { makeServer } from './server.ts';
import type { ToolContext } from './tools.ts';

/** Most sessions. */
const MAX_SESSIONS = 100;
/** How long a session may be unused, in milliseconds. */
const IDLE_MS = 30 * 60_000;

type Session = { readonly server: Server; readonly transport: WebStandardStreamableHTTPServerTransport; usedMs: number };

/** Sessions of the MCP server. */
export class McpSessions {
  readonly #context: ToolContext;
  readonly #limits: { readonly maxSessions: number; readonly idleMs: number; readonly maxBodyBytes: number };
  readonly #sessions = new Map<string, Session>();
  #sweep: NodeJS.Timeout | undefined;

  /**
   * @param context - what tools work with
   * @param limits - how many sessions, how long, how large a request
   */
  constructor(
    context: ToolContext,
    {
      maxSessions = MAX_SESSIONS,
      idleMs = IDLE_MS,
      maxBodyBytes,
    }: { readonly maxSessions?: number; readonly idleMs?: number; readonly maxBodyBytes: number },
  ) {
    this.#context = context;
    this.#limits = { maxSessions, idleMs, maxBodyBytes };
  }

  /** How many there are. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * Answers a request of the protocol.
   *
   * @param request - the request
   * @returns the response
   */
  async handle(request: Request): Promise<Response> {
    const id = request.headers.get('mcp-session-id');
    if (id === null) return await this.#begin(request);
    const session = this.#sessions.get(id);
    if (session === undefined) return protocolError(404, 'Session not found: begin a new one');
    session.usedMs = performance.now();
    // The newest is last.
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return await session.transport.handleRequest(request);
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    await Promise.all([...this.#sessions.keys()].map((id) => this.#end(id)));
  }

  async #begin(request: Request): Promise<Response> {
    if (request.method !== 'POST') return protocolError(400, 'Begin with an initialize request');
    const server = makeServer(this.#context);
    let begun: string | null = null;
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      maxRequestBodySize: this.#limits.maxBodyBytes,
      onsessioninitialized: async (id) => {
        begun = id;
        this.#sessions.set(id, { server, transport, usedMs: performance.now() });
        this.#sweep ??= setInterval(() => void this.#endIdle(), Math.min(this.#limits.idleMs, 60_000)).unref();
        const [oldest] = this.#sessions.keys();
        if (this.#sessions.size > this.#limits.maxSessions && oldest !== undefined) await this.#end(oldest);
      },
      onsessionclosed: (id) => void this.#sessions.delete(id),
    });
    await server.connect(transport);
    const response = await transport.handleRequest(request);
    // What did not begin a session leaves nothing behind.
    if (begun === null) await server.close();
    return response;
  }

  async #endIdle(): Promise<void> {
    const sinceMs = performance.now() - this.#limits.idleMs;
    for (const [id, { usedMs }] of this.#sessions) if (usedMs < sinceMs) await this.#end(id);
  }

  async #end(id: string): Promise<void> {
    const session = this.#sessions.get(id);
    this.#sessions.delete(id);
    await session?.server.close();
  }
}

function protocolError(status: number, message: string): Response {
  return new Response(encodeRecord({ jsonrpc: '2.0', error: { code: -32_001, message }, id: null }), {
    status,
    headers: { 'content-type': 'application/json' },
  });
}
