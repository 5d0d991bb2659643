// Runs one command line: finds the command, runs it, tells errors, closes the store, gives the exit code. Neighbours: bin/duraloom.js calls it,
// program.ts reads the line, io.ts is the terminal.
//
// M1. No stack trace reaches a person, unless DURALOOM_DEBUG=1 asks for it.
// M2. Ctrl-C aborts the command by its signal; the second one ends the process at once, and so does time when the command has ended and something
//     keeps the process. The signal itself ends it then: process.exit waits for threads, and one may hang in a pipe that nobody opens.
//     A reader that goes away (`| head`) ends it in silence; output that cannot be written for another reason is an error like others.
import { CommanderError } from 'commander';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { EXIT, tellError, CliError, type ExitCode } from './cli-error.ts';
import type { Command, CommandContext } from './command.ts';
import { COMMANDS } from './commands/all.ts';
import { Io } from './io.ts';
import { buildProgram, readComplaint } from './program.ts';
import { locateStore, openStore, type OpenedStore } from './store.ts';
import { clean, cleanLines, toJson } from './text.ts';
import { readVersion } from './version.ts';

/** Interrupts that come together are one: a terminal sends it to this process, and so does the one that started it (bin/duraloom.js). */
const SAME_INTERRUPT_MS = 100;
/** How long stores may take to close. */
const CLOSE_TIMEOUT_MS = 3_000;
/** How long output that nobody reads, and files that do not open, may keep the process after an interrupt. */
const LINGER_MS = 1_000;

/**
 * Runs a command line.
 *
 * @param words - what was typed after `duraloom`
 * @returns the exit code
 */
export async function main(words: readonly string[]): Promise<number> {
  const abort = new AbortController();
  const io = new Io(process, abort.signal);
  endWithReader(io, words.includes('--json'));
  let exitCode: ExitCode = EXIT.ok;
  const program = buildProgram(COMMANDS, readVersion(), io, async (command, values) => {
    exitCode = await runCommand(command, values, io, abort);
  });
  try {
    if (words.length === 0) program.help();
    await program.parseAsync([...words], { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(io, error instanceof CommanderError ? toUsage(error, words) : error, words.includes('--json'));
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
  let first: { readonly at: number; readonly signal: NodeJS.Signals } | null = null;
  const onSignal = (signal: NodeJS.Signals): void => {
    const at = performance.now();
    if (first === null) first = { at, signal };
    else if (at - first.at > SAME_INTERRUPT_MS) endBy(signal);
    abort.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    if (first !== null) setTimeout(endBy, LINGER_MS, first.signal).unref();
  };
}

function endBy(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

function endWithReader(io: Io, isJson: boolean): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    const told = new CliError('FILE_UNREADABLE', `Standard output cannot be written: ${error.message}`, { cause: error });
    process.exit(report(io, told, isJson));
  });
  // Nobody can be told.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed));
}

/** null: there is nothing to tell. */
function report(io: Io, error: unknown, isJson: boolean): ExitCode {
  if (error === null) return EXIT.ok;
  const told = tellError(error);
  // A message of several lines has its code on the first one.
  const [first = '', ...more] = cleanLines(told.message).split('\n');
  const text = [`${io.paintNote('red', 'error:')} ${first} (${clean(told.code)})`, ...more].join('\n');
  io.note(isJson ? toJson({ error: told }) : text);
  if (process.env['DURALOOM_DEBUG'] === '1') io.note(inspect(error));
  return told.exitCode;
}

/** null: help or version was asked for. */
function toUsage(error: CommanderError, words: readonly string[]): CliError | null {
  if (error.exitCode === 0 || error.code === 'commander.help') return null;
  const typed = `${words.join(' ')} `;
  const command = COMMANDS.find(({ name }) => typed.startsWith(`${name} `));
  const dash = /option '-[^-]/.test(error.message) ? 'An id that begins with - goes behind --. ' : '';
  const complaint = readComplaint(error.message).replace(/[^?]$/, '$&.');
  return new CliError('USAGE', `${complaint} ${dash}See duraloom ${command === undefined ? '' : `${command.name} `}--help`);
}
