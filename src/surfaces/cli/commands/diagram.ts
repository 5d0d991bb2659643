// `duraloom diagram`: an execution as Mermaid text or as a report in one HTML file. Neighbours: history-file.ts, ../../../views.ts draws.
import { existsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { HistoryEvent } from '../../../index.ts';
import type { ReportInput, ReportTree } from '../../../views.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { STORE } from '../common.ts';
import { choice, flag, integer, optional, option, usage, writeError } from '../parameters.ts';
import { clean, cleanLines } from '../text.ts';
import { noHistory, takeHistory } from './history-file.ts';
import { readInstance } from './instances.ts';

/** The command. */
export const diagram: Command = defineCommand({
  name: 'diagram',
  group: 'Look',
  summary: 'Draw an execution: Mermaid text, or a report as one HTML file',
  parameters: {
    id: optional('[id]', 'Id of the instance'),
    file: option('--file <file>', 'A history file instead of an instance; -: standard input'),
    execution: option('--execution <number>', 'Which execution; default: the last one', integer(1)),
    kind: choice('--kind <kind>', 'Which diagram; default: sequence', ['sequence', 'gantt'] as const),
    html: flag('--html', 'A report with everything about the instance, in one file that needs no network'),
    output: option('-o, --output <file>', 'File to write; else standard output'),
    force: flag('--force', 'Replace the file when it is there'),
    ...STORE,
  },
  examples: [
    { line: 'duraloom diagram order-17', what: 'a sequence diagram, for Markdown' },
    { line: 'duraloom diagram --file order-17.json --kind gantt', what: 'from a file, over time' },
    { line: 'duraloom diagram order-17 --html -o order-17.html', what: 'a report' },
  ],
  run: async (context, values) => {
    const { io } = context;
    const { output, html, kind } = values;
    if (html && values.file !== undefined) throw usage('--html needs an instance: a history file does not hold all that the report shows');
    if (html && kind !== undefined) throw usage('Give --html or --kind, not both');
    if (output !== undefined && statSync(output, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new CliError('FILE_UNREADABLE', `'${output}' is a folder. Name a file in it`);
    }
    if (output !== undefined && existsSync(output) && !values.force) {
      throw new CliError('FILE_EXISTS', `'${output}' is there already. Choose another name, or replace it with --force`);
    }
    const text = html ? await makeReport(context, values) : await makeMermaid(context, values);
    if (output === undefined) {
      if (html) await io.write(`${text}\n`);
      else io.print(cleanLines(text.trimEnd()));
      return EXIT.ok;
    }
    try {
      await writeFile(output, `${text.trimEnd()}\n`);
    } catch (error) {
      throw writeError(output, error);
    }
    io.note(`Wrote ${clean(output)}`);
    return EXIT.ok;
  },
});

type Given = { readonly id: string | undefined; readonly execution: number | undefined; readonly store: string | undefined };

async function makeMermaid(
  context: CommandContext,
  {
    id,
    file,
    store,
    execution,
    kind = 'sequence',
  }: Given & { readonly file: string | undefined; readonly kind: 'sequence' | 'gantt' | undefined },
): Promise<string> {
  const [{ toMermaid }, { validateHistory }] = await Promise.all([import('../../../views.ts'), import('../../../index.ts')]);
  if ((file === undefined) === (id === undefined)) throw usage('Name an instance, or a history file with --file');
  const { executions } = await takeHistory(context, { file, instance: id, store });
  const numbers = executions.map(({ executionId }) => executionId);
  const found = execution === undefined ? executions.at(-1) : executions.find(({ executionId }) => executionId === execution);
  if (found === undefined) throw usage(`Expected --execution to be one of ${numbers.join(', ')}, got ${execution}`);
  return toMermaid(validateHistory(found.events), { kind });
}

async function makeReport(context: CommandContext, { id, execution, store }: Given): Promise<string> {
  if (id === undefined) throw usage('Name the instance');
  const [{ toHtmlReport }, { client }] = await Promise.all([import('../../../views.ts'), context.openStore(store)]);
  const state = await readInstance(client, id);
  if (execution !== undefined && execution !== state.executionId)
    throw usage(`The report is about the current execution, ${state.executionId}`);
  const [history, activities, tree]: [readonly HistoryEvent[], ReportInput['activities'], ReportTree] = await Promise.all([
    client.readHistory(id, state.executionId),
    client.listActivities(id),
    client.getTree(id).then(toReportTree),
  ]);
  if (history.length === 0) throw noHistory(id);
  return toHtmlReport({ state, history, activities: activities ?? [], tree });
}

type Node = {
  readonly instance: { readonly instanceId: string; readonly name: string; readonly status: ReportTree['status'] };
  readonly children: readonly Node[];
};

function toReportTree({ instance, children }: Node): ReportTree {
  const { instanceId, name, status } = instance;
  return { instanceId, name, status, children: children.map(toReportTree) };
}
