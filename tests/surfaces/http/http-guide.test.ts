// docs/http-api.md as a reader would use it: its commands are run against a real server, and what they print is what it says.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HttpCode } from '../../../src/surfaces/http/problem.ts';
import { operations } from '../../../src/surfaces/operations/operations.ts';
import { toToolName } from '../../../src/surfaces/mcp/tools.ts';
import { openSurface, type Surface } from '../surface-stage.ts';

const run = promisify(execFile);
const docs = new URL('../../../docs/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, docs), 'utf8');
const guide = read('http-api.md');
/** Commands, each with the JSON that it prints, where the guide shows it. */
const steps = [...guide.matchAll(/^```sh\n([^]*?)^```\n(?:\n```json\n([^]*?)^```)?/gm)].map(([, command = '', output]) => ({
  command,
  output,
}));

let surface: Surface;

beforeAll(async () => {
  surface = await openSurface();
});
afterAll(() => surface[Symbol.asyncDispose]());

describe('the guide to the HTTP API', () => {
  test('walks through commands that work and print what it says', async () => {
    expect(steps.length).toBeGreaterThan(8);
    for (const { command, output } of steps) {
      const { stdout } = await run('sh', ['-euc', command], { env: { ...process.env, URL: surface.server.url } });
      if (output === undefined) expect(stdout).toMatch(/^event: (?:end|result)$/m);
      else expect({ command, printed: JSON.parse(stdout) as unknown }).toMatchObject({ command, printed: JSON.parse(output) as unknown });
    }
  });

  test('names every route and every code', () => {
    const last = operations.map(({ http }) => http.path.split('/').at(-1) ?? '').filter((part) => part !== '');
    expect(last.filter((part) => !guide.includes(part))).toEqual([]);
    const codes: Readonly<Record<HttpCode, true>> = {
      BODY_INVALID: true,
      BODY_TOO_LARGE: true,
      HOST_NOT_ALLOWED: true,
      IDEMPOTENCY_KEY_INVALID: true,
      IDEMPOTENCY_KEY_REUSED: true,
      INTERNAL_ERROR: true,
      MEDIA_TYPE: true,
      METHOD_NOT_ALLOWED: true,
      NOT_OFFERED: true,
      ORIGIN_NOT_ALLOWED: true,
      RATE_LIMITED: true,
      READ_ONLY: true,
      REQUEST_INVALID: true,
      REQUEST_TIMEOUT: true,
      ROUTE_NOT_FOUND: true,
      TOO_MANY_STREAMS: true,
      UNAUTHORIZED: true,
    };
    expect(Object.keys(codes).filter((code) => !guide.includes(`\`${code}\``))).toEqual([]);
  });
});

test('the guide to the MCP server names every tool, and the skill names no other', () => {
  const names = new Set(operations.filter(({ isTool }) => isTool).map(({ name }) => toToolName(name)));
  const mcp = read('mcp.md');
  expect([...names].filter((name) => !mcp.includes(`\`${name}\``))).toEqual([]);
  const skill = read('skills/duraloom/SKILL.md');
  const [, header = ''] = /^---\n([^]*?)\n---\n/.exec(skill) ?? [];
  expect(header).toMatch(/^name: duraloom\ndescription: \S.{50,}$/);
  const named = [...skill.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, name = '']) => name);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !names.has(name))).toEqual([]);
});
