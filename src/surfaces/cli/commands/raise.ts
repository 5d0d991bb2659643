// `duraloom raise` and `duraloom publish`: events from outside. Neighbours: ../parameters.ts, instances.ts.
import { isEnded } from '../../../types/instance.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { duration, option, readJson, required, usage } from '../parameters.ts';
import { clean } from '../text.ts';
import { readInstance } from './instances.ts';

/** The command that raises. */
export const raise: Command = defineCommand({
  name: 'raise',
  group: 'Act',
  summary: 'Raise an event of an instance',
  details: 'The event is kept until the orchestration takes it. With --key it is taken once, however often the command is run.',
  parameters: {
    id: required('<id>', 'Id of the instance'),
    event: required('<event>', 'Name of the event'),
    data: option('-d, --data <json>', 'Its data: JSON, @file, or - for standard input'),
    key: option('--key <key>', 'Raised again with the same key it is taken once'),
    wait: option('--wait <duration>', 'Wait so long at most until the instance has taken it; needs --key', duration),
    ...DRY_RUN,
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: `duraloom raise order-17 approved --data '{ "by": "Ada" }'`, what: 'with data' },
    { line: 'duraloom raise order-17 approved --data @approval.json --key approval-1 --wait 10s', what: 'once, and taken' },
  ],
  run: async (context, { id, event, key, wait, dryRun, json, ...values }) => {
    const { io } = context;
    if (wait !== undefined && key === undefined) throw usage('--wait needs --key: without it an event cannot be told from another');
    const data = await readJson(io, values.data, '--data');
    const { client } = await context.openStore(values.store);
    if (dryRun) {
      const { status } = await readInstance(client, id);
      if (isEnded(status)) throw notDelivered(id);
      const what = { dryRun: true, instanceId: id, event, data, status };
      await printResult(context, json, what, () => io.print(`Would raise '${clean(event)}' of instance '${clean(id)}' (${status})`));
      return EXIT.ok;
    }
    const { delivered } = await client.raiseEvent(id, event, data, key === undefined ? {} : { key });
    if (!delivered) throw notDelivered(id);
    const receipt =
      wait === undefined || key === undefined ? null : await client.waitForReceipt(id, key, { timeout: wait, signal: context.signal });
    if (receipt === 'dropped') throw notDelivered(id);
    const done = receipt === null ? 'Raised' : 'Raised and taken:';
    await printResult(context, json, { instanceId: id, event, delivered, ...(receipt !== null && { receipt }) }, () =>
      io.print(`${done} '${clean(event)}' of instance '${clean(id)}'`),
    );
    return EXIT.ok;
  },
});

/** The command that publishes. */
export const publish: Command = defineCommand({
  name: 'publish',
  group: 'Act',
  summary: 'Publish to all instances that are subscribed to a topic',
  parameters: {
    topic: required('<topic>', 'Such as orders/created'),
    data: option('-d, --data <json>', 'The message: JSON, @file, or - for standard input'),
    key: option('--key <key>', 'Published again with the same key each instance takes it once'),
    ...DRY_RUN,
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [{ line: `duraloom publish orders/created --data '{ "id": 17 }'`, what: 'to whoever listens' }],
  run: async (context, { topic, key, dryRun, json, ...values }) => {
    const { io } = context;
    const data = await readJson(io, values.data, '--data');
    const { client } = await context.openStore(values.store);
    if (dryRun) {
      await printResult(context, json, { dryRun: true, topic, data }, () =>
        io.print(`Would publish to topic '${clean(topic)}'; who is subscribed shows when it is published`),
      );
      return EXIT.ok;
    }
    const subscribers = await client.publish(topic, data, key === undefined ? {} : { key });
    await printResult(context, json, { topic, subscribers }, () => io.print(`Published to ${subscribers} instance(s)`));
    return EXIT.ok;
  },
});

function notDelivered(id: string): CliError {
  return new CliError('NOT_DELIVERED', `Instance '${id}' has ended, so the event was dropped. Start a new instance`);
}
