// Joins calls into batches: what is asked for while a batch is on its way goes with the next one. So the slower the server, the larger the
// batches; and a call that comes alone does not wait. Neighbour: postgres-provider.ts has one for each kind of call whose order matters.
//
// L1. Calls take effect in the order in which they came, as far as `concurrency` 1 goes. A call is not split.
// L2. A batch has items of one operation, and each key once: a second item of a key sees the effects of the first. A batch that is on its way
//     has its keys for itself.
// L3. One bad item never fails its neighbours: a transaction that failed for good is run again item by item. What was committed is never run again.
import { ProviderError } from '../../types/errors.ts';

/** One kind of call. */
export type LaneOperation<Item, Answer> = {
  /** Of the provider, for errors. */
  readonly name: string;
  /** Runs items as one transaction; answers in their order. */
  readonly run: (items: readonly Item[]) => Promise<readonly Answer[]>;
  /** What must be changed by one batch at a time, and by one item of it; absent: anything may stand anywhere. */
  readonly keysOf?: (item: Item) => readonly string[];
  /** Changes what nobody can name before: it is a transaction of its own. */
  readonly isAlone?: (item: Item) => boolean;
};

type Call = {
  readonly operation: LaneOperation<unknown, unknown>;
  readonly items: readonly unknown[];
  readonly resolve: (answers: readonly unknown[]) => void;
  readonly reject: (error: unknown) => void;
  /** Called when it is answered, however. */
  readonly onAnswer: (() => void)[];
};

type Batch = {
  readonly operation: LaneOperation<unknown, unknown>;
  readonly calls: readonly Call[];
  readonly keys: readonly string[];
};

/**
 * A batch goes beside another one only when it has so many items: small ones cost as much as large ones (measured: a third less work of the server
 * an orchestration than with two batches always on their way).
 */
const MIN_BESIDE = 128;
/** Most items of a batch. Reason: it is one transaction, and others wait for its locks. */
const MAX_ITEMS = 512;

/** A queue of calls. */
export class Lane {
  readonly #concurrency: number;
  #calls: Call[] = [];
  /** Items that were answered, and batches that were run item by item (L3). */
  done = 0;
  ranApart = 0;
  /** Of the calls that wait. */
  #items = 0;
  #running = 0;
  /** Of the batches that are on their way. */
  readonly #keys = new Set<string>();
  #isScheduled = false;
  /** Resolves when nothing is left. */
  #idle: (() => void)[] = [];

  /**
   * @param concurrency - how many batches may be on their way at a time
   */
  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /**
   * Adds a call.
   *
   * @param operation - the same object for calls that may be joined
   * @param items - its items
   * @returns their answers, when the batch is committed
   * @throws {ProviderError} when one of them failed
   */
  add<Item, Answer>(operation: LaneOperation<Item, Answer>, items: readonly Item[]): Promise<readonly Answer[]> {
    if (items.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const call = { operation, items, resolve, reject, onAnswer: [] } as unknown as Call;
      this.#calls.push(call);
      this.#items += items.length;
      if (this.#isScheduled || (this.#running > 0 && this.#items < MIN_BESIDE)) return;
      // What the caller asks for in the same breath goes along.
      this.#isScheduled = true;
      queueMicrotask(() => {
        this.#isScheduled = false;
        this.#start();
      });
    });
  }

