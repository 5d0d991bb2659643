// `duraloom list`: the instances by filters, a page at a time. Neighbours: ../filters.ts, instances.ts.
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { FILTERS, toFilter } from '../filters.ts';
import { choice, flag, integer, option } from '../parameters.ts';
import { printTable } from '../table.ts';
import { clean } from '../text.ts';
import { ROW_HEADING, toRow } from './instances.ts';

/** The command. */
export const list: Command = defineCommand({
  name: 'list',
  group: 'Look',
  summary: 'List instances',
  details: 'Newest first, a page at a time. The note under a full page has the cursor of the next one.',
  parameters: {
    ...FILTERS,
    orderBy: choice('--order-by <field>', 'What to order by; default: createdAt', ['createdAt', 'endedAt', 'id'] as const),
    direction: choice('--direction <direction>', 'Which way; default: desc', ['asc', 'desc'] as const),
    limit: option('--limit <count>', 'Size of the page, 1 to 1000; default 100', integer(1, 1_000)),
    cursor: option('--cursor <cursor>', 'Go on after the page that gave this cursor'),
    count: flag('--count', 'Print only how many there are'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom list --status Failed,Quarantined', what: 'what needs a person' },
    { line: 'duraloom list --name order --created-after 2h --attribute region=eu', what: 'by name, age and attribute' },
    { line: 'duraloom list --status Running --count', what: 'how many' },
    { line: 'duraloom list --json --limit 1000', what: 'for programs: { "instances": […], "cursor": … }' },
  ],
  run: async (context, values) => {
    const { io } = context;
    const { client } = await context.openStore(values.store);
    const filter = toFilter(values);
    if (values.count) {
      const counted = await client.countInstances(filter, { limit: 1_000_000, signal: context.signal });
      await printResult(context, values.json, counted, () => io.print(`${counted.count}${counted.isExact ? '' : ' or more'}`));
      return EXIT.ok;
    }
    const { orderBy, direction, limit, cursor } = values;
    const page = await client.listInstances({
      ...filter,
      ...(orderBy !== undefined && { orderBy }),
      ...(direction !== undefined && { direction }),
      ...(limit !== undefined && { limit }),
      ...(cursor !== undefined && { cursor }),
    });
    await printResult(context, values.json, page, async () => {
      if (page.instances.length === 0) io.note(page.cursor === null ? 'No instance matches' : 'No instance that matches was found so far');
      else printTable(io, ROW_HEADING, page.instances.map(toRow));
      if (page.cursor !== null) io.note(`More: --cursor ${clean(page.cursor)}`);
    });
    return EXIT.ok;
  },
});
