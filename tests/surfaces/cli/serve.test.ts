// `duraloom serve` and `duraloom mcp` as programs: a real HTTP client, the real client of the MCP SDK, while a host runs on the same file.
import { Client as McpClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collect, makePlace, PROGRAM, startHost, type CliHost, type CliPlace, type CliRun } from '../../support/cli.ts';

let place: CliPlace;
let host: CliHost;

beforeAll(async () => {
  place = await makePlace();
  host = await startHost(place.folder);
  await place.json(['start', 'answer', '--id', 'one', '--input', '1', '--wait']);
});

afterAll(async () => {
  // Those of tests that failed.
  for (const child of started) child.kill('SIGKILL');
  await host.stop();
  await place.remove();
});

const started: ChildProcess[] = [];

type Served = { readonly url: string; readonly child: ChildProcess; readonly ended: Promise<CliRun> };

/** Starts the program and waits for its address. */
async function startServe(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Served> {
  const child = spawn(process.execPath, [PROGRAM, 'serve', '--port', '0', '--json', ...words], {
    cwd: place.folder,
    env: { ...process.env, ...env },
  });
  started.push(child);
  const ended = collect(child);
  const [line] = (await Promise.race([once(child.stdout, 'data'), ended.then((run) => [JSON.stringify(run)])])) as [string];
  return { url: (JSON.parse(line) as { readonly url: string }).url, child, ended };
}

describe('serve', { timeout: 120_000 }, () => {
  test('serves the store until Ctrl-C, and ends with 0', async () => {
    const { url, child, ended } = await startServe([]);
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as { readonly openapi: string };
    expect(document.openapi).toMatch(/^3\.1/);
    const response = await fetch(`${url}/api/v1/instances/one`);
    expect(await response.text()).toContain('"Completed"');
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 0 });
  });

  test('asks for its token, and refuses to change anything when it is read only', async () => {
    await writeFile(join(place.folder, 'token'), 'a-token-that-is-long-enough\n');
    const { url, child, ended } = await startServe(['--token-file', 'token', '--read-only']);
    expect((await fetch(`${url}/api/v1/instances/one`)).status).toBe(401);
    const authorization = 'Bearer a-token-that-is-long-enough';
    expect((await fetch(`${url}/api/v1/instances/one`, { headers: { authorization } })).status).toBe(200);
    const write = await fetch(`${url}/api/v1/instances/one/terminate`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{}',
    });
    expect(write.status).toBe(403);
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ code: 0 });
  });

  test('refuses what cannot be served, with a message', async () => {
    const { url, child, ended } = await startServe([]);
    const [open, taken, both, missing] = await Promise.all([
      place.run(['serve', '--host', '0.0.0.0', '--port', '0'], { env: { DURALOOM_TOKEN: '' } }),
      place.run(['serve', '--port', new URL(url).port]),
      place.run(['serve', '--token', 'x', '--token-file', 'y']),
      place.run(['serve', '--store', 'missing.db']),
    ]);
    child.kill('SIGINT');
    await ended;
    expect(open).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/can be reached from other machines.*\(OPTION_INVALID\)/) as unknown,
    });
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringMatching(/EADDRINUSE.*another --port \(SERVER_FAILED\)/) as unknown });
    expect(both.code).toBe(2);
    expect(missing).toMatchObject({ code: 5, stderr: expect.stringContaining('(STORE_NOT_FOUND)') as unknown });
  });
});

describe('mcp', { timeout: 120_000 }, () => {
  /** Connects the SDK's client to the program. */
  async function connect(words: readonly string[]): Promise<McpClient> {
    const client = new McpClient({ name: 'test', version: '1.0.0' });
    const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined));
    await client.connect(new StdioClientTransport({ command: process.execPath, args: [PROGRAM, 'mcp', ...words], cwd: place.folder, env }));
    return client;
  }

  test('offers tools that look; with --allow-writes those that act, too', async () => {
    const [reader, writer] = await Promise.all([connect([]), connect(['--allow-writes'])]);
    try {
      const look = (await reader.listTools()).tools.map(({ name }) => name);
      const act = (await writer.listTools()).tools.map(({ name }) => name);
      expect(look.length).toBeGreaterThan(3);
      expect(act.length).toBeGreaterThan(look.length);
      expect(act).toEqual(expect.arrayContaining(look));
    } finally {
      await Promise.all([reader.close(), writer.close()]);
    }
  });

  test('ends with 0 when its client goes while a call waits', async () => {
    await place.json(['start', 'greet', '--id', 'waits']);
    const child = spawn(process.execPath, [PROGRAM, 'mcp'], { cwd: place.folder });
    started.push(child);
    const ended = collect(child);
    const send = (message: object): boolean => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } };
    send({ id: 1, method: 'initialize', params });
    send({ method: 'notifications/initialized' });
    send({ id: 2, method: 'tools/call', params: { name: 'wait_for_result', arguments: { id: 'waits', waitMs: 60_000 } } });
    send({ id: 3, method: 'tools/call', params: { name: 'get_meta' } });
    let seen = '';
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (text: string) => {
        seen += text;
        if (seen.includes('"id":3')) resolve();
      });
    });
    child.stdin.end();
    const { code, stderr } = await ended;
    expect([code, stderr]).toEqual([0, '']);
  }, 30_000);

  test('ends with 0 when its client goes', async () => {
    expect(await place.run(['mcp'])).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });
});
