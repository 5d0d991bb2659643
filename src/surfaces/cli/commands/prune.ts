// `duraloom prune`: removes histories of old executions. Neighbour: instances.ts.
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult, STORE, YES } from '../common.ts';
import { integer, option, past, required, usage } from '../parameters.ts';
import { clean } from '../text.ts';

/** The command. */
export const prune: Command = defineCommand({
  name: 'prune',
  group: 'Store',
  summary: 'Remove histories of old executions of an instance',
  details: 'For orchestrations that continue as new for long. The current execution always stays.',
  parameters: {
    id: required('<id>', 'Id of the instance'),
    keepLast: option('--keep-last <count>', 'Keep so many of the newest executions', integer(1)),
    endedBefore: option('--ended-before <when>', 'Only executions that ended earlier: a date, or how long ago', past),
    ...DRY_RUN,
    ...YES,
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom prune poller --keep-last 10 --dry-run', what: 'what would go' },
    { line: 'duraloom prune poller --ended-before 30d --yes', what: 'by age' },
  ],
  run: async (context, { id, keepLast, endedBefore, dryRun, yes, store, json }) => {
    const { io } = context;
    if (keepLast === undefined && endedBefore === undefined)
      throw usage('Say what goes: --keep-last <count>, --ended-before <when>, or both');
    const { client } = await context.openStore(store);
    const executions = await client.listExecutions(id);
    // The current one is the last; what is counted here is what is said in docs of pruneExecutions.
    const old = executions.slice(0, Math.max(0, executions.length - Math.max(1, keepLast ?? 1)));
    const going = old.filter(({ endedAt }) => endedBefore === undefined || (endedAt !== null && endedAt < endedBefore));
    if (dryRun) {
      const ids = going.map(({ executionId }) => executionId);
      await printResult(context, json, { dryRun: true, instanceId: id, executions: ids.length, executionIds: ids }, () =>
        io.print(`Would remove ${ids.length} of ${executions.length} execution(s) of '${clean(id)}'`),
      );
      return EXIT.ok;
    }
    if (going.length > 0)
      await io.confirm(`This will remove ${going.length} of ${executions.length} execution(s) of '${clean(id)}'. Go on?`, yes);
    const removed = await client.pruneExecutions(id, {
      ...(keepLast !== undefined && { keepLast }),
      ...(endedBefore !== undefined && { endedBefore }),
    });
    await printResult(context, json, { instanceId: id, ...removed }, () =>
      io.print(`Removed ${removed.executions} execution(s) of '${clean(id)}'`),
    );
    return EXIT.ok;
  },
});
