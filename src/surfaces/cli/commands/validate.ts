// `duraloom validate`: are the histories of a file, an instance or a whole store well-formed? Neighbours: history-file.ts, ../sqlite-file.ts.
import type { Client, InstanceSummary } from '../../../index.ts';
import { toFailure } from '../../../types/failure.ts';
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { flag, optional, option, usage } from '../parameters.ts';
import { locateStore } from '../store.ts';
import { clean } from '../text.ts';
import { noHistory, parseHistory } from './history-file.ts';
import { readAll, readTextFile } from '../parameters.ts';
import { readInstance } from './instances.ts';

/** Something that is not as it should be. */
type Problem = { readonly instanceId: string | null; readonly executionId: number | null; readonly code: string; readonly message: string };
type Tally = { instances: number; executions: number; events: number; readonly problems: Problem[] };

/** The command. */
export const validate: Command = defineCommand({
  name: 'validate',
  group: 'Store',
  summary: 'Check histories: of a file, an instance, or the whole store',
  details: `Checks each event and the order of all (see docs/semantics.md). Without a file or an instance it checks every history of the store, and
a SQLite file as a whole. Reads only.`,
  parameters: {
    file: optional('[file]', 'History file; -: standard input'),
    instance: option('--instance <id>', 'Check this instance of the store'),
    quick: flag('--quick', 'Leave out the check of the SQLite file as a whole'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom validate', what: 'the whole store' },
    { line: 'duraloom validate --instance order-17', what: 'an instance' },
    { line: 'duraloom validate order-17.json', what: 'a file' },
  ],
  run: async (context, { file, instance, quick, store, json }) => {
    if (file !== undefined && instance !== undefined) throw usage('Name a file or --instance, not both');
    const { validateHistory } = await import('../../../index.ts');
    const tally: Tally = { instances: 0, executions: 0, events: 0, problems: [] };
    const check = (instanceId: string | null, executionId: number, events: readonly unknown[]): void => {
      tally.executions += 1;
      tally.events += events.length;
      note(tally, instanceId, executionId, () => void validateHistory(events));
    };
    if (file !== undefined) {
      const { instanceId, executions } = parseHistory(file === '-' ? await readAll(context.io) : await readTextFile(file), file);
      tally.instances = 1;
      for (const { executionId, events } of executions) check(instanceId, executionId, events);
    } else await checkStore(context, { instance, quick, store }, tally, check);
    await printResult(context, json, tally, () => printTally(context, tally));
    return tally.problems.length === 0 ? EXIT.ok : EXIT.failed;
  },
});

type Check = (instanceId: string | null, executionId: number, events: readonly unknown[]) => void;
type What = { readonly instance: string | undefined; readonly quick: boolean; readonly store: string | undefined };

async function checkStore(context: CommandContext, { instance, quick, store }: What, tally: Tally, check: Check): Promise<void> {
  const { client } = await context.openStore(store);
  if (instance !== undefined) {
    await checkInstance(client, await readInstance(client, instance), tally, check);
    if (tally.executions === 0 && tally.problems.length === 0) throw noHistory(instance);
    return;
  }
  const location = locateStore(store);
  if (!quick && location.kind === 'sqlite') {
    const { checkIntegrity } = await import('../sqlite-file.ts');
    for (const message of await checkIntegrity(location.file)) {
      tally.problems.push({ instanceId: null, executionId: null, code: 'DATABASE_UNREADABLE', message });
    }
  }
  const { count, isExact } = await client.countInstances({}, { limit: 1_000_000 });
  const bar = await context.io.progress('checked', isExact ? count : null);
  try {
    let cursor: string | null = null;
    do {
      const page: { readonly instances: readonly InstanceSummary[]; readonly cursor: string | null } = await client.listInstances({
        orderBy: 'id',
        direction: 'asc',
        limit: 500,
        ...(cursor !== null && { cursor }),
      });
      for (const found of page.instances) {
        context.signal.throwIfAborted();
        await checkInstance(client, found, tally, check);
        bar.to(tally.instances);
      }
      ({ cursor } = page);
    } while (cursor !== null);
  } finally {
    bar.stop();
  }
}

async function checkInstance(client: Client, { instanceId }: { readonly instanceId: string }, tally: Tally, check: Check): Promise<void> {
  tally.instances += 1;
  try {
    for (const { executionId, eventCount } of await client.listExecutions(instanceId)) {
      // None before its first turn.
      if (eventCount === 0) continue;
      try {
        check(instanceId, executionId, await client.readHistory(instanceId, executionId));
      } catch (error) {
        add(tally, instanceId, executionId, error);
      }
    }
  } catch (error) {
    // Deleted meanwhile.
    if (toFailure(error).code !== 'INSTANCE_NOT_FOUND') add(tally, instanceId, null, error);
  }
}

function note(tally: Tally, instanceId: string | null, executionId: number, check: () => void): void {
  try {
    check();
  } catch (error) {
    add(tally, instanceId, executionId, error);
  }
}

/** Only what is wrong with the data; a store that fails ends the command. */
function add(tally: Tally, instanceId: string | null, executionId: number | null, error: unknown): void {
  const { code, message } = toFailure(error);
  if (code !== 'HISTORY_INVALID' && code !== 'MESSAGE_INVALID') throw error;
  tally.problems.push({ instanceId, executionId, code, message });
}

function printTally({ io }: CommandContext, { instances, executions, events, problems }: Tally): void {
  for (const { instanceId, executionId, code, message } of problems) {
    const where = [instanceId === null ? '' : `'${clean(instanceId)}'`, executionId === null ? '' : `execution ${executionId}`];
    const place = where.filter((text) => text !== '').join(' ');
    io.print(`${io.paint('red', place === '' ? 'file' : place)}: ${clean(message)} (${code})`);
  }
  const verdict = problems.length === 0 ? io.paint('green', 'all are well-formed') : io.paint('red', `${problems.length} problem(s)`);
  io.print(`${instances} instance(s), ${executions} execution(s), ${events} event(s): ${verdict}`);
}
