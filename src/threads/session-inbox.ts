// Messages to the activities of one session, in the thread that the session is pinned to. Neighbours: activity-loop.ts, activity-host.ts.
// The activities here are attempts, each with its `seq`: who takes a message, and who has to take it again, is a matter of attempts.
//
// I1. First in, first out, for messages and for those who wait for them.
// I2. What nobody waits for is not kept here but in the store: the session may be elsewhere by the time when somebody asks again.
// I3. A message leaves the store when its taker asks for the next one, or with the record of its taker's end. When that end was not recorded,
//     the next attempt takes it again, here or elsewhere.
import type { ActivityHost, NumberedMessage } from './activity-host.ts';
import { unwrap } from './activity-host.ts';

type Waiter = {
  readonly taker: number;
  readonly resolve: (message: NumberedMessage) => void;
  readonly reject: (error: unknown) => void;
  /** The signal of a long activity would keep every waiter otherwise. */
  readonly stopListening: () => void;
};

/** `removedSeq`: up to here messages leave the store with the record of the attempt's end. */
type Taken = { readonly seq: number; readonly removedSeq: number };

/** The inbox of a session. */
export class SessionInbox {
  readonly #host: ActivityHost;
  readonly #sessionId: string;
  /** Read from the store, and not taken. */
  #messages: readonly NumberedMessage[] = [];
  readonly #waiters = new Set<Waiter>();
  /** The last message that each attempt took, by attempt, as long as it may have to be taken again (I3). */
  readonly #taken = new Map<number, Taken>();
  /** Messages that the store need not keep; it is told with the next question. */
  readonly #done = new Set<number>();
  /** Everything up to here was taken. */
  #lastSeq = 0;
  /** The question on its way to the store; its answer is of use as long as this is the same. */
  #question: object | null = null;

  /** Nobody waits, and nobody may have to take a message again. */
  get isIdle(): boolean {
    return this.#waiters.size === 0 && this.#taken.size === 0;
  }

  constructor(host: ActivityHost, sessionId: string) {
    this.#host = host;
    this.#sessionId = sessionId;
  }

  /**
   * Takes the next message.
   *
   * @param taker - the attempt
   * @param signal - gives up with its reason
   * @returns the message; its payload is encoded data
   */
  receive(taker: number, signal: AbortSignal): Promise<NumberedMessage> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        if (this.#waiters.delete(waiter)) reject(signal.reason as Error);
      };
      const waiter: Waiter = { taker, resolve, reject, stopListening: () => signal.removeEventListener('abort', onAbort) };
      this.#finish(taker);
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#serve();
    });
  }

  /**
   * Notes the end of an attempt, which waits no more.
   *
   * @param taker - the attempt
   * @returns up to where the record of its end removes messages: no other attempt needs them again; null: it has taken none
   */
  leave(taker: number): number | null {
    for (const waiter of this.#waiters) {
      if (waiter.taker !== taker) continue;
      waiter.stopListening();
      this.#waiters.delete(waiter);
    }
    const seq = this.#taken.get(taker)?.seq;
    if (seq === undefined) return null;
    const needed = [...this.#taken].filter(([other]) => other !== taker).map(([, { seq: other }]) => other);
    const removedSeq = Math.min(seq, this.#lastSeq, ...needed.map((other) => other - 1));
    this.#taken.set(taker, { seq, removedSeq });
    return removedSeq;
  }

  /**
   * Hears what became of the end of an attempt.
   *
   * @param taker - the attempt
   * @param isRecorded - false: what it took last has to be taken again (I3)
   */
  settle(taker: number, isRecorded: boolean): void {
    const taken = this.#taken.get(taker);
    if (taken === undefined) return;
    if (isRecorded) {
      this.#finish(taker);
      return;
    }
    this.#taken.delete(taker);
    this.#lastSeq = Math.min(this.#lastSeq, taken.seq - 1);
    // What is on its way was asked for from further on.
    this.#messages = [];
    this.#question = null;
    this.#serve();
  }

  #finish(taker: number): void {
    const taken = this.#taken.get(taker);
    if (taken === undefined) return;
    this.#taken.delete(taker);
    if (taken.seq > taken.removedSeq) this.#done.add(taken.seq);
  }

  #serve(): void {
    for (const waiter of this.#waiters) {
      const message = this.#takeMessage();
      if (message === null) break;
      this.#finish(waiter.taker);
      this.#taken.set(waiter.taker, { seq: message.seq, removedSeq: 0 });
      this.#waiters.delete(waiter);
      waiter.stopListening();
      waiter.resolve(message);
    }
    if (this.#waiters.size === 0) this.#messages = [];
    else if (this.#question === null) this.#ask();
  }

  /** The next message; null: the store has to be asked. After a message had to be taken again, those of others come by once more. */
  #takeMessage(): NumberedMessage | null {
    const others = new Set([...this.#taken.values()].map(({ seq }) => seq));
    for (const [index, message] of this.#messages.entries()) {
      this.#lastSeq = message.seq;
      if (others.has(message.seq) || this.#done.has(message.seq)) continue;
      this.#messages = this.#messages.slice(index + 1);
      return message;
    }
    this.#messages = [];
    return null;
  }

  #ask(): void {
    const question = {};
    const done = [...this.#done];
    this.#question = question;
    this.#host.receive(this.#sessionId, this.#lastSeq, done).then(
      (outcome) => {
        if (outcome.ok) for (const seq of done) this.#done.delete(seq);
        if (this.#question !== question) return;
        this.#question = null;
        if (outcome.ok) this.#messages = outcome.value as readonly NumberedMessage[];
        else this.#fail(outcome);
        this.#serve();
      },
      (error: unknown) => {
        if (this.#question !== question) return;
        this.#question = null;
        this.#failAll(error);
      },
    );
  }

  #fail(outcome: Parameters<typeof unwrap>[0]): void {
    try {
      unwrap(outcome);
    } catch (error) {
      this.#failAll(error);
    }
  }

  #failAll(error: unknown): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) {
      waiter.stopListening();
      waiter.reject(error);
    }
  }
}
