// External events of one instance: what was raised and not yet taken, and who waits for what. First in, first out for each name.
// Neighbour: replay-engine.ts feeds and asks it.
//
// M1. A name has buffered events or waiters, never both.
// M2. Waiters are served in the order in which they came; one that gave up takes no event (T19).
import { assert } from '../types/errors.ts';
import type { CarriedEvent } from '../types/history-event.ts';

/** Buffered events and waiters, by name. */
export class Mailbox<Waiter> {
  readonly #buffered = new Map<string, Line<{ readonly order: number; readonly data: unknown }>>();
  readonly #waiting = new Map<string, Line<Waiter>>();
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
    waiting.remove(waiter);
    if (waiting.isEmpty) this.#waiting.delete(name);
  }

  /** Everything that is kept, oldest first over all names. */
  unread(): readonly CarriedEvent[] {
    return [...this.#buffered]
      .flatMap(([name, line]) => line.values().map(({ order, data }) => ({ order, name, data })))
      .toSorted((left, right) => left.order - right.order)
      .map(({ name, data }) => (data === undefined ? { name } : { name, data }));
  }
}

function append<Value>(lines: Map<string, Line<Value>>, name: string, value: Value): void {
  let line = lines.get(name);
  if (line === undefined) {
    line = new Line();
    lines.set(name, line);
  }
  line.add(value);
}

function takeFirst<Value>(lines: Map<string, Line<Value>>, name: string): Value | undefined {
  const line = lines.get(name);
  const first = line?.take();
  if (line?.isEmpty === true) lines.delete(name);
  return first;
}

/** Values that leave at the front, mostly. Reason for no plain array: with ten thousands of values its `shift` moves all of them. */
class Line<Value> {
  #values: Value[] = [];
  /** Values before it have left. */
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#values.length;
  }

  add(value: Value): void {
    this.#values.push(value);
  }

  take(): Value | undefined {
    const first = this.#values[this.#head];
    this.#head += 1;
    // Now and then, so that what has left is forgotten, and each value is moved once on average.
    if (this.#head * 2 > this.#values.length) {
      this.#values = this.#values.slice(this.#head);
      this.#head = 0;
    }
    return first;
  }

  remove(value: Value): void {
    const at = this.#values.indexOf(value, this.#head);
    assert(at >= 0, 'only a waiter gives up');
    if (at === this.#head) this.take();
    else this.#values.splice(at, 1);
  }

  values(): readonly Value[] {
    return this.#values.slice(this.#head);
  }
}
