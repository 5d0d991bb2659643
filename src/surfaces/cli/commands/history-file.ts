// Recorded histories from files and from stores, in whatever form they come. Neighbours: validate.ts, replay.ts, diagram.ts.
import type { Client } from '../../../index.ts';
import type { RecordedHistory } from '../../../testing.ts';
import { parseRecord } from '../../../types/codec.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { readAll, readTextFile, usage } from '../parameters.ts';

/** A history whose events nobody has checked. */
export type GivenHistory = {
  /** null: the file does not say. */
  readonly instanceId: string | null;
  readonly executions: readonly { readonly executionId: number; readonly events: readonly unknown[] }[];
};

/**
 * Takes a history from a file, or from an instance of a store.
 *
 * @param context - opens the store
 * @param from - a file (or -), or an instance
 * @returns the history, with at least one execution
 * @throws {CliError} `USAGE` for both or none, `INPUT_INVALID` when the file holds no history
 */
export async function takeHistory(
  context: CommandContext,
  {
    file,
    instance,
    store,
  }: { readonly file: string | undefined; readonly instance: string | undefined; readonly store: string | undefined },
): Promise<GivenHistory> {
  if ((file === undefined) === (instance === undefined)) throw usage('Name a history file, or an instance with --instance');
  if (file !== undefined) return parseHistory(file === '-' ? await readAll(context.io) : await readTextFile(file), file);
  const { client } = await context.openStore(store);
  return await recordHistory(client, instance ?? '');
}

/**
 * Takes all executions of an instance.
 *
 * @param client - of the store
 * @param instanceId - which instance
 * @returns the document that `duraloom history --recorded` prints
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 * @throws {CliError} `INPUT_INVALID` when it has no history yet
 */
export async function recordHistory(client: Client, instanceId: string): Promise<RecordedHistory> {
  const executions = await client.listExecutions(instanceId);
  if (executions.every(({ eventCount }) => eventCount === 0)) throw noHistory(instanceId);
  const { exportHistory } = await import('../../../testing.ts');
  return await exportHistory(client, instanceId);
}

/**
 * Makes the error for an instance that has not begun.
 *
 * @param instanceId - which instance
 * @returns the error
 */
export function noHistory(instanceId: string): CliError {
  return new CliError('INPUT_INVALID', `Instance '${instanceId}' has no history yet: no host has run its first turn. See duraloom why`);
}

/**
 * Reads a history: what `duraloom history --recorded` or `exportHistory` wrote, `duraloom history --json`, or a list of events.
 *
 * @param text - what the file holds
 * @param file - for the message
 * @returns the history
 * @throws {CliError} `INPUT_INVALID`
 */
export function parseHistory(text: string, file: string): GivenHistory {
  const where = file === '-' ? 'Standard input' : `'${file}'`;
  let given: unknown;
  try {
    given = parseRecord(text);
  } catch (cause) {
    throw new CliError('INPUT_INVALID', `${where} is no JSON. Give what duraloom history --recorded printed`, { cause });
  }
  const history = Array.isArray(given) ? { events: given as readonly unknown[] } : ((given ?? {}) as Fields);
  const id = typeof history.instanceId === 'string' ? history.instanceId : null;
  const executions = Array.isArray(history.executions) ? (history.executions as readonly unknown[]) : [history];
  const read = executions.map((execution) => {
    const { events, executionId } = (execution ?? {}) as Fields;
    if (!Array.isArray(events))
      throw new CliError('INPUT_INVALID', `${where} holds no history. Give what duraloom history --recorded printed`);
    const first = (events[0] ?? {}) as Fields;
    const number = executionId ?? first.executionId;
    return { executionId: typeof number === 'number' ? number : 1, events: events as readonly unknown[] };
  });
  if (read.length === 0) throw new CliError('INPUT_INVALID', `${where} holds a history without executions`);
  return { instanceId: id, executions: read };
}

type Fields = { readonly instanceId?: unknown; readonly executions?: unknown; readonly events?: unknown; readonly executionId?: unknown };
