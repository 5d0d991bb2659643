// `duraloom export`: instances as JSONL, one a line. A file appears when it is complete. Neighbour: import.ts reads it.
import { createWriteStream, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client, InstanceFilterOptions } from '../../../index.ts';
import { encodeRecord } from '../../../types/codec.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { FILTERS, toFilter } from '../filters.ts';
import { flag, optional, usage, writeError } from '../parameters.ts';
import { clean } from '../text.ts';

/** Beyond it the total of the progress is a guess. */
const COUNT_LIMIT = 1_000_000;

/** The command. */
export const exportCommand: Command = defineCommand({
  name: 'export',
  group: 'Store',
  summary: 'Write instances with their histories as JSONL',
  details: 'Each line is an instance with all that it needs to go on in another store. Without a file it goes to standard output.',
  parameters: {
    file: optional('[file]', 'File to write; - or nothing: standard output'),
    ...FILTERS,
    force: flag('--force', 'Replace the file when it is there'),
    ...DRY_RUN,
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom export backup.jsonl', what: 'everything' },
    { line: 'duraloom export --name order --status Failed | gzip > failed.jsonl.gz', what: 'some, through a pipe' },
  ],
  run: async (context, { file = '-', force, dryRun, json, ...values }) => {
    const { io } = context;
    if (json && file === '-' && !dryRun) throw usage('--json is about the summary: it needs a file. The lines are JSON as they are');
    const isSpecial = file !== '-' && checkTarget(file, force);
    const { client } = await context.openStore(values.store);
    const filter = toFilter(values);
    const { count, isExact } = await client.countInstances(filter, { limit: COUNT_LIMIT, signal: context.signal });
    if (dryRun) {
      await printResult(context, json, { dryRun: true, instances: count, isExact, file }, () =>
        io.print(`Would export ${count} instance(s) to ${clean(file)}`),
      );
      return EXIT.ok;
    }
    const bar = await io.progress('exported', isExact ? count : null);
    let instances = 0;
    try {
      const lines = toLines(client, filter, context.signal, () => bar.to((instances += 1)));
      if (file === '-') for await (const line of lines) await io.write(line);
      else await writeFile(isSpecial ? { file } : { file, partial: `${file}.partial` }, lines, context);
    } finally {
      bar.stop();
    }
    if (file !== '-')
      await printResult(context, json, { instances, file }, () => io.print(`Exported ${instances} instance(s) to ${clean(file)}`));
    return EXIT.ok;
  },
});

async function* toLines(client: Client, filter: InstanceFilterOptions, signal: AbortSignal, onLine: () => void): AsyncGenerator<string> {
  for await (const instance of client.exportInstances(filter, { signal })) {
    signal.throwIfAborted();
    yield `${encodeRecord(instance)}\n`;
    onLine();
  }
}

/** Returns true for a pipe or a device: it is written to, never replaced. */
function checkTarget(file: string, force: boolean): boolean {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return false;
  if (stats.isDirectory()) throw new CliError('FILE_UNREADABLE', `'${file}' is a folder. Name a file in it`);
  if (!stats.isFile()) return true;
  if (!force) throw new CliError('FILE_EXISTS', `'${file}' is there already. Choose another name, or replace it with --force`);
  return false;
}

/** A half file is never taken for a whole one: it gets its name at the end. */
async function writeFile(
  { file, partial }: { readonly file: string; readonly partial?: string },
  lines: AsyncIterable<string>,
  { io, signal }: CommandContext,
): Promise<void> {
  try {
    const written = pipeline(Readable.from(lines), createWriteStream(partial ?? file), { signal });
    // A pipe may have no reader, for ever.
    await (partial === undefined ? io.unlessInterrupted(written) : written);
    if (partial !== undefined) await rename(partial, file);
  } catch (error) {
    if (partial !== undefined) await rm(partial, { force: true });
    const { syscall } = error as { readonly syscall?: unknown };
    throw syscall === undefined ? error : writeError(file, error);
  }
}
