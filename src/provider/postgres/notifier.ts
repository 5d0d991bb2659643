// Tells other processes on the store what changed, and hears it from them: LISTEN and NOTIFY on a connection of its own. Neighbour:
// postgres-provider.ts; its slow poll finds what is lost here.
//
// O1. Notices are hints. Who missed one finds the same by the slow poll; so they are sent after the commit, on their own: NOTIFY inside of
//     transactions would line up all commits of all processes behind one lock of the server.
// O2. One notice is on its way at a time, and the next one has all that came meanwhile: a busy process sends a few hundred a second.
// O3. After a gap (no connection, or one that a pooler gave to somebody else) everything may have changed.
// O4. It hears when it has heard a notice that came over another connection while nothing was under way on its own. Behind a pooler that gives each
//     transaction another connection of the server it would hear what it sends itself, and nothing else.
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
/** How long a proof (O4) may take, in milliseconds. */
const PROOF_MS = 1_000;
/** First and longest pause before the next try to connect, in milliseconds. */
const PAUSES_MS = [50, 5_000] as const;
/** In the place of a hash: any instance. */
export const ANY = '*';
/** Words that are kept while there is no connection; of more only the kinds are. */
const MAX_UNSENT = 1_000;
/** The word of a proof. */
const PROOF = 'proof';
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
  /** O4. */
  #isHeard = false;
  /** Nothing is sent meanwhile. */
  #isProving = false;
  #proof: Promise<void> = Promise.resolve();
  #pauseMs: number = PAUSES_MS[0];
  #stopTimer: () => void = doNothing;
  #stopSilence: () => void = doNothing;
  #stopProof: () => void = doNothing;

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
    this.#isProving = true;
    this.#stopProof = later(PROOF_MS, () => this.#goOn(client));
    this.#proof = this.#prove();
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
    this.#stopProof();
    const client = this.#client;
    this.#client = null;
    await this.#proof;
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
      if (this.#unsent.size > MAX_UNSENT) this.#unsent = new Set(['t', 'w', `i${ANY}`]);
      return;
    }
    if (this.#isSending || this.#isProving || this.#unsent.size === 0) return;
    this.#isSending = true;
    this.#stopSilence();
    const payload = this.#take();
    inTime(this.#notify(client, payload), TIMEOUT_MS).then(
      () => {
        this.#stopTimer = later(SPACING_MS, () => {
          this.#isSending = false;
          this.#watchSilence();
          this.#send();
        });
      },
      () => {
        // It is told again: who has heard it looks in vain.
        for (const word of payload.split(' ').slice(1)) this.#unsent.add(word);
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
    if (from === this.#name) {
      if (words[0] !== PROOF || !this.#isProving || this.#client === null) return;
      this.#isHeard = true;
      this.#goOn(this.#client);
      return;
    }
    const instances: string[] = [];
    const sessions: string[] = [];
    for (const word of words) {
      if (word.startsWith('i')) instances.push(word.slice(1));
      else if (word.startsWith('s')) sessions.push(word.slice(1));
    }
    this.#options.onNotice({ turns: words.includes('t'), work: words.includes('w'), instances, sessions });
  }

  /** O4: a hint to itself. Never rejects. */
  async #prove(): Promise<void> {
    let other: PooledPostgresClient | null = null;
    try {
      other = await this.#options.connect(PROOF_MS);
      await inTime(this.#notify(other, `${this.#name} ${PROOF}`), PROOF_MS);
      other.release();
    } catch {
      // It is not heard then.
      other?.release(true);
    }
  }

  /** The proof is over; without one, all is tried anew after a while. */
  #goOn(client: PooledPostgresClient): void {
    this.#isProving = false;
    this.#stopProof();
    if (!this.#isHeard) this.#stopProof = later(SILENCE_MS, () => this.#lose(client));
    this.#watchSilence();
    this.#send();
  }

  #watchSilence(): void {
    this.#stopSilence();
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
    this.#isProving = false;
    this.#stopTimer();
    this.#stopSilence();
    this.#stopProof();
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
