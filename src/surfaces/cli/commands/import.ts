// `duraloom import`: what export wrote, into a store. Instances that are there already are left alone, so that it can be run again after a break.
// Neighbour: export.ts.
import { createReadStream, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Client } from '../../../index.ts';
import { parseRecord } from '../../../types/codec.ts';
import { toFailure } from '../../../types/failure.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult, STORE } from '../common.ts';
import type { Io } from '../io.ts';
import { fileError, flag, required } from '../parameters.ts';

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
  run: async (context, { file, create, dryRun, store, json }) => {
    const { io } = context;
    const source = openSource(io, file);
    // A line that is no JSON reaches the import as null, so that it first writes those before it; what is wrong with it is told afterwards.
    let broken: CliError | null = null;
    const { client } = await context.openStore(store, { create: create && !dryRun });
    const bar = await io.progress('imported', source.bytes);
    const report = (): void => bar.to(source.bytes === null ? source.lines() : source.bytesRead());
    try {
      const lines = readLines(source.stream, context.signal, source.onLine, (error) => (broken = error));
      const result = dryRun ? await foresee(client, lines, report) : await importAll(client, lines, report);
      bar.stop();
      await printResult(context, json, dryRun ? { dryRun, ...result } : result, () =>
        io.print(`${dryRun ? 'Would import' : 'Imported'} ${result.imported} instance(s); ${result.existing} are there already`),
      );
      return EXIT.ok;
    } catch (error) {
      throw broken ?? error;
    } finally {
      bar.stop();
      source.stream.destroy();
    }
  },
});

type Counts = { readonly imported: number; readonly existing: number };

async function importAll(client: Client, lines: AsyncIterable<unknown>, report: () => void): Promise<Counts> {
  try {
    return await client.importInstances(lines, { onProgress: report });
  } catch (error) {
    // What is wrong is the input, not the command line.
    const { code, message } = toFailure(error);
    throw code === 'ARGUMENT_INVALID' ? new CliError('INPUT_INVALID', message, { cause: error }) : error;
  }
}

/** Looks at the lines as far as that is possible without writing them. */
async function foresee(client: Client, lines: AsyncIterable<unknown>, report: () => void): Promise<Counts> {
  let [imported, existing, number] = [0, 0, 0];
  for await (const line of lines) {
    number += 1;
    const { format, instance } = (line ?? {}) as {
      readonly format?: unknown;
      readonly instance?: { readonly record?: { readonly instanceId?: unknown } };
    };
    const instanceId = instance?.record?.instanceId;
    if (format !== FORMAT || typeof instanceId !== 'string') {
      throw new CliError('INPUT_INVALID', `Line ${number} is no exported instance. Give a file that duraloom export wrote`);
    }
    if ((await client.getState(instanceId)) === null) imported += 1;
    else existing += 1;
    report();
  }
  return { imported, existing };
}

type Source = {
  readonly stream: Readable;
  /** Size of the file; null: nobody knows. */
  readonly bytes: number | null;
  readonly bytesRead: () => number;
  readonly lines: () => number;
  readonly onLine: () => void;
};

function openSource(io: Io, file: string): Source {
  let lines = 0;
  const counting = { lines: () => lines, onLine: () => (lines += 1) };
  if (file === '-') return { stream: io.input, bytes: null, bytesRead: () => 0, ...counting };
  try {
    const { size } = statSync(file);
    const stream = createReadStream(file);
    return { stream, bytes: size, bytesRead: () => stream.bytesRead, ...counting };
  } catch (cause) {
    throw fileError(file, cause);
  }
}

async function* readLines(stream: Readable, signal: AbortSignal, onLine: () => void, onBroken: (error: CliError) => void): AsyncGenerator {
  let number = 0;
  const failed = new Promise<never>((_resolve, reject) => stream.once('error', (error) => reject(fileError('the input', error))));
  failed.catch(() => undefined);
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([lines.next(), failed]);
    if (next.done === true) return;
    signal.throwIfAborted();
    number += 1;
    const text = number === 1 ? next.value.replace(/^\uFEFF/, '') : next.value;
    if (text.trim() === '') continue;
    onLine();
    yield parseLine(text, number, onBroken);
  }
}

function parseLine(text: string, number: number, onBroken: (error: CliError) => void): unknown {
  try {
    return parseRecord(text);
  } catch (cause) {
    const message = `Line ${number} is no JSON: ${toFailure(cause).message}. Give a file that duraloom export wrote`;
    onBroken(new CliError('INPUT_INVALID', message, { cause }));
    return null;
  }
}
