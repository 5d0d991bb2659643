// npm run conformance -- <provider> [options]: holds a provider to the storage contract, case by case. Neighbours: options.ts reads the
// command line, targets.ts has the providers of this package, load-target.ts those of others, src/conformance/ the cases.
import {
  conformanceCases,
  runConformance,
  type ConformanceCase,
  type ConformanceResult,
  type ConformanceTarget,
} from 'duraloom/conformance';
import { inspect } from 'node:util';
import { loadTarget, TargetError } from './load-target.ts';
import { describeUsage, readCommand, type Checked, type Settings } from './options.ts';
import { TARGETS } from './targets.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const KNOWN = Object.keys(TARGETS);
const CONTRACTS = [...new Set(conformanceCases.map(({ contract }) => contract))];

/** Leaves out what was not asked for. */
function choose({ contracts, cases }: Settings): readonly ConformanceCase[] {
  return conformanceCases
    .filter(({ contract }) => contracts.length === 0 || contracts.includes(contract))
    .filter(({ name }) => cases.length === 0 || cases.some((text) => name.includes(text)));
}

async function find(checked: Checked): Promise<ConformanceTarget> {
  if (checked.kind === 'module') return await loadTarget(checked.path);
  const target = TARGETS[checked.name];
  if (target === undefined) throw new Error(`provider ${checked.name} is known and is not there`);
  return target;
}

function print(result: ConformanceResult, verbose: boolean): void {
  const title = `${result.contract}: ${result.name}`;
  switch (result.outcome) {
    case 'passed':
      if (verbose) console.log(`passed   ${title}`);
      return;
    case 'skipped':
      console.log(`skipped  ${title}\n         ${result.reason}`);
      return;
    case 'failed':
      console.log(`FAILED   ${title}\n${inspect(result.error).replaceAll(/^/gm, '         ')}`);
  }
}

/** Returns true when no case failed. */
async function check(target: ConformanceTarget, cases: readonly ConformanceCase[], settings: Settings): Promise<boolean> {
  const { caseTimeoutMs, verbose } = settings;
  const { passed, failed, skipped } = await runConformance(target, {
    cases,
    onResult: (result) => print(result, verbose),
    ...(caseTimeoutMs === null ? {} : { caseTimeoutMs }),
  });
  console.log(`conformance ${target.name}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0;
}

function refuse(message: string): void {
  console.error(`conformance: ${message}\n\n${describeUsage(KNOWN)}`);
  process.exitCode = EXIT_USAGE;
}

const command = readCommand(process.argv.slice(2), KNOWN, CONTRACTS);
if (command.kind === 'help') console.log(describeUsage(KNOWN));
else if (command.kind === 'wrong') refuse(command.message);
else {
  const cases = choose(command.settings);
  if (cases.length === 0) refuse('No case is left: no name has the text of --case in the parts that --contract names');
  else if (command.kind === 'list') for (const { contract, name } of cases) console.log(`${contract}: ${name}`);
  else {
    try {
      if (!(await check(await find(command.checked), cases, command.settings))) process.exitCode = EXIT_FAILED;
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      refuse(error.message);
    }
  }
}
