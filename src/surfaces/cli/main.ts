// Runs one command line: finds the command, runs it, tells errors, closes the store, gives the exit code. Neighbours: bin/duraloom.js calls it,
// program.ts reads the line, io.ts is the terminal.
//
// M1. No stack trace reaches a person, unless DURALOOM_DEBUG=1 asks for it.
// M2. Ctrl-C aborts the command by its signal; the second one ends the process at once. A reader that goes away (`| head`) ends it in silence.
import { CommanderError } from 'commander';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { EXIT, tellError, CliError, type ExitCode, type ToldError } from './cli-error.ts';
import type { Command, CommandContext } from './command.ts';
import { COMMANDS } from './commands/all.ts';
import { Io } from './io.ts';
import { buildProgram, readComplaint } from './program.ts';
import { locateStore, openStore, type OpenedStore } from './store.ts';
import { clean, cleanLines, toJson } from './text.ts';
import { readVersion } from './version.ts';

/** How long stores may take to close. */
const CLOSE_TIMEOUT_MS = 3_000;

/**
 * Runs a command line.
 *
 * @param words - what was typed after `duraloom`
 * @returns the exit code
 */
export async function main(words: readonly string[]): Promise<number> {
  const abort = new AbortController();
  const io = new Io(process, abort.signal);
  endWithReader();
  let exitCode: ExitCode = EXIT.ok;
  const program = buildProgram(COMMANDS, readVersion(), io, async (command, values) => {
    exitCode = await runCommand(command, values, io, abort);
  });
  try {
    if (words.length === 0) program.help();
    await program.parseAsync([...words], { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(io, error, words.includes('--json'));
  }
}

async function runCommand(command: Command, values: Readonly<Record<string, unknown>>, io: Io, abort: AbortController): Promise<ExitCode> {
  const opened: OpenedStore[] = [];
  const context: CommandContext = {
    io,
    signal: abort.signal,
    commands: COMMANDS,
    openStore: async (store, options) => {
      const made = await openStore(locateStore(store), options);
      opened.push(made);
      return made;
    },
  };
  const stopListening = command.interrupt === 'default' ? () => undefined : listen(abort);
  try {
    return await command.run(context, values);
  } catch (error) {
    // Whatever it was that the abort broke.
    if (abort.signal.aborted) throw new CliError('INTERRUPTED', 'Interrupted', { cause: error });
    throw error;
  } finally {
    const isClosed = await closeAll(opened);
    stopListening();
    // What hangs keeps no terminal. The exit code is that of the moment before.
    if (!isClosed) setImmediate(() => process.exit());
  }
}

/** Returns false when a store does not close: a write of it may wait for a lock for ever. */
async function closeAll(opened: readonly OpenedStore[]): Promise<boolean> {
  const closing = Promise.all(opened.map(async ({ provider }) => await provider.close())).then(() => true);
  const giveUp = new AbortController();
  const waiting = delay(CLOSE_TIMEOUT_MS, false, { signal: giveUp.signal }).catch(() => false);
  try {
    return await Promise.race([closing, waiting]);
  } finally {
    giveUp.abort();
  }
}

/** M2. */
function listen(abort: AbortController): () => void {
  const onSignal = (): void => {
    if (abort.signal.aborted) process.exit(EXIT.interrupted);
    abort.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
}

function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(EXIT.ok);
      throw error;
    });
  }
}

function report(io: Io, error: unknown, isJson: boolean): ExitCode {
  const told = tell(error);
  if (told === null) return EXIT.ok;
  // A message of several lines has its code on the first one.
  const [first = '', ...more] = cleanLines(told.message).split('\n');
  const text = [`${io.paintNote('red', 'error:')} ${first} (${clean(told.code)})`, ...more].join('\n');
  io.note(isJson ? toJson({ error: told }) : text);
  if (process.env['DURALOOM_DEBUG'] === '1') io.note(inspect(error));
  return told.exitCode;
}

/** null: help or version was asked for. */
function tell(error: unknown): ToldError | null {
  if (!(error instanceof CommanderError)) return tellError(error);
  if (error.exitCode === 0 || error.code === 'commander.help') return null;
  return {
    code: 'USAGE',
    message: `${readComplaint(error.message)} See duraloom --help`.replace(/([^?]) See/, '$1. See'),
    exitCode: EXIT.usage,
  };
}
