// The demo: a durable job over a real tree of files, on a host process that is killed with SIGKILL again and again. At the end the
// manifest is compared with the files, and the histories in the database are counted: nothing lost, nothing recorded twice.
// Neighbours: survive.ts (run and kill), proof.ts (histories), verify.ts (files), report.ts; host.ts is the process that is killed.
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'duraloom';
import { readArguments, USAGE, UsageError, type DemoArguments } from './arguments.ts';
import { HostError, HostProcess } from './host-process.ts';
import { proveNothingLost } from './proof.ts';
import { printReport } from './report.ts';
import { openStore, placeStore } from './store.ts';
import { runJob } from './survive.ts';
import { readFileClockMs, verifyManifest } from './verify.ts';

const EXIT_DIFFERENT = 1;
const EXIT_USAGE = 2;

/** Returns true when all is well. */
async function runDemo({ root, kills, paceMs, store: kind, keep, pause }: DemoArguments): Promise<boolean> {
  // A real path, as the root is: the job leaves its own folder out when it lies in the tree.
  const work = realpathSync(mkdtempSync(join(tmpdir(), 'duraloom-demo-')));
  const removeWork = (): void => {
    if (!keep) rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once('exit', removeWork);
  const place = await placeStore(kind, work);
  const host = new HostProcess(place.store);
  cleanUpAtExit(host, () => place.remove(keep));
  console.log(`demo: hashing ${root}; kills of the host process to come: ${kills}`);
  if (kind !== 'sqlite') console.log(`demo: the store is ${place.description}`);
  if (keep) console.log(`demo: what is kept is in ${work}`);

  const job = { root, work, paceMs };
  const startedAtMs = readFileClockMs(work);
  const provider = await openStore(place.store);
  try {
    const client = new Client(provider);
    const run = await runJob({ client, host, job, kills });
    const endedAtMs = readFileClockMs(work);
    const proof = await proveNothingLost(client);
    if (pause) await waitForEnter();
    const startedMs = performance.now();
    const verification = await verifyManifest(job, { startedAtMs, endedAtMs });
    return printReport({ run, kills, proof, verification, verifySeconds: (performance.now() - startedMs) / 1000 });
  } finally {
    await provider.close();
    // When the demo fails, a host may still be there.
    await host.kill();
    await place.remove(keep);
  }
}

async function waitForEnter(): Promise<void> {
  console.log('demo: the job is done. Press Enter to verify');
  process.stdin.resume();
  await Promise.race([once(process.stdin, 'data'), once(process.stdin, 'end')]);
  process.stdin.pause();
}

/** Leaves no process and nothing in a store behind, however the demo ends. */
function cleanUpAtExit(host: HostProcess, removeStore: () => Promise<void>): void {
  process.once('exit', () => host.killNow());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Once: a second Ctrl-C need not wait for the host.
    process.once(signal, () => {
      console.error(`\ndemo: stopped by ${signal}`);
      void host
        .kill()
        .then(removeStore)
        .finally(() => process.exit(128 + constants.signals[signal]));
    });
  }
  // Nobody reads any more, as in `npm run demo | head`.
  process.stdout.once('error', () => process.exit(EXIT_DIFFERENT));
}

try {
  const options = readArguments(process.argv.slice(2));
  if (options === null) console.log(USAGE);
  else if (!(await runDemo(options))) process.exitCode = EXIT_DIFFERENT;
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`demo: ${error.message}\n\n${USAGE}`);
    process.exitCode = EXIT_USAGE;
  } else {
    console.error('demo: failed:', error instanceof HostError ? error.message : error);
    process.exitCode = EXIT_DIFFERENT;
  }
}
