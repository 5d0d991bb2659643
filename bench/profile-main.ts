// `npm run profile`: runs rows with CPU profiles of all threads and says where the time goes. See README.md.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRecord } from '../src/types/codec.ts';
import type { CpuProfile } from './cpu-profile.ts';
import { describeMachine } from './machine.ts';
import { describeUsage, readCommand, type RunCommand } from './options.ts';
import { withServer } from './postgres.ts';
import { toHeader, toTable } from './print.ts';
import { summarise, type ThreadProfiles } from './profile-summary.ts';
import { ROWS } from './rows.ts';
import { endInOrder, EXIT, runPart } from './run-part.ts';
import { combine } from './sweep.ts';
import type { ProfiledStretch } from './thread-profiler.ts';

/** Rows whose parts say where they are measured. The micro rows do not; W10 and W12 are measured in processes of their own. */
const PROFILED = ROWS.filter(({ name }) => name.startsWith('W') && name !== 'W10' && name !== 'W12');

/** Names of threads begin so; in this order they are shown. */
const KINDS = ['main', 'replay', 'activity', 'worker'];

async function main(words: readonly string[]): Promise<number> {
  const command = readCommand(
    words,
    PROFILED.map(({ name }) => name),
    'profile',
  );
  switch (command.kind) {
    case 'help':
      process.stdout.write(describeUsage(PROFILED, 'profile'));
      return 0;
    case 'wrong':
      process.stderr.write(`profile: ${command.message}\n\n${describeUsage(PROFILED, 'profile')}`);
      return EXIT.wrongArguments;
    case 'compare':
      throw new TypeError('npm run profile compares nothing');
    case 'run':
      return withServer(command.sweep, (server) => profileRows(command, server));
  }
}

async function profileRows({ rows, sweep, extent, out }: RunCommand, server: string | null): Promise<number> {
  const folder = out ?? mkdtempSync(join(tmpdir(), 'duraloom-profile-'));
  process.stdout.write(`${toHeader(describeMachine(server), extent)}\n`);
  for (const row of PROFILED.filter(({ name }) => rows.includes(name))) {
    for (const { settings, label } of combine(sweep, row)) {
      for (const part of row.parts.keys()) {
        const options = { ...settings, ...extent };
        const profileFolder = join(
          folder,
          [row.name, label, part === 0 ? '' : part + 1]
            .filter(Boolean)
            .join('-')
            .replaceAll(/[^\w-]+/g, '-'),
        );
        const answer = await runPart({ row: row.name, part }, options, profileFolder);
        if (answer === null) {
          process.stderr.write(`profile: row ${row.name} failed; see above\n`);
          return EXIT.failed;
        }
        if (answer.results.length === 0) continue;
        if (label !== '') process.stdout.write(`${row.name} with ${label}\n`);
        for (const result of answer.results) process.stdout.write(`${toTable(result, options)}\n`);
        process.stdout.write(`\n${describeStretches(answer.profiled)}\n\nprofiles in ${profileFolder}\n\n`);
      }
    }
  }
  return 0;
}

function describeStretches(stretches: readonly ProfiledStretch[]): string {
  const orchestrations = stretches.reduce((sum, stretch) => sum + stretch.orchestrations, 0);
  const elapsedMs = stretches.reduce((sum, stretch) => sum + stretch.elapsedMs, 0);
  const threads = new Map<string, CpuProfile[]>();
  for (const { thread, file } of stretches.flatMap((stretch) => stretch.threads)) {
    const profiles = threads.get(thread) ?? [];
    profiles.push(parseRecord(readFileSync(file, 'utf8')) as CpuProfile);
    threads.set(thread, profiles);
  }
  const byKind = (thread: string): number => KINDS.findIndex((kind) => thread.startsWith(kind));
  const ordered = [...threads].toSorted(([left], [right]) => byKind(left) - byKind(right));
  const all = ordered.map(([thread, profiles]): ThreadProfiles => ({ thread, profiles }));
  return `measured: ${orchestrations.toLocaleString('en')} orchestrations in ${elapsedMs.toFixed(0)} ms\n\n${summarise(all, orchestrations)}`;
}

endInOrder();
process.exitCode = await main(process.argv.slice(2));
