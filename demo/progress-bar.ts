// What a person sees while the demo runs: one bar over all hosts at a terminal, a few lines elsewhere.

/** How often the bar is drawn again without news, in milliseconds: its clock shows that the demo is alive. */
const TICK_MS = 100;
const BAR_WIDTH = 20;

/** Where the job stands. */
export type ProgressState = {
  readonly done: number;
  readonly total: number;
  readonly bytes: number;
  readonly kills: number;
  /** False: the host was killed, the next one is not there yet. */
  readonly isHostRunning: boolean;
};

/** A line at the bottom of a terminal that is drawn over and over. Prints nothing by itself when the output is no terminal. */
export class ProgressBar {
  readonly #read: () => ProgressState;
  readonly #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout | null = null;

  /**
   * @param read - asked for the state at each drawing
   */
  constructor(read: () => ProgressState) {
    this.#read = read;
    if (!process.stdout.isTTY || process.env['TERM'] === 'dumb') return;
    this.#timer = setInterval(() => this.#draw(), TICK_MS);
    this.#timer.unref();
  }

  /**
   * Prints a line above the bar.
   *
   * @param text - the line
   */
  print(text: string): void {
    this.#clear();
    console.log(text);
    this.#draw();
  }

  /** Takes the bar away. */
  close(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#clear();
  }

  #clear(): void {
    if (this.#timer !== null) process.stdout.write('\r\u001B[K');
  }

  #draw(): void {
    if (this.#timer === null) return;
    const { done, total, bytes, kills, isHostRunning } = this.#read();
    const share = total === 0 ? 0 : done / total;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    const percent = String(Math.floor(share * 100)).padStart(3);
    const counts = total === 0 ? 'listing' : `${percent} % ${done}/${total} files ${formatBytes(bytes)}`;
    const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(1);
    const line = `${bar} ${counts} · ${seconds} s · kills: ${kills}${isHostRunning ? '' : ' · restarting'}`;
    process.stdout.write(`\r${line.slice(0, (process.stdout.columns || 80) - 1)}\u001B[K`);
  }
}

/**
 * Writes a size for people.
 *
 * @param bytes - the size
 * @returns such as `12.3 MiB`
 */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power] ?? 'B'}`;
}