  /** Resolves when those calls are answered that were made in the same breath; at once when there are none. */
  async fresh(): Promise<void> {
    const last = this.#calls.at(-1);
    // None is left when the end of the batch before has taken them along: they are on their way, and wake who waits.
    if (this.#isScheduled && last !== undefined) await new Promise<void>((resolve) => last.onAnswer.push(resolve));
  }

  /** Resolves when all calls are answered. */
  async idle(): Promise<void> {
    if (this.#running > 0 || this.#calls.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #start(): void {
    while (this.#running === 0 || (this.#running < this.#concurrency && this.#items >= MIN_BESIDE)) {
      const batch = this.#next();
      if (batch === null) return;
      this.#running += 1;
      void this.#run(batch);
    }
  }

  /** L2. Null: there is nothing, or it has to wait for what is on its way. */
  #next(): Batch | null {
    const [first] = this.#calls;
    if (first === undefined) return null;
    const { operation } = first;
    const keys: string[] = [];
    let items = 0;
    let count = 0;
    for (const call of this.#calls) {
      if (call.operation !== operation || (count > 0 && items + call.items.length > MAX_ITEMS)) break;
      const own = keysOf(call);
      if (own.some((key) => this.#keys.has(key))) break;
      for (const key of own) {
        this.#keys.add(key);
        keys.push(key);
      }
      items += call.items.length;
      count += 1;
    }
    this.#items -= items;
    return count === 0 ? null : { operation, keys, calls: this.#calls.splice(0, count) };
  }

  /** L3: a transaction that failed for good is run again item by item, and only that one: others are committed. */
  async #runWave(operation: LaneOperation<unknown, unknown>, items: readonly unknown[]): Promise<readonly Outcome[]> {
    try {
      return (await operation.run(items)).map((answer) => ({ answer }));
    } catch (error) {
      if (items.length === 1 || !isForGood(error)) return items.map(() => ({ error, isTrouble: !isForGood(error) }));
    }
    this.ranApart += 1;
    const outcomes: Outcome[] = [];
    for (const item of items) {
      const last = outcomes.at(-1);
      outcomes.push(...(last?.isTrouble === true ? [last] : await this.#runWave(operation, [item])));
    }
    return outcomes;
  }

  async #run({ operation, keys, calls }: Batch): Promise<void> {
    const items = calls.flatMap((call) => call.items);
    const outcomes: Outcome[] = [];
    for (const wave of wavesOf(operation, items)) {
      const last = outcomes.at(-1);
      // What comes later must not overtake what may be tried again.
      if (last?.isTrouble === true) outcomes.push(...wave.map(() => last));
      else outcomes.push(...(await this.#runWave(operation, wave)));
    }
    let from = 0;
    for (const call of calls) {
      const own = outcomes.slice(from, (from += call.items.length));
      const failed = own.find(({ error }) => error !== undefined);
      if (failed === undefined) call.resolve(own.map(({ answer }) => answer));
      else call.reject(failed.error);
    }
    this.done += items.length;
    for (const { onAnswer } of calls) for (const tell of onAnswer) tell();
    for (const key of keys) this.#keys.delete(key);
    this.#running -= 1;
    this.#start();
    if (this.#running > 0 || this.#calls.length > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}

/** What became of an item. `isTrouble`: of the store, not of the item. */
type Outcome = { readonly answer?: unknown; readonly error?: unknown; readonly isTrouble?: boolean };

function keysOf({ operation, items }: Call): readonly string[] {
  const { keysOf: keysOfItem } = operation;
  return keysOfItem === undefined ? [] : items.flatMap(keysOfItem);
}

/** L2: as few transactions as the keys allow. */
function wavesOf<Item>(
  { keysOf: keysOfItem, isAlone }: LaneOperation<Item, unknown>,
  items: readonly Item[],
): readonly (readonly Item[])[] {
  const waves: Item[][] = [];
  const seen = new Set<string>();
  let wasAlone = false;
  for (const item of items) {
    const keys = keysOfItem?.(item) ?? [];
    const last = waves.at(-1);
    const alone = isAlone?.(item) === true;
    const isApart = alone || wasAlone;
    wasAlone = alone;
    if (last === undefined || isApart || last.length === MAX_ITEMS || keys.some((key) => seen.has(key))) {
      waves.push([item]);
      seen.clear();
    } else last.push(item);
    for (const key of keys) seen.add(key);
  }
  return waves;
}

function isForGood(error: unknown): boolean {
  return error instanceof ProviderError && !error.retryable;
}
