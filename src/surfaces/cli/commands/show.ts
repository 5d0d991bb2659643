// `duraloom show`: all about one instance. Neighbour: instances.ts.
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { required } from '../parameters.ts';
import { printFields, printTable, type Cell } from '../table.ts';
import { moment, payload } from '../text.ts';
import { describeFailure, readInstance, statusCell } from './instances.ts';

/** The command. */
export const show: Command = defineCommand({
  name: 'show',
  group: 'Look',
  summary: 'Show an instance: state, result, values, activities, executions',
  parameters: { id: required('<id>', 'Id of the instance'), ...STORE, ...JSON_OUTPUT },
  examples: [
    { line: 'duraloom show order-17', what: 'for people' },
    { line: 'duraloom show order-17 --json', what: 'for programs: { "instance": …, "values": …, "activities": […], "executions": […] }' },
  ],
  run: async (context, { id, store, json }) => {
    const { io } = context;
    const { client } = await context.openStore(store);
    const instance = await readInstance(client, id);
    const [values, activities, executions] = await Promise.all([
      client.getValues(id),
      client.listActivities(id),
      client.listExecutions(id),
    ]);
    await printResult(context, json, { instance, values, activities, executions }, async () => {
      const attributes = Object.entries(instance.attributes).map(([key, value]) => `${key}=${String(value)}`);
      printFields(io, [
        ['id', instance.instanceId],
        ['name', instance.name],
        ['version', instance.version ?? ''],
        ['status', statusCell(instance.status)],
        ['execution', instance.executionId],
        ['events', instance.eventCount],
        ['parent', instance.parentInstanceId ?? ''],
        ['priority', instance.priority === 0 ? '' : instance.priority],
        ['attributes', attributes.join(' ')],
        ['created', moment(instance.createdAt)],
        ['updated', moment(instance.updatedAt)],
        ['ended', moment(instance.endedAt)],
        ['custom status', payload(instance.customStatus ?? undefined)],
        ['result', payload(instance.result)],
        ['error', instance.error === undefined ? '' : { text: describeFailure(instance.error), paint: 'red' }],
      ]);
      if (values.size > 0) {
        io.print();
        printTable(
          io,
          ['KEY', 'VALUE'],
          [...values].map(([key, value]) => [key, payload(value)]),
        );
      }
      if (activities.length > 0) {
        io.print();
        const heading = ['EVENT', 'ACTIVITY', 'STATE', 'ATTEMPT', 'DUE', 'HEARTBEAT'];
        const rows = activities.map((activity): readonly Cell[] => [
          activity.eventId,
          activity.name,
          activity.isRunning ? { text: 'running', paint: 'cyan' } : 'queued',
          activity.attempt,
          moment(activity.dueAt),
          payload(activity.heartbeat),
        ]);
        printTable(io, heading, rows);
      }
      if (executions.length > 1) {
        io.print();
        const rows = executions.map((execution): readonly Cell[] => [
          execution.executionId,
          execution.version ?? '',
          statusCell(execution.status),
          execution.eventCount,
          moment(execution.endedAt),
        ]);
        printTable(io, ['EXECUTION', 'VERSION', 'STATUS', 'EVENTS', 'ENDED'], rows);
      }
    });
    return EXIT.ok;
  },
});
