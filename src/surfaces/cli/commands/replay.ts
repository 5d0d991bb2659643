// `duraloom replay`: a recorded history against the code of today, step by step: does the code still decide what it decided then?
// Neighbours: history-file.ts reads, replay-steps.ts cuts, events.ts shows.
import { Console } from 'node:console';
import type { HistoryMismatchError } from '../../../index.ts';
import { describeOpenDecisions } from '../../../views.ts';
import { toFailure } from '../../../types/failure.ts';
import type { HistoryEvent } from '../../../types/history-event.ts';
import { EXIT, type ExitCode } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { JSON_OUTPUT, STORE } from '../common.ts';
import type { Io } from '../io.ts';
import { flag, integer, optional, option, repeated, usage } from '../parameters.ts';
import { clean, cleanLines, payload, toJson } from '../text.ts';
import { locateModule, moduleError } from '../user-module.ts';
import { printEvents } from './events.ts';
import { takeHistory, type GivenHistory } from './history-file.ts';
import { endOfStep, stepsOf } from './replay-steps.ts';

/** How the code followed a history. */
type Verdict =
  | { readonly kind: 'followed'; readonly outcome: unknown }
  | {
      readonly kind: 'parted';
      readonly eventId: number;
      readonly recorded: string | null;
      readonly emitted: string;
      readonly diff: string;
    };

/** A module as it was typed, and where it is. */
type Module = { readonly path: string; readonly url: URL };
type Execution = { readonly executionId: number; readonly events: readonly HistoryEvent[] };

