// `npm run bench`: measures rows, each part of a row in a process of its own, and prints a table or JSON lines. See README.md.
import { compareRows } from './compare.ts';
import { describeMachine, type Machine } from './machine.ts';
import { withServer } from './postgres.ts';
import { describeUsage, readCommand, type RunCommand } from './options.ts';
import { toConclusion, toHeader, toJson, toSubheading, toTable } from './print.ts';
import { ROWS, type Row } from './rows.ts';
import { endInOrder, EXIT, runPart } from './run-part.ts';
import { combine } from './sweep.ts';
import { judge, type Verdict } from './targets.ts';

async function main(words: readonly string[]): Promise<number> {
  const command = readCommand(
    words,
    ROWS.map(({ name }) => name),
  );
  switch (command.kind) {
    case 'help':
      process.stdout.write(describeUsage(ROWS));
      return 0;
    case 'wrong':
      process.stderr.write(`bench: ${command.message}\n\n${describeUsage(ROWS)}`);
      return EXIT.wrongArguments;
    case 'compare':
      return compareRows(command);
    case 'run':
      return withServer(command.sweep, (server) => runRows(command, server));
  }
}

async function runRows(command: RunCommand, server: string | null): Promise<number> {
  const { json, extent } = command;
  const verdicts: Verdict[] = [];
  const machine = describeMachine(server);
  if (!json) process.stdout.write(`${toHeader(machine, extent)}\n`);
  for (const row of ROWS.filter(({ name }) => command.rows.includes(name))) {
    if (!(await runRow(row, command, { machine, verdicts }))) {
      process.stderr.write(`bench: row ${row.name} failed; see above\n`);
      return EXIT.failed;
    }
  }
  if (!json) process.stdout.write(toConclusion(verdicts));
  return 0;
}

/** Returns false when a process failed; it has said why. */
async function runRow(
  row: Row,
  { json, extent, sweep }: RunCommand,
  { machine, verdicts }: { readonly machine: Machine; readonly verdicts: Verdict[] },
): Promise<boolean> {
  const combinations = combine(sweep, row);
  if (combinations.length === 0) process.stderr.write(`bench: row ${row.name} needs --store ${row.stores.join(' or ')}: left out\n`);
  for (const { settings, label } of combinations) {
    const options = { ...settings, ...extent };
    if (!json) process.stdout.write(toSubheading(row.name, label));
    for (const part of row.parts.keys()) {
      const answer = await runPart({ row: row.name, part }, options);
      if (answer === null) return false;
      for (const result of answer.results) {
        process.stdout.write(`${json ? toJson(result, { options, label, machine }) : toTable(result, options)}\n`);
        verdicts.push(...result.metrics.flatMap((metric) => judge(result, metric, options) ?? []));
      }
    }
  }
  return true;
}

endInOrder();
process.exitCode = await main(process.argv.slice(2));
