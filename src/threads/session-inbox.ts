// Messages to the activities of one session, in the thread that the session is pinned to. Neighbours: activity-loop.ts, activity-host.ts.
//
// I1. First in, first out, for messages and for those who wait for them.
// I2. What nobody waits for is not kept here but in the store: the session may be elsewhere by the time when somebody asks again.
import type { ActivityHost, NumberedMessage } from './activity-host.ts';
import { unwrap } from './activity-host.ts';

type Waiter = {
  readonly resolve: (message: NumberedMessage) => void;
  readonly reject: (error: unknown) => void;
  /** The signal of a long activity would keep every waiter otherwise. */
  readonly stopListening: () => void;
};

/** The inbox of a session. */
export class SessionInbox {
  readonly #host: ActivityHost;
  readonly #sessionId: string;
  readonly #messages: NumberedMessage[] = [];
  readonly #waiters = new Set<Waiter>();
  #lastSeq = 0;
  #asking = false;

  /** Nobody waits. */
  get isIdle(): boolean {
    return this.#waiters.size === 0;
  }

  constructor(host: ActivityHost, sessionId: string) {
    this.#host = host;
    this.#sessionId = sessionId;
  }

  /**
   * Takes the next message.
   *
   * @param signal - gives up with its reason
   * @returns the message; its payload is encoded data
   */
  receive(signal: AbortSignal): Promise<NumberedMessage> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        if (this.#waiters.delete(waiter)) reject(signal.reason as Error);
      };
      const waiter: Waiter = { resolve, reject, stopListening: () => signal.removeEventListener('abort', onAbort) };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#serve();
    });
  }

  #serve(): void {
    for (const waiter of this.#waiters) {
      const message = this.#messages.shift();
      if (message === undefined) break;
      this.#lastSeq = message.seq;
      this.#waiters.delete(waiter);
      waiter.stopListening();
      waiter.resolve(message);
    }
    if (this.#waiters.size === 0) this.#messages.length = 0;
    if (this.#waiters.size === 0 || this.#asking) return;
    this.#asking = true;
    this.#host.receive(this.#sessionId, this.#lastSeq).then(
      (outcome) => {
        this.#asking = false;
        if (outcome.ok) this.#messages.push(...(outcome.value as readonly NumberedMessage[]));
        else this.#fail(outcome);
        this.#serve();
      },
      (error: unknown) => {
        this.#asking = false;
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