/** The command. */
export const replay: Command = defineCommand({
  name: 'replay',
  group: 'Code',
  summary: 'Replay a recorded history against code, step by step',
  details: `Runs the orchestration's code in this process as production does after a restart: nothing outside happens, no activity runs. On a terminal it
goes step by step; else, and with --list, it prints all. Where the code decides something else than history, both sides are shown and the exit
code is 1.`,
  parameters: {
    file: optional('[file]', 'History: what `duraloom history --recorded` printed; -: standard input'),
    instance: option('--instance <id>', 'Take the history of this instance from the store instead'),
    code: repeated('--code <module>', 'Module of the orchestrations; may be given several times'),
    execution: option('--execution <number>', 'Only this execution; default: all, the last one when stepping', integer(1)),
    until: option('--until <event>', 'Only up to this event: what the orchestration waits for then', integer(1)),
    list: flag('--list', 'Print all at once on a terminal, too'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom replay order-17.json --code ./orchestrations.ts', what: 'a file' },
    { line: 'duraloom replay --instance order-17 --code ./orchestrations.ts --until 42', what: 'an instance of the store, up to event 42' },
    { line: 'duraloom replay order-17.json --code ./orchestrations.ts --json', what: 'for programs' },
  ],
  interrupt: 'default',
  run: async (context, values) => {
    if (values.code.length === 0) throw usage('Name the module of the orchestrations with --code');
    // Code that is replayed may print; standard output has results only.
    globalThis.console = new Console(process.stderr, process.stderr);
    const given = await takeHistory(context, values);
    const code = values.code.map((path) => ({ path, url: locateModule(path) }));
    const replayer = new Checker(given.instanceId ?? 'replayed', code);
    const isStepping = context.io.isTerminal && context.io.canAsk && !values.json && !values.list && values.until === undefined;
    const executions = await choose(given, values.execution, isStepping || values.until !== undefined);
    if (isStepping && executions[0] !== undefined) return await stepThrough(context.io, replayer, executions[0]);
    return await listAll(context, replayer, executions, values);
  },
});

/** Replays prefixes of histories. */
class Checker {
  readonly #instanceId: string;
  readonly #code: readonly Module[];

  constructor(instanceId: string, code: readonly Module[]) {
    this.#instanceId = instanceId;
    this.#code = code;
  }

  /** Anything but a parting of code and history is thrown. */
  async check(events: readonly HistoryEvent[]): Promise<Verdict> {
    const { replayHistory } = await import('../../../testing.ts');
    const modules = this.#code.map(({ url }) => url);
    try {
      const { outcome } = await replayHistory(events, modules, { instanceId: this.#instanceId });
      return { kind: 'followed', outcome };
    } catch (error) {
      const { code, message } = toFailure(error);
      const broken = code === 'MODULE_NOT_LOADED' ? this.#code.find(({ url }) => message.includes(` ${url.href}: `)) : undefined;
      if (broken !== undefined) throw moduleError(broken.path, (error as Error).cause);
      if (code !== 'NONDETERMINISM') throw error;
      const { eventId, recorded, emitted, diff } = error as HistoryMismatchError;
      return { kind: 'parted', eventId, recorded, emitted, diff };
    }
  }
}

async function choose(given: GivenHistory, wanted: number | undefined, isOne: boolean): Promise<readonly Execution[]> {
  const { validateHistory } = await import('../../../index.ts');
  const numbers = given.executions.map(({ executionId }) => executionId);
  const number = wanted ?? (isOne ? numbers.at(-1) : undefined);
  const chosen = given.executions.filter(({ executionId }) => number === undefined || executionId === number);
  if (chosen.length === 0) throw usage(`Expected --execution to be one of ${numbers.join(', ')}, got ${number}`);
  return chosen.map(({ executionId, events }) => ({ executionId, events: validateHistory(events) }));
}

async function listAll(
  { io }: CommandContext,
  checker: Checker,
  executions: readonly Execution[],
  { until, json }: { readonly until: number | undefined; readonly json: boolean },
): Promise<ExitCode> {
  const results: unknown[] = [];
  let exitCode: ExitCode = EXIT.ok;
  for (const { executionId, events: all } of executions) {
    if (until !== undefined && until > all.length) throw usage(`Expected --until to be at most ${all.length}, got ${until}`);
    const events = until === undefined ? all : all.slice(0, endOfStep(all, until));
    const verdict = await checker.check(events);
    if (verdict.kind === 'parted') exitCode = EXIT.failed;
    const waitsFor = describeOpenDecisions(events);
    results.push({ executionId, events: events.length, ...verdict, waitsFor });
    if (json) continue;
    if (executions.length > 1) io.print(io.paint('bold', `execution ${executionId}`));
    const followed = verdict.kind === 'parted' ? events.slice(0, Math.max(0, verdict.eventId - 1)) : events;
    printEvents(io, followed);
    printVerdict(io, verdict, events.length);
    if (verdict.kind === 'followed') printOpen(io, waitsFor);
  }
  if (json) io.print(toJson({ executions: results }));
  return exitCode;
}

async function stepThrough(io: Io, checker: Checker, { executionId, events }: Execution): Promise<ExitCode> {
  const steps = stepsOf(events);
  io.print(`execution ${executionId}: ${events.length} event(s) in ${steps.length} step(s)`);
  let at = 0;
  for (;;) {
    const step = steps[at];
    if (step === undefined) break;
    const verdict = await checker.check(events.slice(0, step.end));
    io.print(io.paint('bold', `\nstep ${at + 1} of ${steps.length}`));
    printEvents(io, events.slice(step.begin, step.end));
    if (verdict.kind === 'parted') {
      printVerdict(io, verdict, step.end);
      return EXIT.failed;
    }
    printOpen(io, describeOpenDecisions(events.slice(0, step.end)));
    if (at === steps.length - 1) {
      printVerdict(io, verdict, step.end);
      return EXIT.ok;
    }
    const answer = await io.ask('[Enter] next, p back, <event> go there, a all the rest, q quit: ');
    const word = answer?.trim() ?? 'q';
    if (word === 'q') return EXIT.ok;
    if (word === 'p') at = Math.max(0, at - 1);
    else if (word === 'a') at = steps.length - 1;
    else if (/^\d+$/.test(word))
      at = Math.max(
        0,
        steps.findIndex(({ end }) => end >= Math.min(Number(word), events.length)),
      );
    else at += 1;
  }
  return EXIT.ok;
}

function printVerdict(io: Io, verdict: Verdict, events: number): void {
  if (verdict.kind === 'followed') {
    io.print(`${io.paint('green', 'the code follows')} all ${events} event(s): ${describeOutcome(verdict.outcome)}`);
    return;
  }
  io.print(`${io.paint('red', 'the code parts from history')} at event ${verdict.eventId} (NONDETERMINISM)`);
  io.print(`  history: ${clean(verdict.recorded ?? 'ends here')}`);
  io.print(`  code:    ${clean(verdict.emitted)}`);
  io.print();
  for (const line of verdict.diff.split('\n')) io.print(paintDiff(io, line));
}

function paintDiff(io: Io, line: string): string {
  const text = cleanLines(line);
  if (/^\s*-/.test(line)) return io.paint('red', text);
  return /^\s*\+/.test(line) ? io.paint('green', text) : text;
}

function describeOutcome(outcome: unknown): string {
  const { kind, result, error } = outcome as { readonly kind: string; readonly result?: unknown; readonly error?: unknown };
  if (error !== undefined) return `${kind}: ${clean(toFailure(error).message)}`;
  return result === undefined ? kind : `${kind} with ${payload(result)}`;
}

function printOpen(io: Io, waitsFor: readonly string[]): void {
  if (waitsFor.length > 0) io.print(io.paint('dim', `waits for ${waitsFor.map(clean).join(', ')}`));
}
