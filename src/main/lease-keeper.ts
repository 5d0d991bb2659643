// Renews the leases of everything that is in flight, in batches, from the main thread: a CPU-bound activity cannot lose its lease.
//
// K1. A failed renewal is no cancellation (T8): the lease keeps its old deadline and is tried again. Only `gone` and `lockLost` are news.
// K2. The news is about the very lock that was asked about: the owner gets back the object that it listed, and the same work may have been
//     handed out anew meanwhile.
import type { Clock } from '../types/clock.ts';

/** What a keeper needs to know of a queue. */
export type LeaseKeeperOptions<Lock> = {
  readonly clock: Clock;
  readonly lockMs: number;
  /** Locks that are in flight. */
  readonly list: () => readonly Lock[];
  readonly renew: (locks: readonly Lock[], lockMs: number) => Promise<readonly ('done' | 'lockLost' | 'gone')[]>;
  /** The right to an item is gone. */
  readonly onLost: (lock: Lock, outcome: 'lockLost' | 'gone') => void;
  /** A renewal failed. */
  readonly onError: (error: unknown) => void;
};

/** Renewals per length of a lease. Reason: two may fail, and the next is still in time although timers are late under load. */
const RENEWALS_PER_LEASE = 4;

/** Keeps leases until it is stopped. */
export class LeaseKeeper<Lock> {
  readonly #options: LeaseKeeperOptions<Lock>;
  /** null: nothing is in flight. */
  #stopTimer: (() => void) | null = null;
  #isStopped = false;

  constructor(options: LeaseKeeperOptions<Lock>) {
    this.#options = options;
  }

  /** Something is in flight. Renewals go on until nothing is. */
  wake(): void {
    if (this.#stopTimer !== null || this.#isStopped) return;
    const { clock, lockMs } = this.#options;
    this.#stopTimer = clock.setTimer(lockMs / RENEWALS_PER_LEASE, () => void this.#renewAndGoOn());
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopTimer?.();
  }

  /** Never rejects. */
  async #renewAndGoOn(): Promise<void> {
    try {
      await this.#renewAll();
    } catch (error) {
      this.#options.onError(error);
    }
    this.#stopTimer = null;
    if (this.#options.list().length > 0) this.wake();
  }

  async #renewAll(): Promise<void> {
    const locks = this.#options.list();
    if (locks.length === 0) return;
    const outcomes = await this.#options.renew(locks, this.#options.lockMs);
    locks.forEach((lock, index) => {
      const outcome = outcomes[index];
      if (outcome === 'gone' || outcome === 'lockLost') this.#options.onLost(lock, outcome);
    });
  }
}
