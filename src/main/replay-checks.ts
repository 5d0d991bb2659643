// Checks committed turns by sampling: has instances rebuilt from their stored history, and tells when one does not stand like the engine that ran
// the turn. Neighbours: orchestration-dispatcher.ts gives turns and threads, threads/replay-check.ts rebuilds and compares.
//
// J1. A check begins after the commit and reads only: it changes neither the instance nor its affinity, its live engine or its attempts.
// J2. At most one check at a time for each thread; `MAX_WAITING` wait. What comes beyond is skipped: work goes before.
// J3. Each picked turn ends in exactly one of: match, mismatch, skipped. None keeps the runtime from stopping.
// J4. What is read must be what the turn was: its last page is the one that was committed. An instance that was replaced, deleted or pruned
//     meanwhile, or read from a store that lags, is skipped.
// J5. Code whose check was running when its thread ended is not checked again by this runtime: it must not end one thread after the other.
import type { HistoryPage, Provider } from '../provider/provider.ts';
import type { ReplayControl } from '../threads/control.ts';
import { writeCheckRequest, type CheckFinding, type CheckReply } from '../threads/messages.ts';
import type { Slot } from '../threads/thread-pool.ts';
import type { Clock } from '../types/clock.ts';
import { DurableError, HistoryMismatchError, type ErrorCode } from '../types/errors.ts';
import { fromFailure } from '../types/failure.ts';
import type { Logger } from '../types/logger.ts';
import type { Metrics } from './metrics.ts';

/** An instance that does not stand the same when it is rebuilt from its history. */
export type ReplayMismatch = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly orchestration: string;
  readonly version: string;
  /** Last event of the turn that was checked; the place where both sides part is in `error`. */
  readonly eventId: number;
  /**
   * A `HistoryMismatchError` with both sides when the code decides something else, or would with its next event. Any other code: the history
   * cannot be used (`HISTORY_INVALID`), or the rebuilt code did not come to an end (`TURN_TIMEOUT`).
   */
  readonly error: DurableError;
};

/** A committed turn that was picked for a check. */
export type PickedTurn = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly orchestration: string;
  readonly version: string;
  readonly lastEventId: number;
  /** Its page of history. */
  readonly events: string;
  /** How its engine stood, encoded. */
  readonly standing: string;
  /** Where it ran: another thread has other modules. */
  readonly home: Slot<ReplayControl>;
};

/** How a thread ended. */
export type ThreadEnd = {
  /** The job that was running; null: none. */
  readonly seq: number | null;
  /** The watchdog has ended it: the last call of the job; null: it ended by itself. */
  readonly lastCall: string | null;
};

/** What the checks need of their dispatcher. */
export type ReplayChecksOptions = {
  readonly clock: Clock;
  readonly provider: Provider;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly turnTimeoutMs: number;
  readonly onMismatch: ((mismatch: ReplayMismatch) => void) | null;
};

type Check = { readonly seq: number; readonly turn: PickedTurn };

/** Most checks that wait for a thread. Reason: each keeps a page of history and a standing in memory. */
const MAX_WAITING = 64;

/** The checks of one runtime. */
export class ReplayChecks {
  readonly #options: ReplayChecksOptions;
  /** Each ready thread with its check. */
  readonly #threads = new Map<Slot<ReplayControl>, Check | null>();
  #waiting: PickedTurn[] = [];
  /** J5. */
  readonly #unsafe = new Set<string>();
  #seq = 0;
  #closed = false;

  constructor(options: ReplayChecksOptions) {
    this.#options = options;
  }

  onReady(slot: Slot<ReplayControl>): void {
    this.#threads.set(slot, null);
    this.#pump();
  }

  onDeath(slot: Slot<ReplayControl>, { seq, lastCall }: ThreadEnd): void {
    const check = this.#threads.get(slot) ?? null;
    this.#threads.delete(slot);
    if (check === null) return;
    const { turn } = check;
    if (check.seq !== seq) this.#skip(turn, 'its thread ended');
    else {
      this.#unsafe.add(codeOf(turn));
      if (lastCall === null) this.#skip(turn, 'its thread ended during the check: this code is not checked any more');
      else this.#mismatch(turn, this.#timeoutError(turn, lastCall));
    }
    this.#pump();
  }

