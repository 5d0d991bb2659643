// Sessions of this runtime: to which thread each is pinned, and the lease that keeps other runtimes from them. Neighbour: activity-dispatcher.ts.
//
// P1. All activities of a session run in one thread as long as it lives: what they keep in module variables is there for the next one.
// P2. Leases are renewed while this runtime lives, and released when it stops: another one takes over at once then, else after the lease.
import type { Provider } from '../provider/provider.ts';
import type { Clock } from '../types/clock.ts';

/** Renewals per length of a lease. Reason: two may fail before a lease is lost. */
const RENEWALS_PER_LEASE = 4;
/** Most sessions that are remembered. Reason: those that went idle are not told; the oldest is the least likely to come back. */
const MAX_PINS = 10_000;

/** What pins need. */
export type SessionPinsOptions = {
  readonly provider: Provider;
  readonly clock: Clock;
  readonly owner: string;
  readonly leaseMs: number;
  readonly idleMs: number;
  readonly onError: (error: unknown) => void;
};

/** Pins of one runtime. */
export class SessionPins<Thread> {
  readonly #options: SessionPinsOptions;
  readonly #threads = new Map<string, Thread>();
  #cancelTimer: (() => void) | null = null;

  constructor(options: SessionPinsOptions) {
    this.#options = options;
  }

  /** The thread of a session; undefined: it has none yet. */
  get(sessionId: string): Thread | undefined {
    return this.#threads.get(sessionId);
  }

  pin(sessionId: string, thread: Thread): void {
    this.#threads.delete(sessionId);
    this.#threads.set(sessionId, thread);
    if (this.#threads.size > MAX_PINS) {
      const oldest = this.#threads.keys().next().value;
      if (oldest !== undefined) this.#threads.delete(oldest);
    }
    if (this.#cancelTimer === null) this.#renewLater();
  }

  /** Lets other runtimes have one session: this one cannot run what it needs. Never rejects. */
  async giveUp(sessionId: string): Promise<void> {
    this.#threads.delete(sessionId);
    await this.#renew(0, sessionId);
  }

  /** A thread is gone: its sessions may go anywhere. */
  unpin(thread: Thread): void {
    for (const [sessionId, pinned] of this.#threads) if (pinned === thread) this.#threads.delete(sessionId);
  }

  /** P2. Never rejects. */
  async release(): Promise<void> {
    this.#cancelTimer?.();
    await this.#renew(0);
  }

  #renewLater(): void {
    const { clock, leaseMs } = this.#options;
    this.#cancelTimer = clock.setTimer(
      leaseMs / RENEWALS_PER_LEASE,
      () => {
        this.#renewLater();
        void this.#renew(leaseMs);
      },
      true,
    );
  }

  async #renew(leaseMs: number, sessionId?: string): Promise<void> {
    const { provider, owner, idleMs, onError } = this.#options;
    try {
      await provider.renewSessions({ owner, leaseMs, idleMs, ...(sessionId === undefined ? {} : { sessionId }) });
    } catch (error) {
      onError(error);
    }
  }
}
