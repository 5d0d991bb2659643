// `duraloom cancel`, `terminate`, `suspend`, `resume`, `retry`, `delete`: one way of saying which instances, by ids or by a filter.
// Neighbours: bulk.ts does it by filter, ../filters.ts has the filters.
import type { Client } from '../../../index.ts';
import { isEnded } from '../../../types/instance.ts';
import { EXIT, tellError, type ExitCode } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext, type Example } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, STORE, YES } from '../common.ts';
import { FILTERS } from '../filters.ts';
import { flag, integer, option, several, usage } from '../parameters.ts';
import { clean, toJson } from '../text.ts';
import { controlMatching, type ControlAction } from './bulk.ts';
import { readInstance } from './instances.ts';

/** What differs between the actions. */
type Action = {
  readonly action: ControlAction;
  readonly summary: string;
  readonly details: string;
  /** Cannot be undone: asks also for single instances. */
  readonly isDestructive: boolean;
  readonly examples: readonly Example[];
};

type Given = { readonly reason: string | undefined; readonly force: boolean };

/** What was done to an instance, in a word. */
type Outcome = { readonly instanceId: string; readonly outcome: string };
/** Why nothing was done. */
type Trouble = {
  readonly instanceId: string;
  readonly error: { readonly code: string; readonly message: string; readonly exitCode: ExitCode };
};

const ACTIONS: readonly Action[] = [
  {
    action: 'cancel',
    summary: 'Ask instances to cancel: their code may clean up',
    details: 'What the orchestration waits for rejects with CancelledError, and it ends Cancelled.',
    isDestructive: true,
    examples: [
      { line: 'duraloom cancel order-17 --reason "customer called" --yes', what: 'one' },
      { line: 'duraloom cancel --all-matching --name order --created-before 7d --dry-run', what: 'what would be cancelled' },
    ],
  },
  {
    action: 'terminate',
    summary: 'End instances at once, without running their code',
    details: 'Their activities and messages go; children end by their close policy. Works on suspended and quarantined instances, too.',
    isDestructive: true,
    examples: [
      { line: 'duraloom terminate order-17 order-18', what: 'asks before it does' },
      { line: 'duraloom terminate --all-matching --status Quarantined --yes', what: 'all that are quarantined' },
    ],
  },
  {
    action: 'suspend',
    summary: 'Stop instances until they are resumed',
    details: 'Messages, timers and results of activities are kept for later.',
    isDestructive: false,
    examples: [
      { line: 'duraloom suspend order-17', what: 'one' },
      { line: 'duraloom suspend --all-matching --name order --status Running --yes', what: 'all of a name' },
    ],
  },
  {
    action: 'resume',
    summary: 'Let suspended or quarantined instances run again',
    details: 'With all their messages and no attempts counted.',
    isDestructive: false,
    examples: [
      { line: 'duraloom resume order-17', what: 'one' },
      { line: 'duraloom resume --all-matching --status Suspended,Quarantined --yes', what: 'all that are stopped' },
    ],
  },
  {
    action: 'retry',
    summary: 'Try instances again: resume quarantined ones, start ended ones anew',
    details: `A quarantined instance goes on where it was. A failed, cancelled or terminated one starts from the beginning with the same id, name, input
and attributes; its old history is replaced.`,
    isDestructive: false,
    examples: [
      { line: 'duraloom retry order-17', what: 'one' },
      { line: 'duraloom retry --all-matching --name order --status Failed --dry-run', what: 'what would be tried again' },
    ],
  },
  {
    action: 'delete',
    summary: 'Delete instances that have ended, with their descendants',
    details: 'With --force living ones, too. Histories and values go with them.',
    isDestructive: true,
    examples: [
      { line: 'duraloom delete order-17 --yes', what: 'one' },
      { line: 'duraloom delete --all-matching --status Completed --updated-before 30d --dry-run', what: 'what would go' },
    ],
  },
];

/** The commands. */
export const controls: readonly Command[] = ACTIONS.map(makeCommand);

