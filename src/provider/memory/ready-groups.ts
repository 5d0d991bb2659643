// A ready order in groups, for fetches that take some groups and skip others. Neighbours: ready-order.ts is the order within a group,
// instances.ts groups instances by their code, work-queue.ts groups activities by tag and session.
//
// I1. Entries of one group are alike in everything that a fetch may ask for, so any entry of a group can stand for it.
// I2. There is no group without entries: what a fetch costs grows with the groups that exist, not with what is in them.
import { ReadyOrder } from './ready-order.ts';
import type { Placed } from './ready-order.ts';

/** What has a place in a ready order with groups. */
export type Grouped = Placed & {
  /** The group that it belongs to at its next placement. */
  readonly group: string;
  /** The group in which it lies; null: in none. Only `ReadyGroups` changes it. */
  home: string | null;
};

/** Entries by group and by the time from which they can be fetched. */
export class ReadyGroups<Entry extends Grouped> {
  readonly #groups = new Map<string, ReadyOrder<Entry>>();
  readonly #winsTie: (entry: Entry, other: Entry) => boolean;

  /**
   * @param winsTie - true when `entry` comes before `other` though both are ready at the same time
   */
  constructor(winsTie: (entry: Entry, other: Entry) => boolean) {
    this.#winsTie = winsTie;
  }

  /**
   * Moves an entry to another time, and to its present group.
   *
   * @param entry - the entry, in a group or not
   * @param readyAtMs - when it can be fetched; null takes it out
   */
  place(entry: Entry, readyAtMs: number | null): void {
    if (entry.home !== null && (readyAtMs === null || entry.home !== entry.group)) this.#takeOut(entry, entry.home);
    if (readyAtMs === null) return;
    const order = this.#groups.get(entry.group) ?? new ReadyOrder(this.#winsTie);
    this.#groups.set(entry.group, order);
    entry.home = entry.group;
    order.place(entry, readyAtMs);
  }

  /**
   * Takes out the entry that is ready longest.
   *
   * @param nowMs - the time, epoch milliseconds
   * @param accepts - whether to take from the group that an entry stands for
   * @returns the entry; undefined when none is ready
   */
  takeReady(nowMs: number, accepts: (entry: Entry) => boolean): Entry | undefined {
    let best: Entry | undefined;
    for (const { first } of this.#groups.values()) {
      if (first === undefined || timeOf(first) > nowMs || !accepts(first)) continue;
      if (best === undefined || this.#isBefore(first, best)) best = first;
    }
    if (best !== undefined) this.place(best, null);
    return best;
  }

  /**
   * Tells when the next entry can be fetched.
   *
   * @param opensAtMs - from when on the group that an entry stands for can be taken from, epoch milliseconds; infinite: never
   * @returns the time, epoch milliseconds; null: never, as things are
   */
  nextReadyAtMs(opensAtMs: (entry: Entry) => number): number | null {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { first } of this.#groups.values()) {
      if (first !== undefined) nextMs = Math.min(nextMs, Math.max(timeOf(first), opensAtMs(first)));
    }
    return nextMs === Number.POSITIVE_INFINITY ? null : nextMs;
  }

  #takeOut(entry: Entry, home: string): void {
    const order = this.#groups.get(home);
    order?.place(entry, null);
    entry.home = null;
    if (order?.first === undefined) this.#groups.delete(home);
  }

  #isBefore(entry: Entry, other: Entry): boolean {
    const [entryMs, otherMs] = [timeOf(entry), timeOf(other)];
    return entryMs === otherMs ? this.#winsTie(entry, other) : entryMs < otherMs;
  }
}

function timeOf(entry: Placed): number {
  return entry.readyAtMs ?? Number.POSITIVE_INFINITY;
}
