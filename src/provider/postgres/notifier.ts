// Tells other processes on the store what changed, and hears it from them: LISTEN and NOTIFY on a connection of its own. Neighbour:
// postgres-provider.ts; its slow poll finds what is lost here.
//
// O1. Notices are hints. Who missed one finds the same by the slow poll; so they are sent after the commit, on their own: NOTIFY inside of
//     transactions would line up all commits of all processes behind one lock of the server.
// O2. One notice is on its way at a time, and the next one has all that came meanwhile: a busy process sends a few hundred a second.
// O3. After a gap (no connection, or one that a pooler gave to somebody else) everything may have changed.
import { randomUUID } from 'node:crypto';
import { inTime } from './in-time.ts';
import type { PooledPostgresClient } from './postgres-options.ts';

/** What a notice says: there may be turns or work to fetch; instances and sessions changed, by their hashes. */
export type Notice = {
  readonly turns: boolean;
  readonly work: boolean;
  readonly instances: readonly string[];
  readonly sessions: readonly string[];
};

/** Parts of the notifier. */
export type NotifierOptions = {
  /** Opens a connection that nobody else uses, within a time in milliseconds. */
  readonly connect: (timeoutMs: number) => Promise<PooledPostgresClient>;
  readonly channel: string;
  readonly onNotice: (notice: Notice) => void;
  /** O3. */
  readonly onGap: () => void;
};

/** Least time between two notices, in milliseconds. Reason: each wakes every process of the fleet. */
const SPACING_MS = 2;
/** How long connecting and each notice may take, in milliseconds; then the connection counts as dead. */
const TIMEOUT_MS = 5_000;
/** A connection that was silent for so long is tried, in milliseconds: one that is half open looks just like it. */
const SILENCE_MS = 10_000;
/** First and longest pause before the next try to connect, in milliseconds. */
const PAUSES_MS = [50, 5_000] as const;
/** The server takes less than 8,000 bytes. */
const MAX_PAYLOAD = 7_500;

/**
 * Names the channel of a schema.
 *
 * @param schema - a valid name
 * @returns its channel
 */
export function channelOf(schema: string): string {
  return `duraloom_${schema}`;
}

/** Both ends of the channel. */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #name = randomUUID().slice(0, 8);
  /** What is to be told. A set: many say the same. */
  #unsent = new Set<string>();
  #client: PooledPostgresClient | null = null;
  #isSending = false;
  #isClosed = false;
  /** A notice of its own came back: others come as well. */
  #isHeard = false;
  #pauseMs: number = PAUSES_MS[0];
  #stopTimer: () => void = doNothing;
  #stopSilence: () => void = doNothing;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** False: nobody tells this process anything just now, so it has to look by itself. */
  get isHearing(): boolean {
    return this.#isHeard;
  }

  /**
   * Connects. Does not fail: it tries again later.
   *
   * @param timeoutMs - how long it may take, in milliseconds
   */
  async start(timeoutMs: number = TIMEOUT_MS): Promise<void> {
    if (this.#isClosed) return;
    const endMs = performance.now() + timeoutMs;
    let client: PooledPostgresClient | null = null;
    try {
      client = await this.#options.connect(timeoutMs);
      const connected = client;
      client.on('error', () => this.#lose(connected));
      client.on('end', () => this.#lose(connected));
      client.on('notification', ({ payload = '' }: { readonly payload?: string }) => this.#hear(payload));
      // What it writes are notices: they need not be on disk.
      await inTime(client.query({ text: `SET synchronous_commit = off; LISTEN "${this.#options.channel}"` }), endMs - performance.now());
    } catch {
      // The reason is told by whoever asks the store for something; here there is nobody to tell.
      client?.release(true);
      this.#retry();
      return;
    }
    if (this.#isClosed) {
      client.release(true);
      return;
    }
    this.#client = client;
    this.#pauseMs = PAUSES_MS[0];
    this.#options.onGap();
    this.#unsent.add('h');
    this.#send();
  }

  /** Tells the others. */
  announce({ turns, work, instances, sessions }: Notice): void {
    if (turns) this.#unsent.add('t');
    if (work) this.#unsent.add('w');
    for (const hash of instances) this.#unsent.add(`i${hash}`);
    for (const hash of sessions) this.#unsent.add(`s${hash}`);
    this.#send();
  }

  /** Sends what is left, then lets the connection go. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopTimer();
    this.#stopSilence();
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    try {
      if (this.#unsent.size > 0) await inTime(this.#notify(client, this.#take()), TIMEOUT_MS);
    } catch {
      // O1: they are hints.
    }
    client.release(true);
  }

  #send(): void {
    const client = this.#client;
    if (client === null) {
      // Nobody hears it now; when it is connected again the others look by themselves.
      if (this.#unsent.size > 1_000) this.#unsent.clear();
      return;
    }
    if (this.#isSending || this.#unsent.size === 0) return;
    this.#isSending = true;
    this.#stopSilence();
    inTime(this.#notify(client, this.#take()), TIMEOUT_MS).then(
      () => {
        this.#stopTimer = later(SPACING_MS, () => {
          this.#isSending = false;
          this.#watchSilence();
          this.#send();
        });
      },
      () => {
        this.#isSending = false;
        this.#lose(client);
      },
    );
  }

  /** As much as one notice holds. */
  #take(): string {
    let payload = this.#name;
    for (const word of this.#unsent) {
      if (payload.length + word.length + 1 > MAX_PAYLOAD) break;
      payload += ` ${word}`;
      this.#unsent.delete(word);
    }
    return payload;
  }

  async #notify(client: PooledPostgresClient, payload: string): Promise<void> {
    await client.query({ text: 'SELECT pg_notify($1, $2)', values: [this.#options.channel, payload] });
  }

  #hear(payload: string): void {
    const [from, ...words] = payload.split(' ');
    this.#isHeard = true;
    if (from === this.#name) return;
    const instances: string[] = [];
    const sessions: string[] = [];
    for (const word of words) {
      if (word.startsWith('i')) instances.push(word.slice(1));
      else if (word.startsWith('s')) sessions.push(word.slice(1));
    }
    this.#options.onNotice({ turns: words.includes('t'), work: words.includes('w'), instances, sessions });
  }

  #watchSilence(): void {
    this.#stopSilence = later(SILENCE_MS, () => {
      this.#unsent.add('h');
      this.#send();
    });
  }

  #lose(client: PooledPostgresClient): void {
    if (this.#client !== client) return;
    this.#client = null;
    this.#isHeard = false;
    this.#isSending = false;
    this.#stopTimer();
    this.#stopSilence();
    client.release(true);
    this.#retry();
  }

  #retry(): void {
    if (this.#isClosed) return;
    const pauseMs = this.#pauseMs * (0.5 + Math.random());
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSES_MS[1]);
    this.#stopTimer = later(pauseMs, () => void this.start());
  }
}

/** In real time, whatever the clock of the store: these pauses are for the network. */
function later(delayMs: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delayMs).unref();
  return () => clearTimeout(timer);
}

function doNothing(): void {
  // The initial value of the stop functions.
}
