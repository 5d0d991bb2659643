// The MCP server as its clients meet it: the SDK's client over the pipes of a process, and over HTTP.
import { Client as McpClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { createMcpServer, type McpOptions } from 'duraloom/mcp';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { McpSessions } from '../../../src/surfaces/mcp/sessions.ts';
import { MAX_RESULT_UNITS } from '../../../src/surfaces/mcp/bounded.ts';
import { toToolName } from '../../../src/surfaces/mcp/tools.ts';
import { operations } from '../../../src/surfaces/operations/operations.ts';
import { silentLogger } from '../../../src/types/logger.ts';
import { ask, openSurface, type Surface } from '../surface-stage.ts';

type Json = Readonly<Record<string, unknown>>;
type Called = { readonly isError: boolean; readonly result: Json; readonly texts: readonly string[] };

const TOKEN = 'correct-horse-battery-staple';
const main = new URL('stdio-main.ts', import.meta.url).pathname;

let surface: Surface;

beforeAll(async () => {
  surface = await openSurface({ mcp: { allowWrites: true }, token: TOKEN });
  await surface.client.startOrchestration('asks/1', 'approval', 'please');
  await surface.client.waitForCustomStatus('asks/1', { afterVersion: 0, timeout: '20s' });
});
afterAll(() => surface[Symbol.asyncDispose]());

async function connect(transport: Transport): Promise<McpClient> {
  const client = new McpClient({ name: 'test', version: '1.0.0' });
  onTestFinished(() => client.close());
  await client.connect(transport);
  return client;
}

/** A client that talks to a process over its pipes. */
function overPipes(...args: readonly string[]): Promise<McpClient> {
  const env = { PATH: process.env['PATH'] ?? '' };
  return connect(
    new StdioClientTransport({
      command: process.execPath,
      args: ['--conditions=duraloom-source', main, surface.stage.file(), ...args],
      env,
    }),
  );
}

/** A client that talks to the HTTP server. */
function overHttp(headers: Readonly<Record<string, string>> = { authorization: `Bearer ${TOKEN}` }): Promise<McpClient> {
  return connect(new StreamableHTTPClientTransport(new URL(`${surface.server.url}/mcp`), { requestInit: { headers } }));
}

/** A client in the same process, for what needs no connection. */
async function inMemory(options: Partial<McpOptions> = {}): Promise<McpClient> {
  const [left, right] = InMemoryTransport.createLinkedPair();
  const server = await createMcpServer({ client: surface.client, ...options });
  onTestFinished(() => server.close());
  await server.connect(left);
  return connect(right);
}

async function call(client: McpClient, name: string, args: Json = {}): Promise<Called> {
  const { isError, structuredContent, content } = await client.callTool({ name, arguments: args });
  const texts = (content as readonly { readonly text: string }[]).map(({ text }) => text);
  return { isError: isError === true, result: (structuredContent ?? JSON.parse(texts[0] ?? '{}')) as Json, texts };
}

describe.each([
  ['pipes', () => overPipes('writes')],
  ['HTTP', () => overHttp()],
])('over %s', (_, open) => {
  test('a client finds out why an instance waits, raises its event, and sees it complete', async () => {
    const client = await open();
    const id = `stuck/${Math.random()}`;
    expect(client.getServerVersion()?.name).toBe('duraloom');
    expect(client.getInstructions()).toContain('explain_waiting');
    expect(await call(client, 'start_instance', { instanceId: id, name: 'approval', input: { amount: 3 } })).toMatchObject({
      isError: false,
    });
    await surface.client.waitForCustomStatus(id, { afterVersion: 0, timeout: '20s' });
    const list = await call(client, 'list_instances', { status: ['Running'], search: id });
    expect(list.result).toMatchObject({ instances: [{ instanceId: id, name: 'approval' }] });
    expect(JSON.parse(list.texts[0] ?? '')).toEqual(list.result);
    expect((await call(client, 'explain_waiting', { id })).result).toMatchObject({ waits: [{ kind: 'event', name: 'decision' }] });
    expect((await call(client, 'read_history', { id, limit: 2 })).result).toMatchObject({ nextAfterEventId: 2 });
    expect((await call(client, 'raise_event', { id, name: 'decision', data: 'yes' })).result).toEqual({ delivered: true });
    expect((await call(client, 'wait_for_result', { id })).result).toMatchObject({ status: 'Completed', result: { recorded: 'yes' } });
    expect((await call(client, 'get_queue_depths')).result).toHaveProperty('workItems');
    expect((await call(client, 'list_runtimes')).result).toMatchObject({ runtimes: [{ runtimeId: surface.runtime.runtimeId }] });
  });

  test('resources are recent instances and their histories', async () => {
    const client = await open();
    const { resources } = await client.listResources();
    const uri = 'duraloom://instances/asks%2F1/history';
    expect(resources).toContainEqual(expect.objectContaining({ uri, name: 'asks/1' }));
    const read = async (wanted: string): Promise<Json> => {
      const { contents } = await client.readResource({ uri: wanted });
      return JSON.parse((contents[0] as { readonly text: string }).text) as Json;
    };
    expect(await read(uri)).toMatchObject({ instanceId: 'asks/1', executionId: 1, events: [{ kind: 'OrchestrationStarted' }, {}, {}, {}] });
    expect(await read(`${uri}?afterEventId=2`)).toMatchObject({ events: [{ id: 3 }, { id: 4 }] });
    expect(await read('duraloom://instances/asks%2F1')).toMatchObject({ instanceId: 'asks/1', status: 'Running' });
    expect(await read('duraloom://instances')).toHaveProperty('instances');
    expect((await client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual([
      'duraloom://instances/{id}/history{?executionId,afterEventId}',
      'duraloom://instances/{id}',
    ]);
    for (const wrong of [
      'duraloom://instances/nobody/history',
      'duraloom://instances/%E0%A4%A',
      'duraloom://else',
      'file:///etc/passwd',
      `${uri}?limit=x`,
    ]) {
      await expect(client.readResource({ uri: wrong })).rejects.toMatchObject({ code: -32_002 });
    }
  });
});

describe('tools', () => {
  test('are all operations that are meant to be, with hints that are true', async () => {
    const client = await inMemory({ allowWrites: true, logs: surface.logs });
    const { tools } = await client.listTools();
    const wanted = operations.filter(({ isTool }) => isTool);
    expect(tools.map(({ name }) => name)).toEqual(wanted.map(({ name }) => toToolName(name)));
    for (const [index, tool] of tools.entries()) {
      const operation = wanted[index];
      expect(tool.annotations).toMatchObject({
        readOnlyHint: operation?.isWrite === false,
        destructiveHint: operation?.isDestructive,
        idempotentHint: operation?.isIdempotent,
        openWorldHint: false,
      });
      expect(tool.inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
      expect(tool.outputSchema).toMatchObject({ type: 'object' });
      expect((tool.description ?? '').length).toBeGreaterThan(20);
    }
    expect(tools.find(({ name }) => name === 'terminate_instance')?.annotations).toMatchObject({
      readOnlyHint: false,
      destructiveHint: true,
    });
    expect((await call(client, 'read_logs', { instanceId: 'asks/1' })).result).toMatchObject({ entries: [{ message: 'asking' }] });
  });

  test('that write are neither listed nor run when they are not allowed; logs are no tool where none are kept', async () => {
    const client = await overPipes();
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).toEqual(
      operations.filter(({ isTool, isWrite, name }) => isTool && !isWrite && name !== 'readLogs').map(({ name }) => toToolName(name)),
    );
    expect(await call(client, 'terminate_instance', { id: 'asks/1' })).toMatchObject({ isError: true, result: { code: 'READ_ONLY' } });
    expect((await surface.client.getState('asks/1'))?.status).toBe('Running');
    await expect(client.callTool({ name: 'read_logs', arguments: {} })).rejects.toMatchObject({ code: -32_602 });
    await expect(client.callTool({ name: 'run_anything', arguments: {} })).rejects.toMatchObject({ code: -32_602 });
  });

  test('tell what is wrong and what to do', async () => {
    const client = await inMemory({ allowWrites: true });
    expect(await call(client, 'get_instance', { id: 'nobody' })).toMatchObject({
      isError: true,
      result: {
        code: 'INSTANCE_NOT_FOUND',
        message: expect.stringContaining('nobody') as string,
        advice: expect.stringContaining('list_instances') as string,
      },
    });
    expect(await call(client, 'start_instance', { instanceId: 'asks/1', name: 'approval' })).toMatchObject({
      result: { code: 'INSTANCE_EXISTS' },
    });
    expect(await call(client, 'wait_for_result', { id: 'asks/1', waitMs: 1 })).toMatchObject({ result: { code: 'WAIT_TIMEOUT' } });
    for (const args of [{}, { id: 5 }, { id: 'x', other: 1 }]) {
      expect(await call(client, 'get_instance', args)).toMatchObject({ isError: true, result: { code: 'REQUEST_INVALID' } });
    }
    expect(await call(client, 'list_instances', { cursor: 'foreign' })).toMatchObject({
      isError: true,
      result: { code: 'ARGUMENT_INVALID' },
    });
  });

  test('keep results small: pages get shorter and go on, long texts are cut', async () => {
    await surface.client.startOrchestration('large', 'chatty', { count: 100, size: 5_000 });
    await expect.poll(async () => (await surface.client.getState('large'))?.eventCount).toBe(102);
    const client = await inMemory();
    const seen: number[] = [];
    for (let after: unknown = 0; after !== null;) {
      const { result, texts } = await call(client, 'read_history', { id: 'large', afterEventId: after });
      expect(texts[0]?.length).toBeLessThanOrEqual(MAX_RESULT_UNITS);
      seen.push(...(result['events'] as readonly { readonly id: number }[]).map(({ id }) => id));
      after = result['nextAfterEventId'];
    }
    expect(seen).toEqual(Array.from({ length: 102 }, (_, index) => index + 1));
    await surface.client.startOrchestration('huge', 'approval', { texts: Array.from({ length: 30 }, () => 'x'.repeat(2_000)) });
    await surface.client.waitForCustomStatus('huge', { afterVersion: 0, timeout: '20s' });
    const { result, texts } = await call(client, 'get_values', { id: 'huge' });
    expect(texts).toEqual([expect.stringContaining('(cut, 2000 characters)') as string, expect.stringContaining('cut') as string]);
    expect(texts[0]?.length).toBeLessThanOrEqual(MAX_RESULT_UNITS);
    expect(result).toMatchObject({ values: [{ key: 'input' }] });
  });

  test('keep objects with many keys, and lists within lists, small as well', async () => {
    const client = await inMemory();
    // The client of the SDK holds results to the schemas that it was told.
    await client.listTools();
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`key number ${index}`, { index, text: 'x'.repeat(20) }]));
    const nested = Array.from({ length: 300 }, () => Array.from({ length: 300 }, () => 'y'));
    for (const [id, input] of [
      ['wide', wide],
      ['nested', nested],
    ] as const) {
      await surface.client.startOrchestration(id, 'approval', input);
      await expect.poll(async () => (await surface.client.getState(id))?.eventCount).toBeGreaterThan(0);
      const { isError, texts } = await call(client, 'read_history', { id, limit: 1 });
      expect(isError).toBe(false);
      expect(texts[0]?.length).toBeLessThanOrEqual(MAX_RESULT_UNITS);
      expect(texts[0]).toContain('OrchestrationStarted');
      expect(texts[1]).toContain('cut');
    }
  });

  test('are taught by a skill that knows every kind of wait', () => {
    const skill = readFileSync(new URL('../../../docs/skills/duraloom/SKILL.md', import.meta.url), 'utf8');
    const source = readFileSync(new URL('../../../src/client/explain.ts', import.meta.url), 'utf8');
    const [, waits = ''] = /export type Wait =([^]*?)\n\);/.exec(source) ?? [];
    const kinds = [...waits.matchAll(/readonly kind: '(\w+)'/g)].map(([, kind]) => kind);
    expect(kinds.length).toBeGreaterThan(5);
    expect(kinds.filter((kind) => !skill.includes(`- \`${kind}\``))).toEqual([]);
  });

  test('cost a model little to know', async () => {
    const client = await inMemory({ allowWrites: true });
    const text = JSON.stringify((await client.listTools()).tools);
    expect(text).not.toContain('"pattern":"');
    expect(text.length).toBeLessThan(45_000);
  });

  test('that wait are given up when the caller gives up', async () => {
    const client = await inMemory();
    const abort = new AbortController();
    const waiting = client.callTool({ name: 'wait_for_result', arguments: { id: 'asks/1', waitMs: 60_000 } }, undefined, {
      signal: abort.signal,
    });
    abort.abort(new RangeError('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect((await call(client, 'get_instance', { id: 'asks/1' })).result).toMatchObject({ status: 'Running' });
  });
});

describe('over HTTP', () => {
  test('the guard of the server holds: token, host and origin', async () => {
    await expect(overHttp({})).rejects.toThrow(/401|Unauthorized/i);
    await expect(overHttp({ authorization: `Bearer ${TOKEN}`, origin: 'https://evil.example' })).rejects.toThrow(/403|ORIGIN_NOT_ALLOWED/);
    expect(await ask(surface.server, 'POST', '/mcp', { body: {} })).toMatchObject({ status: 401 });
  });

  test('what is no session is refused', async () => {
    const headers = { authorization: `Bearer ${TOKEN}`, accept: 'application/json, text/event-stream' };
    expect((await ask(surface.server, 'POST', '/mcp', { body: {}, headers: { ...headers, 'mcp-session-id': 'stolen' } })).status).toBe(404);
    expect((await ask(surface.server, 'GET', '/mcp', { headers })).status).toBe(400);
    expect((await ask(surface.server, 'POST', '/mcp', { body: { jsonrpc: '2.0', id: 1, method: 'tools/list' }, headers })).status).toBe(
      400,
    );
    expect((await ask(surface.server, 'POST', '/mcp', { body: 'x'.repeat(6 * 1024 * 1024), headers })).status).toBe(413);
  });

  test('sessions do not touch each other: one ends with its calls, the other goes on', async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const transport = new StreamableHTTPClientTransport(new URL(`${surface.server.url}/mcp`), { requestInit: { headers } });
    const [ending, staying] = [await connect(transport), await overHttp()];
    const ended = call(ending, 'wait_for_result', { id: 'asks/1', waitMs: 60_000 }).then(
      () => 'answered',
      () => 'ended',
    );
    const id = `both/${Math.random()}`;
    await call(staying, 'start_instance', { instanceId: id, name: 'approval' });
    const result = call(staying, 'wait_for_result', { id, waitMs: 20_000 });
    const session = transport.sessionId ?? '';
    await transport.terminateSession();
    await ending.close();
    expect(await ended).toBe('ended');
    expect((await ask(surface.server, 'POST', '/mcp', { body: {}, headers: { ...headers, 'mcp-session-id': session } })).status).toBe(404);
    await call(staying, 'raise_event', { id, name: 'decision', data: 'yes' });
    expect((await result).result).toMatchObject({ status: 'Completed' });
  });

  test('a server that closes does not wait for waits', async () => {
    const closing = await openSurface({ mcp: true });
    onTestFinished(() => closing[Symbol.asyncDispose]());
    await closing.client.startOrchestration('waits', 'approval');
    const client = await connect(new StreamableHTTPClientTransport(new URL(`${closing.server.url}/mcp`)));
    const waiting = call(client, 'wait_for_result', { id: 'waits', waitMs: 60_000 }).then(
      () => 'answered',
      () => 'ended',
    );
    // The call is under way when one that was sent after it is answered.
    await call(client, 'get_meta');
    await closing.server.close();
    await client.close();
    expect(await waiting).toBe('ended');
  }, 30_000);

  test('a server that only reads has no tools that write', async () => {
    const reading = await openSurface({ mcp: { allowWrites: true }, readOnly: true });
    onTestFinished(() => reading[Symbol.asyncDispose]());
    const transport = new StreamableHTTPClientTransport(new URL(`${reading.server.url}/mcp`));
    const { tools } = await (await connect(transport)).listTools();
    expect(tools.every(({ annotations }) => annotations?.readOnlyHint === true)).toBe(true);
  });

  test('sessions are so many and no more, and end when nobody uses them', async () => {
    const { client } = surface;
    const context = {
      surface: { client, storeName: null, runtimes: [], logs: null, isReadOnly: true, hasMetrics: false, hasMcp: true },
      allowWrites: false,
      logger: silentLogger,
    };
    const sessions = new McpSessions(context, { maxSessions: 2, idleMs: 100, maxBodyBytes: 10_000 });
    onTestFinished(() => sessions.close());
    const begin = async (): Promise<string> => {
      const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } };
      const response = await sessions.handle(
        new Request('http://localhost/mcp', {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
        }),
      );
      await response.text();
      return response.headers.get('mcp-session-id') ?? '';
    };
    const [first] = [await begin(), await begin(), await begin()];
    expect(sessions.size).toBe(2);
    const late = await sessions.handle(new Request('http://localhost/mcp', { headers: { 'mcp-session-id': first ?? '' } }));
    expect(late.status).toBe(404);
    await expect.poll(() => sessions.size).toBe(0);
  });
});

test('a server on pipes ends with its client', async () => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: ['--conditions=duraloom-source', main, surface.stage.file()],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  const client = await connect(transport);
  const { pid } = transport;
  await client.close();
  const isAlive = (): boolean => {
    try {
      return process.kill(pid ?? 0, 0);
    } catch {
      return false;
    }
  };
  await expect.poll(isAlive).toBe(false);
});
