// Watches the leases of one process from outside the store: an ack that is presented when its lease has run out must be refused, whatever the
// process believes (it may have been stopped meanwhile). Neighbours: intercept.ts tells of the calls, host.ts reports, modes/pause.ts relies on it.
import type { Hook } from './intercept.ts';

type Lock = { readonly instanceId: string; readonly executionId?: number; readonly eventId?: number; readonly lockToken: string };

/** A lease never ends later than this after it was granted, in milliseconds, by clocks that are read apart. */
const TOLERANCE_MS = 50;
/** Leases that are remembered: many more than one process has. */
const MAX_LEASES = 100_000;

/** Leases by what is locked. */
export class LeaseWatch {
  /** Acks that were presented too late, and refused. */
  refused = 0;
  /** In words: acks that were accepted too late. */
  readonly violations: string[] = [];
  readonly #lockMs: number;
  /** When each lease has ended for certain, on the monotonic clock. */
  readonly #endsMs = new Map<string, number>();
  /** The same of leases that are being renewed: until the answer comes, and when none comes, nobody knows. */
  readonly #renewedMs = new Map<string, number>();

  /**
   * @param lockMs - length of all leases
   */
  constructor(lockMs: number) {
    this.#lockMs = lockMs;
  }

  /** To be called around each call. */
  readonly hook: Hook = ({ operation, phase, args, startedMs, outcome }) => {
    const isRenewal = operation === 'renewOrchestrationLocks' || operation === 'renewWorkLocks';
    if (phase === 'before') {
      if (isRenewal) for (const lock of args[0] as readonly Lock[]) this.#forget(nameOf(lock));
      return;
    }
    if (operation === 'fetchOrchestrationItems' || operation === 'fetchWorkItems') {
      for (const lock of (outcome as { readonly items: readonly Lock[] }).items) this.#grant(lock);
      return;
    }
    if (!isRenewal && operation !== 'ackOrchestrationItems' && operation !== 'ackWorkItems') return;
    for (const [index, lock] of (args[0] as readonly Lock[]).entries()) {
      const result = (outcome as readonly string[])[index];
      const isAccepted = result === 'done' || result === 'committed';
      const known = (isRenewal ? this.#renewedMs : this.#endsMs).get(nameOf(lock));
      const isLate = startedMs > (known ?? Number.POSITIVE_INFINITY);
      if (isLate && isAccepted) this.violations.push(`${operation} of ${nameOf(lock)} was accepted after its lease had ended`);
      else if (isLate && !isRenewal) this.refused += 1;
      this.#renewedMs.delete(nameOf(lock));
      if (isRenewal && isAccepted) this.#grant(lock);
      else this.#endsMs.delete(nameOf(lock));
    }
  };

  /** A renewal may be done whatever comes of the call, and an ack may come before its answer. */
  #forget(name: string): void {
    const endsMs = this.#endsMs.get(name);
    if (endsMs === undefined) this.#renewedMs.delete(name);
    else this.#renewedMs.set(name, endsMs);
    this.#endsMs.delete(name);
  }

  /** The answer is here: it was granted before, and ends no later than this. */
  #grant(lock: Lock): void {
    const name = nameOf(lock);
    this.#endsMs.delete(name);
    this.#endsMs.set(name, performance.now() + this.#lockMs + TOLERANCE_MS);
    const oldest = this.#endsMs.keys().next().value;
    if (this.#endsMs.size > MAX_LEASES && oldest !== undefined) this.#endsMs.delete(oldest);
  }
}

function nameOf({ instanceId, executionId = 0, eventId = 0, lockToken }: Lock): string {
  return `${instanceId}/${executionId}/${eventId} (${lockToken})`;
}