function makeCommand(described: Action): Command {
  const { action, summary, details, examples } = described;
  return defineCommand({
    name: action,
    group: 'Act',
    summary,
    details: `${details} Name instances by their ids, or all that match filters with --all-matching.`,
    parameters: {
      ids: several('[ids...]', 'Ids of the instances'),
      allMatching: flag('--all-matching', 'All instances that match the filters, at least one of which must be given'),
      ...FILTERS,
      limit: option('--limit <count>', 'With --all-matching: at most so many', integer(1)),
      reason: option('--reason <text>', 'For the record (cancel, terminate)'),
      force: flag('--force', 'Living instances, too (delete)'),
      ...DRY_RUN,
      ...YES,
      ...STORE,
      ...JSON_OUTPUT,
    },
    examples,
    run: async (context, values) => {
      if (values.reason !== undefined && action !== 'cancel' && action !== 'terminate') throw usage(`${action} takes no --reason`);
      if (values.force && action !== 'delete') throw usage(`${action} takes no --force`);
      if (values.allMatching) return await controlMatching(context, action, values);
      if (values.ids.length === 0) throw usage(`Name at least one instance, or give --all-matching with filters`);
      const filters = [...Object.keys(FILTERS), 'limit'].filter((name) => isGiven((values as Readonly<Record<string, unknown>>)[name]));
      if (filters.length > 0) throw usage('Filters and --limit go with --all-matching, not with ids');
      return await controlNamed(context, described, values);
    },
  });
}

function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined;
}

type Named = Given & {
  readonly ids: readonly string[];
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly json: boolean;
  readonly store: string | undefined;
};

async function controlNamed(context: CommandContext, { action, isDestructive }: Action, values: Named): Promise<ExitCode> {
  const { io, signal } = context;
  const { ids, dryRun } = values;
  const { client } = await context.openStore(values.store);
  if (isDestructive && !dryRun) {
    const names = ids.map((id) => `'${clean(id)}'`).join(', ');
    await io.confirm(`This will ${action} ${names}. Go on?`, values.yes);
  }
  const results: (Outcome | Trouble)[] = [];
  let exitCode: ExitCode = EXIT.ok;
  for (const instanceId of ids) {
    signal.throwIfAborted();
    try {
      const outcome = dryRun ? await foresee(client, action, instanceId, values) : await act(client, action, instanceId, values);
      results.push({ instanceId, outcome });
      if (!values.json) io.print(`${clean(instanceId)}: ${outcome}`);
    } catch (error) {
      const told = tellError(error);
      results.push({ instanceId, error: told });
      // The first trouble counts.
      if (exitCode === EXIT.ok) exitCode = told.exitCode;
      if (!values.json) io.note(`${io.paintNote('red', 'error:')} ${clean(told.message)} (${clean(told.code)})`);
    }
  }
  if (values.json) io.print(toJson({ action, dryRun, results }));
  return exitCode;
}

/** What a dry run says: what is refused for the status is the same error as without. */
async function foresee(client: Client, action: ControlAction, instanceId: string, { force }: Given): Promise<string> {
  const { InstanceError } = await import('../../../index.ts');
  const { status, name } = await readInstance(client, instanceId);
  const needsLife = action !== 'delete' && action !== 'retry';
  if (isEnded(status) ? needsLife || (action === 'retry' && status === 'Completed') : false) {
    throw new InstanceError('INSTANCE_ENDED', instanceId, `instance '${instanceId}' has ended (${status}): ${action} would be refused`);
  }
  if (!isEnded(status) && ((action === 'delete' && !force) || (action === 'retry' && status !== 'Quarantined'))) {
    throw new InstanceError('INSTANCE_ALIVE', instanceId, `instance '${instanceId}' has not ended (${status}): ${action} would be refused`);
  }
  return `would ${action} it ('${clean(name)}', ${status})`;
}

async function act(client: Client, action: ControlAction, instanceId: string, { reason, force }: Given): Promise<string> {
  const { InstanceError } = await import('../../../index.ts');
  switch (action) {
    case 'cancel': {
      const { delivered } = await client.cancel(instanceId, reason);
      if (delivered) return 'asked to cancel';
      throw new InstanceError('INSTANCE_ENDED', instanceId, `instance '${instanceId}' has ended and cannot be cancelled`);
    }
    case 'terminate':
      await client.terminate(instanceId, reason);
      return 'terminated';
    case 'suspend':
      return (await client.suspend(instanceId)).done ? 'suspended' : 'was suspended already';
    case 'resume':
      return (await client.resume(instanceId)).done ? 'resumed' : 'runs already';
    case 'retry':
      return (await client.retry(instanceId)).how === 'resumed' ? 'resumed' : 'started anew';
    case 'delete': {
      const { instances } = await client.deleteInstance(instanceId, { force });
      return instances === 1 ? 'deleted' : `deleted with ${instances - 1} descendant(s)`;
    }
  }
}
