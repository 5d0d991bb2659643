// The terminal, or what stands in for it: output, colours, questions, progress. Neighbours: text.ts makes text of users harmless, main.ts makes the
// one instance.
//
// T1. Standard output has results only; questions, progress and errors go to standard error, so that a pipe gets what it asked for.
// T2. Nothing that reaches a terminal holds a control sequence but the colours that are set here. Whoever writes cleans what users wrote;
//     what slips through is escaped at the end.
import { createInterface } from 'node:readline/promises';
import type { Readable } from 'node:stream';
import { styleText } from 'node:util';
import { CliError } from './cli-error.ts';
import { cleanLines } from './text.ts';

/** Colours that are used. */
export type Paint = 'bold' | 'cyan' | 'dim' | 'green' | 'magenta' | 'red' | 'yellow';

/** The sequences of these colours. */
const COLOUR = new RegExp(String.raw`(\u001B\[(?:0|1|2|22|31|32|33|35|36|39)m)`);

/** Width of a terminal that does not tell. */
const DEFAULT_COLUMNS = 80;

/** A bar that shows how far something is; does nothing where no terminal is. */
export type Progress = {
  /** Moves it. */
  readonly to: (done: number, total?: number) => void;
  /** Takes it away. */
  readonly stop: () => void;
};

/** The streams of the process. */
export class Io {
  readonly #out: NodeJS.WriteStream;
  readonly #error: NodeJS.WriteStream;
  readonly #input: NodeJS.ReadStream;
  readonly #signal: AbortSignal;

  /**
   * @param streams - those of the process
   * @param signal - aborted by Ctrl-C
   */
  constructor(streams: Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr'>, signal: AbortSignal) {
    this.#out = streams.stdout;
    this.#error = streams.stderr;
    this.#input = streams.stdin;
    this.#signal = signal;
  }

  /** True when a person reads what is printed. */
  get isTerminal(): boolean {
    return this.#out.isTTY;
  }

  /** True when a person can be asked. */
  get canAsk(): boolean {
    return this.#input.isTTY && this.#error.isTTY;
  }

  /** Width of the terminal in columns; without one there is no limit. */
  get width(): number {
    if (!this.#out.isTTY) return Number.POSITIVE_INFINITY;
    return this.#out.columns > 0 ? this.#out.columns : DEFAULT_COLUMNS;
  }

  /** Standard input, for what is read whole or line by line. */
  get input(): Readable & { readonly isTTY?: boolean } {
    return this.#input;
  }

  /**
   * Prints a line to standard output.
   *
   * @param text - one line or several
   */
  print(text = ''): void {
    this.#out.write(`${guard(text)}\n`);
  }

  /**
   * Writes to standard output as it is, and waits when the reader is slow.
   *
   * @param text - what to write; nothing in it is changed
   */
  async write(text: string): Promise<void> {
    if (this.#out.write(text)) return;
    await this.unlessInterrupted(new Promise<void>((resolve) => this.#out.once('drain', resolve)));
  }

  /**
   * Waits for something that may never come: a reader that is stuck, an input that says nothing.
   *
   * @param waiting - what is waited for; it goes on
   * @returns what it gave
   * @throws the reason of the signal at Ctrl-C
   */
  async unlessInterrupted<Value>(waiting: Promise<Value>): Promise<Value> {
    return await new Promise<Value>((resolve, reject) => {
      const onAbort = (): void => reject(this.#signal.reason as Error);
      this.#signal.addEventListener('abort', onAbort);
      if (this.#signal.aborted) onAbort();
      waiting.then(resolve, reject).finally(() => this.#signal.removeEventListener('abort', onAbort));
    });
  }

  /**
   * Tells a person something beside the result, on standard error.
   *
   * @param text - one line or several
   */
  note(text: string): void {
    this.#error.write(`${guard(text)}\n`);
  }

  /**
   * Colours text for standard output, where it is a terminal that has colours; NO_COLOR and FORCE_COLOR are respected.
   *
   * @param paint - the colour
   * @param text - clean text
   * @returns the text, coloured or as it was
   */
  paint(paint: Paint, text: string): string {
    return text === '' ? text : styleText(paint, text, { stream: this.#out });
  }

  /**
   * Colours text for standard error.
   *
   * @param paint - the colour
   * @param text - clean text
   * @returns the text, coloured or as it was
   */
  paintNote(paint: Paint, text: string): string {
    return styleText(paint, text, { stream: this.#error });
  }

  /**
   * Asks for a yes before something that cannot be undone.
   *
   * @param question - what will happen
   * @param isAgreed - `--yes` was given
   * @throws {CliError} `NOT_CONFIRMED` when nobody can be asked, `DECLINED` when the answer is no
   */
  async confirm(question: string, isAgreed: boolean): Promise<void> {
    if (isAgreed) return;
    if (!this.canAsk) {
      throw new CliError(
        'NOT_CONFIRMED',
        `${question} There is no terminal to ask for a yes. Run it again with --yes, or look with --dry-run`,
      );
    }
    const answer = await this.ask(`${question} [y/N] `);
    if (answer === null || !/^y(?:es)?$/i.test(answer.trim())) throw new CliError('DECLINED', 'Nothing was changed');
  }

  /**
   * Asks a question on the terminal.
   *
   * @param question - with the space behind it
   * @returns the answer; null when the input has ended
   */
  async ask(question: string): Promise<string | null> {
    const lines = createInterface({ input: this.#input, output: this.#error });
    // The terminal is in raw mode meanwhile: Ctrl-C is a key.
    lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    try {
      return await new Promise<string | null>((resolve, reject) => {
        lines.on('close', () => resolve(null));
        lines.question(guard(question), { signal: this.#signal }).then(resolve, reject);
      });
    } finally {
      lines.close();
    }
  }

  /**
   * Shows progress on standard error, where it is a terminal.
   *
   * @param what - what is counted
   * @param total - how many there are; null: nobody knows
   * @returns the bar
   */
  async progress(what: string, total: number | null): Promise<Progress> {
    if (!this.#error.isTTY) return { to: () => undefined, stop: () => undefined };
    const { default: cliProgress } = await import('cli-progress');
    const bar = new cliProgress.SingleBar(
      {
        stream: this.#error,
        format: total === null ? `${what} {value}` : `${what} [{bar}] {percentage}% {value}/{total}`,
        barCompleteChar: '=',
        barIncompleteChar: ' ',
        clearOnComplete: true,
        hideCursor: true,
        linewrap: true,
        // The terminal is ours until `stop`; signals are main.ts's.
        gracefulExit: false,
      },
      cliProgress.Presets.legacy,
    );
    bar.start(total ?? 0, 0);
    return {
      to: (done, newTotal) => {
        if (newTotal !== undefined) bar.setTotal(newTotal);
        bar.update(done);
      },
      stop: () => bar.stop(),
    };
  }
}

/** T2. */
function guard(text: string): string {
  return text
    .split(COLOUR)
    .map((part) => (COLOUR.test(part) ? part : cleanLines(part)))
    .join('');
}
