// The demo: a durable job over a real tree of files, on a host process that is killed with SIGKILL again and again. At the end the
// manifest is compared with the files, and the histories in the database are counted: nothing lost, nothing recorded twice.
// Neighbours: survive.ts (run and kill), verify.ts (files), proof.ts (histories); host.ts is the process that is killed.
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { readArguments, USAGE, UsageError, type DemoArguments } from './arguments.ts';
import { HostProcess } from './host-process.ts';
import { formatBytes } from './progress-bar.ts';
import { proveNothingLost, type Proof } from './proof.ts';
import { runJob, type Run } from './survive.ts';
import { verifyManifest, type Verification } from './verify.ts';

/** How many differences are printed. */
const SHOWN = 20;

const EXIT_DIFFERENT = 1;
const EXIT_USAGE = 2;

async function runDemo(options: DemoArguments): Promise<boolean> {
  // Real paths: the job leaves its own folder out of the tree when one lies in the other.
  const work = realpathSync(mkdtempSync(join(tmpdir(), 'duraloom-demo-')));
  const root = realpathSync(options.root);
  const database = join(work, 'demo.db');
  const host = new HostProcess(database);
  const cleanUp = (): void => {
    host.killNow();
    if (!options.keep) rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  };
  onInterrupt(cleanUp);
  console.log(`demo: hashing ${root}; the host process will be killed ${options.kills} times`);
  if (options.keep) console.log(`demo: database and manifest are kept in ${work}`);
  try {
    const startedAtMs = Date.now();
    const job = { root, work, paceMs: options.paceMs };
    const provider = await SqliteProvider.open(database, { changePollMs: 20 });
    const client = new Client(provider);
    try {
      const run = await runJob({ client, host, job, kills: options.kills });
      const proof = await proveNothingLost(client);
      if (options.pause) await waitForEnter();
      const verifyMs = performance.now();
      const verification = await verifyManifest(job, startedAtMs);
      return report({ run, proof, verification, verifySeconds: (performance.now() - verifyMs) / 1000, options });
    } finally {
      await provider.close();
    }
  } finally {
    cleanUp();
  }
}

type Results = {
  readonly run: Run;
  readonly proof: Proof;
  readonly verification: Verification;
  readonly verifySeconds: number;
  readonly options: DemoArguments;
};

/** Prints what came out. True: all is well. */
function report({ run, proof, verification, verifySeconds, options }: Results): boolean {
  const { differences, unreadable, symlinks } = verification;
  const repeated = proof.attempts - proof.activities;
  const rate = (proof.activities / run.seconds).toFixed(0);
  const rows: readonly (readonly [string, string])[] = [
    ['files', `${verification.files} (${unreadable} unreadable, ${symlinks} links skipped)`],
    ['bytes', `${verification.bytes} (${formatBytes(verification.bytes)}), ${verification.lines} lines`],
    ['activities', `${proof.activities} in ${proof.instances} orchestrations; ${repeated} were cut off by a kill and ran again`],
    ['kills', String(run.kills)],
    ['seconds', `${run.seconds.toFixed(1)}, ${rate} activities/s with all kills and restarts; ${verifySeconds.toFixed(1)} more to verify`],
    ['verified by', verification.by],
  ];
  console.log('');
  for (const [name, value] of rows) console.log(`  ${name.padEnd(12)} ${value}`);
  console.log('');
  if (run.kills < options.kills) {
    console.log(`demo: the job was done after ${run.kills} of ${options.kills} kills. Take a larger tree, or slow it down with --pace`);
  }
  for (const line of [...proof.faults, ...differences.slice(0, SHOWN)]) console.log(`demo: DIFFERENT: ${line}`);
  if (differences.length > SHOWN) console.log(`demo: and ${differences.length - SHOWN} more differences`);

  const verified = differences.length === 0 && proof.faults.length === 0;
  const counts = `files=${verification.files} activities=${proof.activities} kills=${run.kills}`;
  console.log(`demo: ${counts} lost=${proof.lost} duplicated_results=${proof.duplicatedResults} verified=${verified}`);
  return verified && proof.lost === 0 && proof.duplicatedResults === 0;
}

async function waitForEnter(): Promise<void> {
  console.log('demo: the job is done. Press Enter to verify');
  process.stdin.resume();
  await Promise.race([once(process.stdin, 'data'), once(process.stdin, 'end')]);
  process.stdin.pause();
}

/** Leaves no process and no folder behind when the demo is stopped. */
function onInterrupt(cleanUp: () => void): void {
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const) {
    process.once(signal, () => {
      cleanUp();
      console.error(`\ndemo: stopped by ${signal}`);
      process.exit(128 + number);
    });
  }
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
    console.error(`demo: failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    process.exitCode = EXIT_DIFFERENT;
  }
}
