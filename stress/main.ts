// npm run stress -- <mode> [options]: long runs that try to break the promise: no crash loses an instance or records a result twice.
// Prints seed and configuration first, a verdict, and a JSON line last; exits with 1 on any violation, with 2 when it was called wrongly.
// Neighbours: modes/*.ts do the work, options.ts reads the command line, report.ts prints.
import { describeUsage, readCommand, type Settings } from './options.ts';
import { clock } from './modes/clock.ts';
import { diskFull } from './modes/disk-full.ts';
import { faults } from './modes/faults.ts';
import { kill } from './modes/kill.ts';
import { pause } from './modes/pause.ts';
import { soak } from './modes/soak.ts';
import { threads } from './modes/threads.ts';
import { printOutcome, type Mode } from './report.ts';
import { Workspace } from './workspace.ts';

const EXIT_VIOLATION = 1;
const EXIT_USAGE = 2;

const MODES: Readonly<Record<string, Mode>> = { kill, faults, threads, soak, 'disk-full': diskFull, pause, clock };

/** Returns true when all is well. */
async function runMode(name: string, mode: Mode, settings: Settings): Promise<boolean> {
  const { folder, ...shown } = settings;
  console.log(
    `stress ${name}: ${Object.entries(shown)
      .map(([key, value]) => `${key} ${value}`)
      .join(', ')}`,
  );
  const workspace = new Workspace(folder);
  process.once('exit', () => workspace.killHosts());
  const startedMs = performance.now();
  const outcome = await mode.run(settings, workspace);
  const isWell = outcome.violations.length === 0;
  if (isWell) workspace.remove();
  else console.error(`the database is kept: ${workspace.file}`);
  printOutcome(name, settings, { outcome, seconds: (performance.now() - startedMs) / 1000 });
  return isWell;
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
  try {
    if (!(await runMode(command.mode, mode, command.settings))) process.exitCode = EXIT_VIOLATION;
  } catch (error) {
    console.error(error);
    process.exit(EXIT_VIOLATION);
  }
}
