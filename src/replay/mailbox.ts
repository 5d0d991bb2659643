// External events of one instance: what was raised and not yet taken, and who waits for what. First in, first out for each name.
// Neighbour: replay-engine.ts feeds and asks it.
//
// M1. A name has buffered events or waiters, never both.
// M2. Waiters are served in the order in which they came; one that gave up takes no event (T19).
import { assert } from '../types/errors.ts';
import type { CarriedEvent } from '../types/history-event.ts';

/** Buffered events and waiters, by name. */
export class Mailbox<Waiter> {
  readonly #buffered = new Map<string, { readonly order: number; readonly data: unknown }[]>();
  readonly #waiting = new Map<string, Waiter[]>();
  #order = 0;

  /** An event arrives: returns who gets it, null when it is kept. */
  raise(name: string, data: unknown): Waiter | null {
    const waiter = takeFirst(this.#waiting, name);
    if (waiter === undefined) this.keep(name, data);
    return waiter ?? null;
  }

  /** Keeps an event for later. */
  keep(name: string, data: unknown): void {
    append(this.#buffered, name, { order: this.#order, data });
    this.#order += 1;
  }

  /** Takes the oldest kept event of a name; undefined: there is none. */
  take(name: string): { readonly data: unknown } | undefined {
    return takeFirst(this.#buffered, name);
  }

  /** Forgets the kept events of a name. */
  drop(name: string): void {
    this.#buffered.delete(name);
  }

  wait(name: string, waiter: Waiter): void {
    append(this.#waiting, name, waiter);
  }

  giveUp(name: string, waiter: Waiter): void {
    const waiting = this.#waiting.get(name);
    assert(waiting !== undefined, 'only a waiter gives up');
    const left = waiting.filter((candidate) => candidate !== waiter);
    if (left.length === 0) this.#waiting.delete(name);
    else this.#waiting.set(name, left);
  }

  /** Everything that is kept, oldest first over all names. */
  unread(): readonly CarriedEvent[] {
    return [...this.#buffered]
      .flatMap(([name, entries]) => entries.map(({ order, data }) => ({ order, name, data })))
      .toSorted((left, right) => left.order - right.order)
      .map(({ name, data }) => (data === undefined ? { name } : { name, data }));
  }
}

function append<Value>(lists: Map<string, Value[]>, name: string, value: Value): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, [value]);
  else list.push(value);
}

function takeFirst<Value>(lists: Map<string, Value[]>, name: string): Value | undefined {
  const list = lists.get(name);
  const first = list?.shift();
  if (list?.length === 0) lists.delete(name);
  return first;
}
