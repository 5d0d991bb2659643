// Named places at which calls stop until a test lets them go on. Neighbour: faulty.ts passes them.
import { ArgumentError } from '../types/errors.ts';
import { FAULTY_OPERATIONS, type FaultyOperation } from './fault-plan.ts';

/** A place in a call: before the store is asked; after it committed, when the answer is not yet delivered. */
export type DebugPointName = `${FaultyOperation}:${'before' | 'after'}`;

/** A place at which calls wait. */
export interface DebugPoint {
  /** Resolves when the first call is there. */
  readonly reached: Promise<void>;
  /** How many calls came there before it was released. */
  readonly hits: number;
  /** Lets the calls that wait here and all later ones go on. */
  release(): void;
}

class Point implements DebugPoint {
  readonly reached: Promise<void>;
  hits = 0;
  readonly #released = new AbortController();
  #onReached: () => void = () => undefined;
  readonly #onRelease: () => void;

  constructor(onRelease: () => void) {
    this.#onRelease = onRelease;
    this.reached = new Promise((resolve) => {
      this.#onReached = resolve;
    });
  }

  release(): void {
    this.#onRelease();
    this.#released.abort();
  }

  stop(signal: AbortSignal): Promise<void> {
    this.hits += 1;
    this.#onReached();
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener('abort', go);
        this.#released.signal.removeEventListener('abort', go);
        resolve();
      };
      if (signal.aborted) {
        resolve();
        return;
      }
      signal.addEventListener('abort', go);
      this.#released.signal.addEventListener('abort', go);
    });
  }
}

/** The points of one provider. */
export class DebugPoints {
  readonly #armed = new Map<string, Point>();

  /**
   * Arms a point: calls stop there until it is released. Armed already: returns the same.
   *
   * @param name - which
   * @throws {ArgumentError} when there is no such point
   */
  arm(name: DebugPointName): DebugPoint {
    const [operation, place] = name.split(':');
    if (!FAULTY_OPERATIONS.some((known) => known === operation) || (place !== 'before' && place !== 'after')) {
      throw new ArgumentError(
        `Unknown debug point '${name}'. Expected an operation with ':before' or ':after', such as 'ackWorkItems:after'`,
      );
    }
    const armed = this.#armed.get(name);
    if (armed !== undefined) return armed;
    const point = new Point(() => this.#armed.delete(name));
    this.#armed.set(name, point);
    return point;
  }

  /** Stops at a point when it is armed. The signal ends the stop. */
  async pass(name: DebugPointName, signal: AbortSignal): Promise<void> {
    await this.#armed.get(name)?.stop(signal);
  }

  releaseAll(): void {
    for (const point of this.#armed.values()) point.release();
  }
}
