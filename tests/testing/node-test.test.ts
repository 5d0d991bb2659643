// The test kit is no matter of the test runner: its tests run under Node's own, in a process that ends by itself.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const fixture = fileURLToPath(new URL('fixtures/under-node-test.ts', import.meta.url));

test('the kit works under node --test', async () => {
  const { code, stdout } = await new Promise<{ readonly code: number; readonly stdout: string }>((resolve) => {
    const args = ['--conditions=duraloom-source', '--test', '--test-reporter=tap', fixture];
    // What the runner around this test has set would make Node's own report to a parent.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    execFile(process.execPath, args, { env }, (error, text) => resolve({ code: error === null ? 0 : Number(error.code), stdout: text }));
  });
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^# tests 5$[^]*^# pass 5$[^]*^# fail 0$/m) as string });
});
