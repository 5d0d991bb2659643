// Runs every example as its own process, as a reader would.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const examples = join(dirname(import.meta.dirname), 'examples');
const temporary = mkdtempSync(join(tmpdir(), 'duraloom-examples-test-'));

afterAll(() => rmSync(temporary, { recursive: true }));

/** What each example must print: whole lines, or patterns of such. */
const OUTPUTS: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  'hello-world': ['Hello, Ada! Hello, Grace!'],
  'fan-out': [
    /^78498 primes below 1000000, counted by 20 activities on 2 threads in \d+ ms$/,
    /^longest pause of the main thread: [\d.]+ ms$/,
  ],
  saga: [
    'trip to lisbon:',
    '  booked the flight',
    '  booked the hotel',
    '  all booked: lisbon/flight, lisbon/hotel',
    'trip to oslo:',
    '  booked the flight',
    '  booked the hotel',
    '  the trip fails: no car left',
    '  gave back oslo/hotel',
    '  gave back oslo/flight',
    '  compensated: oslo/hotel, oslo/flight',
  ],
  'human-approval': [
    'expense-1 is waiting for somebody to approve 120 for books',
    'expense-1: paid 120 for books (expense-1), approved by Ada',
    'expense-2: nobody decided about a yacht: not paid',
  ],
  // Status changes that follow each other fast are seen as one, and a round may begin before the stop arrives.
  eternal: [
    /^round \d+: at most \d+ % of the memory in use$/,
    /^stopped after round (\d+): \1 executions, \d{1,2} events in the history of the last one$/,
  ],
  'own-provider': ['parcel-1 is packed', 'parcel-1 went to Ada by bicycle'],
  'versioned-packages': [
    'orchestrations: billing.invoice@2.0.0, billing.invoice@1.1.0, billing.invoice@1.0.0, shipping.ship@1.0.0',
    'activities: billing.charge, billing.tax, shipping.charge',
    '1.0.0 runs 1.0.0: charged 114 cents',
    '^1.0 runs 1.1.0: charged 115 cents',
    '>=1.0 <3 runs 2.0.0: charged 137 cents, 22 of them tax',
    'latest runs 2.0.0: charged 137 cents, 22 of them tax',
    'loaded a lamp, charged 2000 cents',
  ],
};

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

function runExample(name: string): Promise<Outcome> {
  const args = ['--conditions=duraloom-source', join(examples, name, 'main.ts')];
  const env = { ...process.env, TMPDIR: temporary, TMP: temporary, TEMP: temporary };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env, timeout: 25_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

describe('examples', () => {
  test('each one has its expected output here', () => {
    const names = readdirSync(examples).filter((name) => existsSync(join(examples, name, 'main.ts')));
    expect(names.toSorted()).toEqual(Object.keys(OUTPUTS).toSorted());
  });

  test.each(Object.entries(OUTPUTS))('%s runs, prints what it should and ends by itself', async (name, expected) => {
    const { code, stdout, stderr } = await runExample(name);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    if (name === 'eternal') {
      const [round, stopped] = expected;
      for (const line of lines.slice(0, -1)) expect(line).toMatch(round ?? '');
      expect(lines.at(-1)).toMatch(stopped ?? '');
    } else expect(lines).toEqual(expected.map((line) => (typeof line === 'string' ? line : (expect.stringMatching(line) as unknown))));
    expect(readdirSync(temporary)).toEqual([]);
  });
});