  /** A turn was committed that is to be checked. */
  add(turn: PickedTurn): void {
    if (this.#closed) this.#skip(turn, 'the runtime stops');
    else if (this.#unsafe.has(codeOf(turn))) this.#skip(turn, 'a check of this code has ended a thread');
    else if (this.#waiting.length >= MAX_WAITING) this.#skip(turn, 'too many checks wait');
    else {
      this.#waiting.push(turn);
      // What is being committed with it goes first.
      this.#options.clock.defer(() => this.#pump());
    }
  }

  onReply(slot: Slot<ReplayControl>, { seq, finding }: CheckReply): void {
    const check = this.#threads.get(slot) ?? null;
    if (check?.seq !== seq) return;
    this.#threads.set(slot, null);
    if (finding === null) this.#count(check.turn, 'match');
    else if (finding.failure.code === 'ORCHESTRATION_NOT_REGISTERED') this.#skip(check.turn, finding.failure.message);
    else this.#mismatch(check.turn, toError(check.turn, finding));
    this.#pump();
  }

  /** Gives up what has not ended. */
  close(): void {
    this.#closed = true;
    const running = [...this.#threads.values()].flatMap((check) => (check === null ? [] : [check.turn]));
    const left = [...running, ...this.#waiting];
    this.#threads.clear();
    this.#waiting = [];
    for (const turn of left) this.#skip(turn, 'the runtime stops');
  }

  /** J2. */
  #pump(): void {
    for (const [slot, check] of this.#threads) {
      if (check !== null) continue;
      const next = this.#waiting.findIndex(({ home }) => home !== slot || this.#threads.size === 1);
      const [turn] = next < 0 ? [] : this.#waiting.splice(next, 1);
      if (turn !== undefined) void this.#begin(slot, turn);
    }
  }

  /** Never rejects. */
  async #begin(slot: Slot<ReplayControl>, turn: PickedTurn): Promise<void> {
    this.#seq = this.#seq <= -0x7fff_ffff ? -1 : this.#seq - 1;
    const check: Check = { seq: this.#seq, turn };
    this.#threads.set(slot, check);
    const { instanceId, executionId, standing } = turn;
    let history: readonly string[] | null = null;
    let reason = 'its history is not there any more';
    try {
      const [pages = []] = await this.#options.provider.readHistory([{ instanceId, executionId, afterEventId: 0 }]);
      history = upTo(turn, pages);
    } catch (error) {
      reason = `its history cannot be read: ${String(error)}`;
    }
    // Its thread ended meanwhile, or the runtime: then it is settled already (J3).
    if (this.#threads.get(slot) !== check) return;
    if (history !== null) {
      slot.post(writeCheckRequest({ seq: check.seq, instanceId, standing, history }));
      return;
    }
    this.#threads.set(slot, null);
    this.#skip(turn, reason);
    this.#pump();
  }

  #skip(turn: PickedTurn, reason: string): void {
    this.#count(turn, 'skipped');
    const { instanceId, executionId, orchestration, version } = turn;
    this.#options.logger.debug({ instanceId, executionId, orchestration, version }, `replay check skipped: ${reason}`);
  }

  #mismatch({ instanceId, executionId, orchestration, version, lastEventId: eventId }: PickedTurn, error: DurableError): void {
    const mismatch: ReplayMismatch = { instanceId, executionId, orchestration, version, eventId, error };
    this.#count({ orchestration }, 'mismatch');
    const { logger, onMismatch } = this.#options;
    logger.error({ instanceId, executionId, orchestration, version, eventId, err: error }, `replay check: ${error.message}`);
    try {
      onMismatch?.(mismatch);
    } catch (cause) {
      logger.error({ instanceId, executionId, orchestration, version, err: cause }, '`onReplayMismatch` has thrown');
    }
  }

  #count({ orchestration }: Pick<PickedTurn, 'orchestration'>, outcome: 'match' | 'mismatch' | 'skipped'): void {
    this.#options.metrics.record({ kind: 'counter', name: 'duraloom_replay_checks_total', value: 1, labels: { orchestration, outcome } });
  }

  #timeoutError({ orchestration, instanceId }: PickedTurn, lastCall: string): DurableError {
    return new DurableError(
      'TURN_TIMEOUT',
      `orchestration '${orchestration}' (instance '${instanceId}') kept its thread for more than ${this.#options.turnTimeoutMs} ms when it was rebuilt from its history for a check. Last call: ${lastCall === '' ? 'none' : lastCall}. Look for a loop that depends on a variable of the module. This code is not checked any more by this runtime`,
    );
  }
}

function codeOf({ orchestration, version }: PickedTurn): string {
  return `${orchestration}@${version}`;
}

/** J4: the history up to the turn. */
function upTo({ lastEventId, events }: PickedTurn, pages: readonly HistoryPage[]): readonly string[] | null {
  const last = pages.findIndex((page) => page.lastEventId === lastEventId);
  return pages[last]?.events === events ? pages.slice(0, last + 1).map((page) => page.events) : null;
}

function toError({ instanceId, executionId }: PickedTurn, { failure, parting }: CheckFinding): DurableError {
  if (parting !== null) return new HistoryMismatchError(failure.message, { instanceId, executionId, ...parting });
  return new DurableError((failure.code ?? 'INVARIANT_BROKEN') as ErrorCode, failure.message, { cause: fromFailure(failure) });
}
