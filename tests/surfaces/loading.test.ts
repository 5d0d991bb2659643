// Who asks for no surface loads nothing of them; who asks for one without its packages is told which.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { stage } from '../support/integration-stage.ts';

const run = promisify(execFile);
const quietHost = new URL('fixtures/quiet-host.ts', import.meta.url).pathname;
const recordLoads = new URL('fixtures/record-loads.ts', import.meta.url).pathname;
const missingPackages = new URL('fixtures/missing-packages.ts', import.meta.url).pathname;
const PACKAGES = [
  'hono',
  '@hono/node-server',
  'zod',
  '@modelcontextprotocol/sdk',
  'commander',
  'prom-client',
  'cli-progress',
  'string-width',
];

test('a host that runs an orchestration on a file loads no surface and none of their packages', async () => {
  const stand = stage();
  const args = ['--conditions=duraloom-source', `--import=${recordLoads}`, quietHost, stand.file()];
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, LOADED: stand.file('loaded.txt') } });
  expect(JSON.parse(stdout)).toEqual({ recorded: 42 });
  const loaded = readFileSync(stand.file('loaded.txt'), 'utf8').split('\n');
  // Of the main thread and of both kinds of threads.
  for (const name of ['runtime.ts', 'replay-thread.ts', 'activity-thread.ts']) expect(loaded.some((url) => url.endsWith(name))).toBe(true);
  expect(loaded.filter((url) => url.includes('/src/')).length).toBeGreaterThan(50);
  expect(loaded.filter((url) => url.includes('/src/surfaces/'))).toEqual([]);
  expect(loaded.filter((url) => PACKAGES.some((name) => url.includes(`/node_modules/${name}/`)))).toEqual([]);
});

describe('a package that is not installed', () => {
  const call = {
    'duraloom/http': `const { serve } = await import('duraloom/http'); await serve({ client, port: 0 });`,
    'duraloom/http with mcp': `const { serve } = await import('duraloom/http'); await serve({ client, port: 0, mcp: true });`,
    'duraloom/mcp': `const { createMcpServer } = await import('duraloom/mcp'); await createMcpServer({ client });`,
  } as const;

  test.each([
    ['hono', 'duraloom/http'],
    ['@hono/node-server', 'duraloom/http'],
    ['zod', 'duraloom/http'],
    ['@modelcontextprotocol/sdk', 'duraloom/http with mcp'],
    ['zod', 'duraloom/mcp'],
    ['@modelcontextprotocol/sdk', 'duraloom/mcp'],
  ] as const)('is named: %s for %s', async (name, surface) => {
    const code = `
      import { Client } from 'duraloom';
      import { MemoryProvider } from 'duraloom/memory';
      const client = new Client(new MemoryProvider());
      try { ${call[surface]} console.log('served'); } catch (error) { console.log(error.code, error.message); }`;
    const args = ['--conditions=duraloom-source', `--import=${missingPackages}`, '--input-type=module', '--eval', code];
    const { stdout } = await run(process.execPath, args, { env: { ...process.env, MISSING: name } });
    expect(stdout).toMatch(/^SURFACE_DEPENDENCY_MISSING /);
    expect(stdout).toContain(`the package '${name}'`);
    expect(stdout).toMatch(/npm install .*zod/);
  });
});
