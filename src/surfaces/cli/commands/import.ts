// `duraloom import`: what export wrote, into a store. Instances that are there already are left alone, so that it can be run again after a break.
// Neighbour: export.ts.
import { createReadStream, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Client } from '../../../index.ts';
import { parseRecord } from '../../../types/codec.ts';
import { toFailure } from '../../../types/failure.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult, STORE } from '../common.ts';
import type { Io } from '../io.ts';
import { fileError, flag, required } from '../parameters.ts';
import { isThere, locateStore } from '../store.ts';

/** What every line says that it is. */
const FORMAT = 'duraloom-instance';

/** The command. */
export const importCommand: Command = defineCommand({
  name: 'import',
  group: 'Store',
  summary: 'Read instances that `duraloom export` wrote into a store',
  details: 'Instances whose id is in use are left alone: after a break run it again. A line that is none ends it; those before it are in.',
  parameters: {
    file: required('<file>', 'File to read; -: standard input'),
    create: flag('--create', 'Make the SQLite file when it is not there'),
    ...DRY_RUN,
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom import backup.jsonl --store new.db --create', what: 'into a new store' },
    { line: 'gunzip -c failed.jsonl.gz | duraloom import - --dry-run', what: 'are the lines good, and which are there already?' },
  ],
  run: async (context, { file, create, dryRun, json, ...values }) => {
    const { io } = context;
    const source = openSource(io, file);
    const store = await openTarget(context, values.store, { create, dryRun });
    const bar = await io.progress('imported', source.bytes);
    const report = (): void => bar.to(source.bytes === null ? source.at().record : source.bytesRead());
    try {
      const lines = readLines(source, context);
      const result = dryRun ? await foresee(store, lines, source, report) : await importAll(store, lines, source, report);
      bar.stop();
      await printResult(context, json, dryRun ? { dryRun, ...result } : result, () =>
        io.print(`${dryRun ? 'Would import' : 'Imported'} ${result.imported} instance(s); ${result.existing} are there already`),
      );
      context.signal.throwIfAborted();
      return EXIT.ok;
    } finally {
      bar.stop();
      source.stream.destroy();
    }
  },
});

type Counts = { readonly imported: number; readonly existing: number };

/** null: a dry run on a store that is not there yet; nothing is in it. */
async function openTarget(
  context: CommandContext,
  store: string | undefined,
  { create, dryRun }: { readonly create: boolean; readonly dryRun: boolean },
): Promise<Client | null> {
  if (dryRun && create && !isThere(locateStore(store))) return null;
  return (await context.openStore(store, { create })).client;
}

async function importAll(client: Client | null, lines: AsyncIterable<unknown>, source: Source, report: () => void): Promise<Counts> {
  let done: Counts = { imported: 0, existing: 0 };
  try {
    return (await client?.importInstances(lines, { onProgress: (progress) => (report(), (done = progress)) })) ?? done;
  } catch (error) {
    // What is wrong is the input, not the command line. The lines before it are in: the import writes them first.
    if (toFailure(error).code !== 'ARGUMENT_INVALID') throw error;
    throw new CliError('INPUT_INVALID', `${source.complaint()}. ${done.imported + done.existing} instance(s) before it are in the store`, {
      cause: error,
    });
  }
}

/** Looks at the lines as far as that is possible without writing them. */
async function foresee(client: Client | null, lines: AsyncIterable<unknown>, source: Source, report: () => void): Promise<Counts> {
  let [imported, existing] = [0, 0];
  for await (const line of lines) {
    const { format, instance } = (line ?? {}) as {
      readonly format?: unknown;
      readonly instance?: { readonly record?: { readonly instanceId?: unknown } };
    };
    const instanceId = instance?.record?.instanceId;
    if (format !== FORMAT || typeof instanceId !== 'string') throw new CliError('INPUT_INVALID', source.complaint());
    if (client === null || (await client.getState(instanceId)) === null) imported += 1;
    else existing += 1;
    report();
  }
  return { imported, existing };
}

type Source = {
  readonly stream: Readable;
  readonly name: string;
  /** Size of the file; null: nobody knows. */
  readonly bytes: number | null;
  readonly bytesRead: () => number;
  /** Where reading is: a line of the file, and which one of those that hold something; why its text is no JSON. */
  readonly at: () => { line: number; record: number; broken: string | null };
  /** What is wrong with the line. */
  readonly complaint: () => string;
};

function openSource(io: Io, file: string): Source {
  const at: ReturnType<Source['at']> = { line: 0, record: 0, broken: null };
  const place: Pick<Source, 'at' | 'complaint'> = {
    at: () => at,
    complaint: () => {
      const what = at.broken === null ? 'no instance that duraloom export wrote' : `no JSON: ${at.broken}`;
      return `Line ${at.line} is ${what}. Give a file that duraloom export wrote`;
    },
  };
  if (file === '-') return { stream: io.input, name: 'standard input', bytes: null, bytesRead: () => 0, ...place };
  try {
    const { size } = statSync(file);
    const stream = createReadStream(file);
    return { stream, name: file, bytes: size, bytesRead: () => stream.bytesRead, ...place };
  } catch (cause) {
    throw fileError(file, cause);
  }
}

/**
 * A line that is no JSON is given as null, so that the import first writes those before it. An interrupt is the end of the input: those before it
 * are written, and told.
 */
async function* readLines({ stream, name, at: place }: Source, { io, signal }: CommandContext): AsyncGenerator {
  const at = place();
  const failed = new Promise<never>((_resolve, reject) => stream.once('error', (error) => reject(fileError(name, error))));
  // It is raced with each line: when the input has ended, nobody looks at it any more.
  failed.catch(() => undefined);
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (;;) {
    const next = await io.unlessInterrupted(Promise.race([lines.next(), failed])).catch((error: unknown) => {
      if (signal.aborted) return null;
      throw error;
    });
    if (next === null || next.done === true) return;
    at.line += 1;
    const text = at.line === 1 ? next.value.replace(/^\uFEFF/, '') : next.value;
    if (text.trim() === '') continue;
    at.record += 1;
    let record: unknown = null;
    try {
      record = parseRecord(text);
    } catch (cause) {
      at.broken = toFailure(cause).message;
    }
    yield record;
  }
}
