// Looks at something again and again for as long as somebody watches: once for all watchers of the same thing. Neighbours: streams.ts watches.
//
// W1. One look at a time, the next one a pause after the last: a slow store is asked less often.
// W2. Watchers are told that something changed, not what: they read the latest state when they can take it, so none is queued for a slow one.
// W3. The last watcher takes the timer and the state with it.
import { ProviderError } from '../../types/errors.ts';

/** What a look found. */
export type Look<State> = { readonly state: State } | { readonly error: unknown };

/** One thing that is watched. */
export class SharedPoll<State> {
  readonly #read: () => Promise<State>;
  readonly #print: (state: State) => string;
  readonly #pauseMs: number;
  readonly #watchers = new Set<() => void>();
  readonly #onIdle: () => void;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #latest: Look<State> | null = null;
  #fingerprint = '';

  /**
   * @param read - takes a look
   * @param print - what of a state must differ for it to be another one
   * @param pauseMs - between looks
   * @param onIdle - called when the last watcher has gone
   */
  constructor(watched: {
    readonly read: () => Promise<State>;
    readonly print: (state: State) => string;
    readonly pauseMs: number;
    readonly onIdle: () => void;
  }) {
    this.#read = watched.read;
    this.#print = watched.print;
    this.#pauseMs = watched.pauseMs;
    this.#onIdle = watched.onIdle;
  }

  /** The last look that differed; null: nobody has looked yet. */
  get latest(): Look<State> | null {
    return this.#latest;
  }

  /**
   * Watches.
   *
   * @param onChange - called when `latest` is another one
   * @returns ends it
   */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    if (this.#timer === undefined && !this.#isLooking) void this.#look();
    return () => {
      if (!this.#watchers.delete(onChange) || this.#watchers.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#onIdle();
    };
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    const look = await this.#take();
    this.#isLooking = false;
    if (this.#watchers.size === 0) return;
    this.#timer = setTimeout(() => void this.#look(), this.#pauseMs);
    if (look === null) return;
    const fingerprint = 'error' in look ? `error ${String(look.error)}` : `state ${this.#print(look.state)}`;
    if (fingerprint === this.#fingerprint) return;
    this.#fingerprint = fingerprint;
    this.#latest = look;
    for (const watcher of this.#watchers) watcher();
  }

  /** Null: the trouble is passing, the next look may be better. */
  async #take(): Promise<Look<State> | null> {
    try {
      return { state: await this.#read() };
    } catch (error) {
      return error instanceof ProviderError && error.retryable ? null : { error };
    }
  }
}

/** Things that are watched, by key. */
export class SharedPolls<State> {
  readonly #polls = new Map<string, SharedPoll<State>>();

  /** How many things are watched. */
  get size(): number {
    return this.#polls.size;
  }

  /**
   * Finds or begins what watches a thing.
   *
   * @param key - of the thing
   * @param watched - how to look at it
   * @returns what to watch
   */
  get(
    key: string,
    watched: { readonly read: () => Promise<State>; readonly print: (state: State) => string; readonly pauseMs: number },
  ): SharedPoll<State> {
    const known = this.#polls.get(key);
    if (known !== undefined) return known;
    const poll: SharedPoll<State> = new SharedPoll({
      ...watched,
      onIdle: () => {
        if (this.#polls.get(key) === poll) this.#polls.delete(key);
      },
    });
    this.#polls.set(key, poll);
    return poll;
  }
}

/** Remembers that something changed until somebody looks. */
export class Wakeup {
  readonly #signal: AbortSignal;
  #isRaised = false;
  #wake: (() => void) | null = null;

  /**
   * @param signal - wakes for good
   */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.raise, { once: true });
  }

  /** Something changed. */
  readonly raise = (): void => {
    this.#isRaised = true;
    this.#wake?.();
  };

  /** Waits for the next change, or for one that came meanwhile. */
  async next(): Promise<void> {
    if (!this.#isRaised && !this.#signal.aborted) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
    this.#isRaised = false;
  }
}
