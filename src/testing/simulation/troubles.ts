// What goes wrong in a simulated world besides single calls: processes crash and come back, threads die or stand still, connections break, the
// clock of the store jumps. Neighbours: world.ts begins and ends it, process.ts suffers it.
//
// N1. Everything is drawn from the world's random numbers. After its time is up nothing happens any more.
// N2. It comes between two callbacks of the world, so that it hits what is under way.
import type { SeededRandom } from '../../replay/random.ts';
import type { SimulatedProcess, ThreadKind } from './process.ts';
import type { Lane, Scheduler } from './scheduler.ts';

/** A kind of trouble. */
export type TroubleKind = 'crash' | 'stop' | 'replayThread' | 'activityThread' | 'pause' | 'disconnect' | 'clockJump';

/** What may go wrong, how often and for how long. */
export type TroubleOptions = {
  /** How often each kind comes, in proportion to the others; a kind that is left out does not come. */
  readonly kinds: Readonly<Partial<Record<TroubleKind, number>>>;
  /** One trouble in this many callbacks, on average: it comes when much happens, not when nothing does. */
  readonly odds: number;
  /** How long there is trouble, in milliseconds. */
  readonly forMs: number;
  /** Longest pause, disconnection, and time until a process that ended comes back, in milliseconds. */
  readonly longestMs: number;
};

/** How often what happened. */
export type TroubleCounts = Readonly<Record<TroubleKind, number>>;

const THREADS: readonly (ThreadKind | 'all')[] = ['main', 'replay', 'activity', 'all', 'all'];
const KINDS: readonly TroubleKind[] = ['crash', 'stop', 'replayThread', 'activityThread', 'pause', 'disconnect', 'clockJump'];

/** Makes trouble. */
export class Troubles {
  readonly counts: Record<TroubleKind, number> = {
    crash: 0,
    stop: 0,
    replayThread: 0,
    activityThread: 0,
    pause: 0,
    disconnect: 0,
    clockJump: 0,
  };
  readonly #options: TroubleOptions;
  readonly #random: SeededRandom;
  readonly #scheduler: Scheduler;
  readonly #lane: Lane;
  readonly #trace: ((line: string) => void) | null;

  constructor(
    options: TroubleOptions,
    parts: {
      readonly random: SeededRandom;
      readonly scheduler: Scheduler;
      readonly lane: Lane;
      readonly trace: ((line: string) => void) | null;
    },
  ) {
    this.#options = options;
    this.#random = parts.random;
    this.#scheduler = parts.scheduler;
    this.#lane = parts.lane;
    this.#trace = parts.trace;
  }

  /**
   * Makes trouble until its time is up.
   *
   * @param processes - whom it hits
   */
  async run(processes: readonly SimulatedProcess[]): Promise<void> {
    const { odds, forMs } = this.#options;
    if (forMs === 0) return;
    this.#scheduler.onStep = () => {
      if (this.#random.nextFloat() * odds >= 1) return;
      const process = processes[this.#random.nextUint32() % processes.length];
      const kind = this.#pick();
      if (kind !== null && process !== undefined) this.#make(kind, process);
    };
    await this.#lane.sleep(forMs);
    this.#scheduler.onStep = null;
  }

  #make(kind: TroubleKind, process: SimulatedProcess): void {
    if (!process.isAlive && kind !== 'clockJump') return;
    switch (kind) {
      case 'crash':
        process.crash();
        this.#startAgain(process);
        break;
      case 'stop':
        process.stop(this.#random.nextUint32() % (this.#options.longestMs + 1));
        this.#startAgain(process);
        break;
      case 'replayThread':
      case 'activityThread':
        if (!process.crashThread(kind === 'replayThread' ? 'replay' : 'activity')) return;
        break;
      case 'pause':
        process.freeze(THREADS[this.#random.nextUint32() % THREADS.length] ?? 'all', this.#upTo(this.#options.longestMs));
        break;
      case 'disconnect':
        process.disconnect(this.#upTo(this.#options.longestMs));
        break;
      case 'clockJump': {
        const ms = this.#upTo(2 * this.#options.longestMs) - this.#options.longestMs;
        this.#scheduler.jump(ms);
        this.#trace?.(`the clock jumps by ${ms} ms`);
        break;
      }
    }
    this.counts[kind] += 1;
  }

  #startAgain(process: SimulatedProcess): void {
    this.#lane.setTimer(this.#upTo(this.#options.longestMs), () => process.start());
  }

  #pick(): TroubleKind | null {
    const { kinds } = this.#options;
    const total = KINDS.reduce((sum, kind) => sum + (kinds[kind] ?? 0), 0);
    let left = this.#random.nextFloat() * total;
    for (const kind of KINDS) {
      left -= kinds[kind] ?? 0;
      if (left < 0) return kind;
    }
    return null;
  }

  #upTo(limitMs: number): number {
    return 1 + (this.#random.nextUint32() % Math.max(1, Math.floor(limitMs)));
  }
}
