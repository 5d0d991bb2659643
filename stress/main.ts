// npm run stress -- <mode> [options]: long runs that try to break the promise: no crash loses an instance or records a result twice.
// Prints seed and configuration first, a verdict, and a JSON line last; exits with 1 on any violation, with 2 when it was called wrongly or
// cannot run on this machine.
// Neighbours: modes/*.ts do the work, options.ts reads the command line, report.ts prints.
import { createHistogram } from 'node:perf_hooks';
import { describeUsage, readCommand, type Settings } from './options.ts';
import { clock } from './modes/clock.ts';
import { diskFull } from './modes/disk-full.ts';
import { faults } from './modes/faults.ts';
import { fleet } from './modes/fleet.ts';
import { kill } from './modes/kill.ts';
import { pause } from './modes/pause.ts';
import { soak } from './modes/soak.ts';
import { threads } from './modes/threads.ts';
import { CannotRun, printOutcome, shownSettings, type Mode, type Outcome } from './report.ts';
import { rerunOnSmallDisk } from './small-disk.ts';
import { Workspace } from './workspace.ts';

const EXIT_VIOLATION = 1;
const EXIT_USAGE = 2;
const LINGER_MS = 2000;
/** Size of the file system of disk-full: what the database takes, and then some. */
const DISK_MB = { least: 64, perMinute: 60 };

const MODES: Readonly<Record<string, Mode>> = { kill, faults, threads, soak, 'disk-full': diskFull, pause, clock, fleet };

/** Returns the exit code. */
async function runMode(name: string, mode: Mode, settings: Settings): Promise<number> {
  const shown = shownSettings(mode, settings);
  const configuration = Object.entries(shown).filter(([, value]) => value !== null);
  console.log(`stress ${name}: ${configuration.map(([key, value]) => `${key} ${String(value)}`).join(', ')}`);
  const workspace = new Workspace(settings.folder);
  process.once('exit', () => workspace.killHosts());
  const startedMs = performance.now();
  const outcome = await mode.run(settings, workspace).catch((error: unknown) => {
    if (error instanceof CannotRun) workspace.remove();
    return toOutcome(error);
  });
  // What an error left behind must not keep this process alive.
  workspace.killHosts();
  setTimeout(() => process.exit(), LINGER_MS).unref();
  const isWell = outcome.violations.length === 0;
  if (isWell) workspace.remove();
  else console.error(`${workspace.store.kind === 'file' ? 'the database' : 'what is in the database'} is kept in ${workspace.keep()}`);
  printOutcome(name, shown, { outcome, seconds: (performance.now() - startedMs) / 1000 });
  return isWell ? 0 : EXIT_VIOLATION;
}

/** A run that ended by an error proves nothing: it has failed. */
function toOutcome(error: unknown): Outcome {
  if (error instanceof CannotRun) throw error;
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { violations: [`the run ended by an error: ${reason}`], completed: 0, latency: createHistogram(), figures: {} };
}

const command = readCommand(process.argv.slice(2), MODES);
if (command.kind === 'help') console.log(describeUsage(MODES));
else if (command.kind === 'wrong') {
  console.error(`stress: ${command.message}\n\n${describeUsage(MODES)}`);
  process.exitCode = EXIT_USAGE;
} else {
  const mode = MODES[command.mode];
  if (mode === undefined) throw new Error(`mode ${command.mode} is known and is not there`);
  // A signal ends the run as an exit does, so that the hosts end with it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(EXIT_VIOLATION));
  const { settings } = command;
  try {
    const megabytes =
      mode === diskFull && settings.folder === null ? DISK_MB.least + Math.ceil(DISK_MB.perMinute * settings.minutes) : null;
    const code = megabytes === null ? null : await rerunOnSmallDisk(process.argv.slice(2), megabytes);
    process.exitCode = code ?? (await runMode(command.mode, mode, settings));
  } catch (error) {
    if (!(error instanceof CannotRun)) throw error;
    console.error(`stress ${command.mode}: ${error.message}`);
    process.exit(EXIT_USAGE);
  }
}
