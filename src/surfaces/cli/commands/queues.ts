// `duraloom queues …`: depth and content of the queues, and mending single items. Neighbour: ../table.ts.
import type { QueueEntry, QueueItemRef } from '../../../index.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult, STORE, YES } from '../common.ts';
import { choice, integer, option, required, usage } from '../parameters.ts';
import { printFields, printTable, type Cell } from '../table.ts';
import { clean, moment, payload } from '../text.ts';
import { damageCell } from './instances.ts';

const depth: Command = defineCommand({
  name: 'queues depth',
  group: 'Store',
  summary: 'Count the messages and work items that wait',
  parameters: { ...STORE, ...JSON_OUTPUT },
  examples: [{ line: 'duraloom queues depth', what: 'how much waits' }],
  run: async (context, { store, json }) => {
    const { client } = await context.openStore(store);
    const depths = await client.getQueueDepths();
    await printResult(context, json, depths, () =>
      printFields(context.io, [
        ['orchestrator messages', depths.orchestratorMessages],
        ['work items', depths.workItems],
      ]),
    );
    return EXIT.ok;
  },
});

const peek: Command = defineCommand({
  name: 'queues peek',
  group: 'Store',
  summary: 'Show what is in a queue without taking it',
  parameters: {
    queue: choice('--queue <queue>', 'Messages of instances, or activities; default: worker', ['orchestrator', 'worker'] as const),
    instance: option('--instance <id>', 'Only of this instance'),
    limit: option('--limit <count>', 'At most so many', integer(1, 1_000)),
    cursor: option('--cursor <cursor>', 'Go on after the page that gave this cursor'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom queues peek --queue worker --limit 20', what: 'activities that wait or run' },
    { line: 'duraloom queues peek --queue orchestrator --instance order-17', what: 'messages of an instance' },
  ],
  run: async (context, { queue = 'worker', instance, limit, cursor, store, json }) => {
    const { io } = context;
    const { client } = await context.openStore(store);
    const page = await client.peekQueue({
      queue,
      ...(instance !== undefined && { instanceId: instance }),
      ...(limit !== undefined && { limit }),
      ...(cursor !== undefined && { cursor }),
    });
    await printResult(context, json, page, async () => {
      if (page.items.length === 0) io.note('Nothing waits');
      else if (queue === 'worker')
        printTable(io, ['INSTANCE', 'ACTIVITY', 'NAME', 'ATTEMPT', 'DUE', 'LOCKED UNTIL', 'INPUT'], page.items.map(toQueueRow));
      else printTable(io, ['INSTANCE', 'MESSAGE', 'ATTEMPT', 'DUE', 'LOCKED UNTIL', 'CONTENT'], page.items.map(toQueueRow));
      if (page.cursor !== null) io.note(`More: --cursor ${clean(page.cursor)}`);
    });
    return EXIT.ok;
  },
});

function toQueueRow(entry: QueueEntry): readonly Cell[] {
  const due = entry.visibleAt === null ? '' : moment(entry.visibleAt);
  const lock = moment(entry.lockedUntil);
  const value = entry.damage === null ? payload(entry.kind === 'message' ? entry.message : entry.input) : damageCell(entry.damage);
  switch (entry.kind) {
    case 'message':
      return [entry.instanceId, entry.messageId, entry.attempt, due, lock, value];
    case 'workItem':
      return [entry.instanceId, `${entry.executionId}.${entry.eventId}`, entry.name, entry.attempt, due, lock, value];
  }
}

const EDITS = {
  unlock: {
    name: 'unlock',
    action: 'unlock',
    summary: 'Take the lock off an item, so that another host may have it at once',
    details: 'For items whose host is gone. A host that still works on it has its result refused.',
    done: 'Unlocked',
  },
  moveBack: {
    name: 'move-back',
    action: 'moveBack',
    summary: 'Make an item due now, with no attempts counted',
    details: 'For items that wait long for their next attempt.',
    done: 'Moved back',
  },
  drop: {
    name: 'drop',
    action: 'drop',
    summary: 'Remove an item for good',
    details: 'A dropped activity fails in its orchestration; a dropped message is never received.',
    done: 'Dropped',
  },
} as const;

function makeEdit({ name, action, summary, details, done }: (typeof EDITS)[keyof typeof EDITS]): Command {
  return defineCommand({
    name: `queues ${name}`,
    group: 'Store',
    summary,
    details: `${details} Names and numbers are those that \`duraloom queues peek\` shows.`,
    parameters: {
      id: required('<id>', 'Id of the instance'),
      message: option('--message <number>', 'The message with this number', integer(0)),
      activity: option('--activity <execution.event>', 'The activity that this event of this execution scheduled', readActivity),
      ...DRY_RUN,
      ...YES,
      ...STORE,
      ...JSON_OUTPUT,
    },
    examples: [
      { line: `duraloom queues ${name} order-17 --activity 1.5`, what: 'an activity' },
      { line: `duraloom queues ${name} order-17 --message 42 --dry-run`, what: 'is it there?' },
    ],
    run: async (context, values) => {
      const { io } = context;
      const item = toItem(values);
      const { client } = await context.openStore(values.store);
      if (values.dryRun) {
        if (!(await isQueued(context, client, item))) throw gone(item);
        await printResult(context, values.json, { dryRun: true, action, item }, () =>
          io.print(`Would ${name} ${clean(describeItem(item))}`),
        );
        return EXIT.ok;
      }
      if (action === 'drop') await io.confirm(`This will drop ${clean(describeItem(item))}. Go on?`, values.yes);
      const result = await client.editQueue(action, item);
      if (!result.done) throw gone(item);
      await printResult(context, values.json, { action, item, ...result }, () => io.print(`${done}: ${clean(describeItem(item))}`));
      return EXIT.ok;
    },
  });
}

type ActivityRef = { readonly executionId: number; readonly eventId: number };

function readActivity(text: string, what: string): ActivityRef {
  const [, executionId, eventId] = /^(\d+)\.(\d+)$/.exec(text) ?? [];
  if (executionId === undefined || eventId === undefined) throw usage(`Expected ${what} to be execution.event, such as 1.5, got '${text}'`);
  return { executionId: Number(executionId), eventId: Number(eventId) };
}

function toItem({
  id,
  message,
  activity,
}: {
  readonly id: string;
  readonly message: number | undefined;
  readonly activity: ActivityRef | undefined;
}): QueueItemRef {
  if (message !== undefined && activity === undefined) return { kind: 'message', instanceId: id, messageId: message };
  if (message === undefined && activity !== undefined) return { kind: 'workItem', instanceId: id, ...activity };
  throw usage('Say which item: --message <number> or --activity <execution.event>');
}

async function isQueued(
  { signal }: CommandContext,
  client: Awaited<ReturnType<CommandContext['openStore']>>['client'],
  item: QueueItemRef,
): Promise<boolean> {
  let cursor: string | null = null;
  do {
    signal.throwIfAborted();
    const page: Awaited<ReturnType<typeof client.peekQueue>> = await client.peekQueue({
      queue: item.kind === 'message' ? 'orchestrator' : 'worker',
      instanceId: item.instanceId,
      limit: 1_000,
      ...(cursor !== null && { cursor }),
    });
    if (page.items.some((entry) => isSame(entry, item))) return true;
    ({ cursor } = page);
  } while (cursor !== null);
  return false;
}

function isSame(entry: QueueEntry, item: QueueItemRef): boolean {
  if (entry.kind === 'message') return item.kind === 'message' && entry.messageId === item.messageId;
  return item.kind === 'workItem' && entry.executionId === item.executionId && entry.eventId === item.eventId;
}

function describeItem(item: QueueItemRef): string {
  if (item.kind === 'message') return `message ${item.messageId} of instance '${item.instanceId}'`;
  return `activity ${item.executionId}.${item.eventId} of instance '${item.instanceId}'`;
}

function gone(item: QueueItemRef): CliError {
  return new CliError(
    'QUEUE_ITEM_NOT_FOUND',
    `There is no ${describeItem(item)} in the queue: it is done, or never was. See duraloom queues peek`,
  );
}

/** The commands. */
export const queues: readonly Command[] = [depth, peek, ...Object.values(EDITS).map(makeEdit)];
