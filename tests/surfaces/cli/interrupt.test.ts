// Interrupts of a program that waits for something that never comes: input that says nothing, a reader that is stuck, a pipe that nobody opens.
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { collect, makePlace, PROGRAM, type CliPlace } from '../../support/cli.ts';

/** More than pipes and sockets hold. */
const MUCH = 3_000_000;
/** Instances that import writes at a time. */
const BATCH = 20;
const TOLD = 'error: Interrupted (INTERRUPTED)\n';

let place: CliPlace;

beforeAll(async () => {
  place = await makePlace();
  await fill('big.db', async (client) => void (await client.startOrchestration('big', 'nobody', 'x'.repeat(MUCH))));
});

afterAll(() => place.remove());

/** Makes a store, which nobody has open afterwards. */
async function fill(name: string, act: (client: Client) => Promise<void>): Promise<void> {
  const provider = await SqliteProvider.open(join(place.folder, name));
  try {
    await act(new Client(provider));
  } finally {
    await provider.close();
  }
}

/** Starts the program; its input stays open. */
function start(words: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [PROGRAM, ...words], { cwd: place.folder });
  child.stdin.on('error', () => undefined);
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

function makePipe(name: string): string {
  const pipe = join(place.folder, name);
  expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
  return pipe;
}

describe('the first interrupt', { timeout: 60_000 }, () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s ends an import whose input says nothing more, and says what is in the store',
    async (signal) => {
      const exported = `from-${signal}.db`;
      await fill(exported, async (client) => {
        for (let number = 0; number <= BATCH; number += 1) await client.startOrchestration(`i${number}`, 'nobody');
      });
      const { stdout: lines } = await place.run(['export', '--store', exported]);
      await fill(`to-${signal}.db`, async (client) => {
        const child = start(['import', '-', '--store', `to-${signal}.db`]);
        const ended = collect(child);
        child.stdin.write(lines);
        await expect.poll(async () => (await client.countInstances({})).count, { timeout: 30_000 }).toBeGreaterThanOrEqual(BATCH);
        child.kill(signal);
        const run = await ended;
        const { count } = await client.countInstances({});
        expect(run).toEqual({ code: 130, stdout: `Imported ${count} instance(s); 0 are there already\n`, stderr: TOLD });
      });
    },
  );

  test.each([
    ['validate', '-'],
    ['start', 'nobody', '--input', '-', '--store', 'big.db'],
  ])('ends %s while it reads standard input whole', async (...words) => {
    const child = start(words);
    const ended = collect(child);
    // What nobody reads does not all go in: when it has, the program reads.
    await new Promise((resolve) => child.stdin.write(' '.repeat(MUCH), resolve));
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: 130, stdout: '', stderr: TOLD });
  });

  test('ends an export whose reader is stuck', async () => {
    const child = start(['export', '--store', 'big.db']);
    const told = text(child.stderr);
    const ended = once(child, 'exit');
    await once(child.stdout, 'readable');
    child.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    expect(await told).toBe(TOLD);
  });

  test('ends an export into a named pipe that nobody reads', async () => {
    makePipe('unread');
    await fill('small.db', async (client) => void (await client.startOrchestration('small', 'nobody')));
    const child = start(['export', 'unread', '--store', 'small.db']);
    const ended = collect(child);
    // It is there as long as the program has the store open.
    await expect.poll(() => existsSync(join(place.folder, 'small.db-wal')), { timeout: 30_000 }).toBe(true);
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130, stdout: '', stderr: TOLD });
  });
});

// A writer that opens without waiting shows that a reader is there.
describe('the second interrupt', { timeout: 60_000 }, () => {
  test('ends a program whose thread hangs in a named pipe', async () => {
    const pipe = makePipe('unwritten');
    const child = start(['validate', 'unwritten']);
    const ended = collect(child);
    await expect.poll(() => openPipe(pipe), { timeout: 30_000 }).toBe(true);
    await expect.poll(() => (child.kill('SIGINT'), child.signalCode), { timeout: 10_000 }).toBe('SIGINT');
    expect(await ended).toMatchObject({ stdout: '', stderr: '' });
  });
});

/** Opens a pipe for writing, until the end of the test; false: nobody has opened it for reading. */
function openPipe(pipe: string): boolean {
  try {
    const opened = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    onTestFinished(() => closeSync(opened));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return false;
    throw error;
  }
}
