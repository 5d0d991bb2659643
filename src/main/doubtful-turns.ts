// Turns whose ack failed, so that nobody knows whether they are committed: finds it out from the history, for what they have to tell.
// Neighbour: orchestration-dispatcher.ts, which gives such a turn back and runs it again from the history, whatever is found here.
//
// U1. A turn is committed when the history has its very page: the events have the time of the fetch in them, so no other host has made the same.
// U2. A turn whose place in the history has another page, or none for as long as it is looked for, is not committed. What there is to tell comes with the
//     turn that is computed in its place.
// U3. Whoever fetches the instance anew, and finds it where it was before the turn, has the only right to go on: the turn will never be committed.
import type { HistoryPage, OrchestrationItem, Provider } from '../provider/provider.ts';
import type { Clock } from '../types/clock.ts';
import type { ReplayResult } from '../types/replay.ts';
import { computeBackoffMs } from './turn-commit.ts';

/** A turn, and who is told what became of it. At most one of them is called. */
export type DoubtfulTurn = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly result: Pick<ReplayResult, 'firstEventId' | 'lastEventId' | 'events'>;
  readonly onCommitted: () => void;
  /** The store did not say until the end. */
  readonly onUnknown: () => void;
};

/** Looks at a history, and the waits between them: about 20 s. A store that has committed late has done it by then. */
const MAX_LOOKS = 8;
const BACKOFF = { initialMs: 100, maximumMs: 5_000 };
/** Most turns that are looked for. Reason: each keeps its log lines in memory, and asks a store that is in trouble. */
const MAX_TURNS = 1_000;

/** The doubtful turns of one runtime. */
export class DoubtfulTurns {
  readonly #provider: Pick<Provider, 'readHistory'>;
  readonly #clock: Clock;
  /** Each with what stops the wait for its next look. */
  readonly #turns = new Map<DoubtfulTurn, () => void>();
  #closed = false;

  constructor({ provider, clock }: { readonly provider: Pick<Provider, 'readHistory'>; readonly clock: Clock }) {
    this.#provider = provider;
    this.#clock = clock;
  }

  /** Finds out what became of a turn. */
  add(turn: DoubtfulTurn): void {
    if (this.#closed || this.#turns.size >= MAX_TURNS) {
      turn.onUnknown();
      return;
    }
    this.#turns.set(turn, () => undefined);
    // Nothing rejects: failures are handled inside.
    void this.#look(turn, 1);
  }

  /** U3. */
  noteFetched({ instanceId, executionId, lastEventId }: OrchestrationItem): void {
    for (const [turn, stop] of this.#turns) {
      if (turn.instanceId !== instanceId || turn.executionId !== executionId || lastEventId >= turn.result.lastEventId) continue;
      stop();
      this.#turns.delete(turn);
    }
  }

  /** Gives up what has not been found. */
  close(): void {
    this.#closed = true;
    for (const [turn, stop] of this.#turns) {
      stop();
      turn.onUnknown();
    }
    this.#turns.clear();
  }

  async #look(turn: DoubtfulTurn, attempt: number): Promise<void> {
    const { instanceId, executionId, result } = turn;
    let pages: readonly HistoryPage[] | null = null;
    try {
      [pages = []] = await this.#provider.readHistory([{ instanceId, executionId, afterEventId: result.firstEventId - 1 }]);
    } catch {
      // The store is in trouble, as it was with the ack: who measures it counts this, and the turn is looked for again.
    }
    if (!this.#turns.has(turn)) return;
    const isThere = pages !== null && pages.length > 0;
    if (!isThere && attempt < MAX_LOOKS) {
      this.#turns.set(
        turn,
        this.#clock.setTimer(computeBackoffMs(attempt, BACKOFF), () => void this.#look(turn, attempt + 1), true),
      );
      return;
    }
    this.#turns.delete(turn);
    if (pages === null) turn.onUnknown();
    else if (pages.some(({ lastEventId, events }) => lastEventId === result.lastEventId && events === result.events)) turn.onCommitted();
  }
}
