// `duraloom history`: the events of an execution, or everything of an instance in the form that replay and validate read. Neighbour: events.ts.
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { flag, integer, option, required, usage } from '../parameters.ts';
import { toJson } from '../text.ts';
import { printEvents } from './events.ts';
import { recordHistory } from './history-file.ts';
import { readInstance } from './instances.ts';

/** The command. */
export const history: Command = defineCommand({
  name: 'history',
  group: 'Look',
  summary: 'Print the events of an instance',
  parameters: {
    id: required('<id>', 'Id of the instance'),
    execution: option('--execution <number>', 'Which execution; default: the current one', integer(1)),
    after: option('--after <event>', 'Only events after this one', integer(0)),
    limit: option('--limit <count>', 'At most so many events', integer(1)),
    recorded: flag('--recorded', 'All executions as one JSON document, for replay, validate and diagram'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom history order-17', what: 'the current execution' },
    { line: 'duraloom history order-17 --execution 1 --after 100 --limit 20', what: 'a part of an older one' },
    { line: 'duraloom history order-17 --recorded > order-17.json', what: 'a file for `duraloom replay`' },
  ],
  run: async (context, values) => {
    const { client } = await context.openStore(values.store);
    if (values.recorded) {
      if (values.execution !== undefined || values.after !== undefined || values.limit !== undefined)
        throw usage('--recorded takes everything: leave out --execution, --after and --limit');
      await context.io.write(`${toJson(await recordHistory(client, values.id))}\n`);
      return EXIT.ok;
    }
    const state = await readInstance(client, values.id);
    const executionId = values.execution ?? state.executionId;
    if (executionId > state.executionId) throw usage(`Expected --execution to be at most ${state.executionId}, got ${executionId}`);
    const events = await client.readHistoryAfter(values.id, {
      executionId,
      afterEventId: values.after ?? 0,
      ...(values.limit !== undefined && { limit: values.limit }),
    });
    await printResult(context, values.json, { instanceId: values.id, executionId, events }, async () => {
      if (events.length === 0) context.io.note(`No events${values.after === undefined ? ' yet' : ''}`);
      else printEvents(context.io, events);
    });
    return EXIT.ok;
  },
});
