// `duraloom conformance`: holds a provider to the storage contract, case by case. Neighbour: ../conformance-targets.ts.
import { EXIT } from '../cli-error.ts';
import { inspect } from 'node:util';
import type { ConformanceCase, ConformanceResult } from '../../../conformance.ts';
import { KNOWN_TARGETS, loadTarget } from '../conformance-targets.ts';
import { defineCommand, type Command } from '../command.ts';
import { JSON_OUTPUT } from '../common.ts';
import { duration, flag, option, optional, repeated, usage } from '../parameters.ts';
import { clean, cleanLines, nearest, toJson } from '../text.ts';

/** The command. */
export const conformance: Command = defineCommand({
  name: 'conformance',
  group: 'Code',
  summary: 'Hold a storage provider to the contract',
  details: 'The module of a provider exports a ConformanceTarget: an object with name and open (see docs/provider-guide.md).',
  parameters: {
    provider: optional('[provider]', `${KNOWN_TARGETS.join(', ')}, or the path of a module`),
    contract: repeated('--contract <name>', 'Only this part of the contract; may be given several times'),
    case: repeated('--case <text>', 'Only cases whose name has this text; may be given several times'),
    list: flag('--list', 'Print the cases and run none'),
    verbose: flag('--verbose', 'Print the cases that passed, too'),
    timeout: option('--timeout <duration>', 'After how long a case has failed, up to 1h; default 20s', caseTimeout),
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom conformance ./my-provider.ts', what: 'a provider of your own' },
    { line: 'duraloom conformance sqlite --contract locks --verbose', what: 'a part, on SQLite' },
  ],
  interrupt: 'default',
  run: async ({ io }, { provider, list, verbose, timeout, json, ...values }) => {
    const { conformanceCases, runConformance } = await import('../../../conformance.ts');
    const cases = choose(conformanceCases, values.contract, values.case);
    if (list) {
      if (json) io.print(toJson({ cases: cases.map(({ contract, name }) => ({ contract, name })) }));
      else for (const { contract, name } of cases) io.print(`${contract}: ${name}`);
      return EXIT.ok;
    }
    if (provider === undefined) throw usage(`Name a provider: ${KNOWN_TARGETS.join(', ')}, or the path of a module`);
    const target = await loadTarget(provider);
    const results: ConformanceResult[] = [];
    const counts = await runConformance(target, {
      cases,
      onResult: (result) => {
        results.push(result);
        if (!json) for (const line of describeResult(result, verbose)) io.print(cleanLines(line));
      },
      ...(timeout !== undefined && { caseTimeoutMs: timeout }),
    });
    const { passed, failed, skipped } = counts;
    if (json) io.print(toJson({ target: target.name, ...counts, results }));
    else io.print(`conformance ${clean(target.name)}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
    return failed === 0 ? EXIT.ok : EXIT.failed;
  },
});

function caseTimeout(text: string, what: string): number {
  const ms = duration(text, what);
  if (ms === 0 || ms > 3_600_000) throw usage(`Expected ${what} to be longer than 0 and at most 1h, got '${text}'`);
  return ms;
}

function choose(all: readonly ConformanceCase[], contracts: readonly string[], texts: readonly string[]): readonly ConformanceCase[] {
  const known = [...new Set(all.map(({ contract }) => contract))];
  for (const contract of contracts) {
    if (known.includes(contract)) continue;
    const meant = nearest(contract, known);
    throw usage(
      `Expected --contract to be one of ${known.join(', ')}, got '${contract}'${meant === null ? '' : `. Did you mean ${meant}?`}`,
    );
  }
  const cases = all
    .filter(({ contract }) => contracts.length === 0 || contracts.includes(contract))
    .filter(({ name }) => texts.length === 0 || texts.some((text) => name.includes(text)));
  if (cases.length === 0) throw usage('No case is left: no name has the text of --case in the parts that --contract names');
  return cases;
}

function describeResult(result: ConformanceResult, verbose: boolean): readonly string[] {
  const title = `${result.contract}: ${result.name}`;
  switch (result.outcome) {
    case 'passed':
      return verbose ? [`passed   ${title}`] : [];
    case 'skipped':
      return [`skipped  ${title}`, `         ${result.reason}`];
    case 'failed':
      return [`FAILED   ${title}`, inspect(result.error).replaceAll(/^/gm, '         ')];
  }
}
