// What the demo prints at its end. The last line is for machines.
import { formatBytes } from './progress-bar.ts';
import type { Proof } from './proof.ts';
import type { Run } from './survive.ts';
import type { Verification } from './verify.ts';

/** What came out of the demo. */
export type Results = {
  readonly run: Run;
  /** How many kills were asked for. */
  readonly kills: number;
  readonly proof: Proof;
  readonly verification: Verification;
  readonly verifySeconds: number;
};

/** How many lines of a kind are printed. */
const SHOWN = 20;

/**
 * Prints the results.
 *
 * @param results - all of them
 * @returns true when nothing is lost, nothing recorded twice and nothing different
 */
export function printReport({ run, kills, proof, verification, verifySeconds }: Results): boolean {
  const { manifest, differences, changed } = verification;
  const rate = (proof.activities / run.seconds).toFixed(0);
  const rows: readonly (readonly [string, string])[] = [
    ['files', `${manifest.files}; ${manifest.symlinksSkipped} links skipped, ${manifest.unreadable.length} not readable`],
    ['bytes', `${manifest.bytes} (${formatBytes(manifest.bytes)}) in ${manifest.lines} lines`],
    ['activities', `${proof.activities} in ${proof.instances} orchestrations`],
    ['kills', `${run.kills}; ${proof.attempts - proof.activities} attempts at activities were cut off and made again`],
    ['seconds', `${run.seconds.toFixed(1)}: ${rate} activities/s with all kills and restarts`],
    ['verified', `in ${verifySeconds.toFixed(1)} s by ${verification.by}`],
  ];
  console.log('');
  for (const [name, value] of rows) console.log(`  ${name.padEnd(12)} ${value}`);
  console.log('');

  if (run.kills < kills) {
    console.log(`demo: the job was done after ${run.kills} of ${kills} kills. Take a larger tree, or slow it down with --pace`);
  }
  printSome(
    'not readable',
    manifest.unreadable.map(({ path, reason }) => `${path}: ${reason}`),
  );
  printSome('not compared, because it was changed while the job ran', changed);
  printSome('DIFFERENT', [...proof.faults, ...differences]);

  const verified = differences.length === 0 && proof.faults.length === 0;
  const counts = `files=${manifest.files} activities=${proof.activities} kills=${run.kills}`;
  console.log(`demo: ${counts} lost=${proof.lost} duplicated_results=${proof.duplicatedResults} verified=${verified}`);
  return verified && proof.lost === 0 && proof.duplicatedResults === 0;
}

function printSome(what: string, lines: readonly string[]): void {
  for (const line of lines.slice(0, SHOWN)) console.log(`demo: ${what}: ${line}`);
  if (lines.length > SHOWN) console.log(`demo: ${what}: ${lines.length - SHOWN} more`);
}
