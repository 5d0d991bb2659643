// What is known of one instance: its state and the history of one execution, read in pages and then kept up to date by a stream.
// Neighbour: pages/instance.tsx.
import { signal } from '@preact/signals';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { ApiError, isSilence, read } from './api.ts';
import type { StreamEvent } from './event-parser.ts';
import { listen } from './stream.ts';
import type { Instance } from './types.ts';

type HistoryPage = { readonly executionId: number; readonly events: readonly HistoryEvent[]; readonly nextAfterEventId: number | null };

const PAGE_EVENTS = 10_000;
/** How often new events are shown at most. Reason: models of 50,000 events are made anew each time. */
const SHOW_MS = 200;
const SHOW_LARGE_MS = 1000;
const LARGE_EVENTS = 5000;
/** How often an instance that has ended is looked at: somebody may start it again. */
const ENDED_MS = 2000;

/** An instance that is looked at. Ended by `stop`. */
export class InstanceData {
  /** Its state; null: not known yet. */
  readonly state = signal<Instance | null>(null);
  /** Events of the execution that is looked at, in order; a new array whenever some came. */
  readonly events = signal<readonly HistoryEvent[]>([]);
  /** The execution that is looked at; 0: not known yet. */
  readonly executionId = signal(0);
  /** True: all events so far are in `events`. */
  readonly isWhole = signal(false);
  readonly error = signal<unknown>(null);
  /** True: it was deleted while it was looked at. */
  readonly isDeleted = signal(false);

  readonly #path: string;
  /** Execution that the user chose; null: always the current one. */
  readonly #chosen: number | null;
  /** Of the reading and listening that goes on; every new beginning ends the one before. */
  #current = new AbortController();
  #arrived: HistoryEvent[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #endTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string, chosen: number | null) {
    this.#path = `instances/${encodeURIComponent(id)}`;
    this.#chosen = chosen;
    void this.reload();
  }

  /** Ends it: nothing is loaded any more. */
  stop(): void {
    this.#current.abort();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    clearTimeout(this.#endTimer);
    this.#arrived = [];
  }

  /** Reads everything again, and listens from there. */
  async reload(): Promise<void> {
    this.stop();
    this.#current = new AbortController();
    const { signal: stopped } = this.#current;
    try {
      const state = await read<Instance>(this.#path, {}, stopped);
      this.state.value = state;
      const executionId = this.#chosen ?? state.executionId;
      this.executionId.value = executionId;
      let after: number | null = 0;
      const events: HistoryEvent[] = [];
      while (after !== null) {
        const page: HistoryPage = await read(`${this.#path}/history`, { executionId, afterEventId: after, limit: PAGE_EVENTS }, stopped);
        for (const event of page.events) events.push(event);
        this.events.value = events.slice();
        after = page.nextAfterEventId;
      }
      this.isWhole.value = true;
      this.error.value = null;
      this.#listen(`${executionId}:${events.length}`, stopped);
    } catch (error) {
      if (!stopped.aborted) this.#fail(error);
    }
  }

  /** Looks whether an instance that has ended was started again: its stream is over. */
  async check(): Promise<void> {
    const { signal: stopped } = this.#current;
    const known = this.state.value;
    try {
      const state = await read<Instance>(this.#path, {}, stopped);
      if (state.createdAt === known?.createdAt && state.status === known.status) this.#watchEnd();
      else await this.reload();
    } catch (error) {
      if (stopped.aborted) return;
      if (error instanceof ApiError && error.status !== 404) this.#watchEnd();
      else this.#fail(error);
    }
  }

  #watchEnd(): void {
    clearTimeout(this.#endTimer);
    this.#endTimer = setTimeout(() => (document.visibilityState === 'visible' ? void this.check() : this.#watchEnd()), ENDED_MS);
  }

  #fail(error: unknown): void {
    if (this.state.value !== null && error instanceof ApiError && error.code === 'INSTANCE_NOT_FOUND') this.isDeleted.value = true;
    else if (!isSilence(error) || this.state.value === null) this.error.value = error;
  }

  #listen(lastEventId: string, stopped: AbortSignal): void {
    const stopStream = listen(
      `${this.#path}/events`,
      { lastEventId },
      {
        onEvent: (event) => {
          if (stopped.aborted) return;
          this.#take(event);
          if (event.event !== 'end') return;
          stopStream();
          if (!this.isDeleted.value) this.#watchEnd();
        },
        onRefused: (error) => this.#fail(error),
      },
      lastEventId,
    );
    stopped.addEventListener('abort', stopStream);
  }

  #take({ event, data }: StreamEvent): void {
    switch (event) {
      case 'history':
        this.#takeEvent(JSON.parse(data) as { readonly executionId: number; readonly event: HistoryEvent });
        break;
      case 'status':
        this.state.value = JSON.parse(data) as Instance;
        break;
      case 'reset':
        this.#arrived = [];
        this.events.value = [];
        this.executionId.value = (JSON.parse(data) as { readonly executionId: number }).executionId;
        break;
      case 'end':
        this.isDeleted.value = (JSON.parse(data) as { readonly reason: string }).reason === 'deleted';
        break;
      default:
        // Of a newer server.
        break;
    }
  }

  #takeEvent({ executionId, event }: { readonly executionId: number; readonly event: HistoryEvent }): void {
    if (executionId !== this.executionId.value) {
      // It continued as new. Who chose an execution stays there.
      if (this.#chosen !== null || executionId < this.executionId.value) return;
      this.#arrived = [];
      this.events.value = [];
      this.executionId.value = executionId;
    }
    this.#arrived.push(event);
    this.#timer ??= setTimeout(() => this.#show(), this.events.value.length > LARGE_EVENTS ? SHOW_LARGE_MS : SHOW_MS);
  }

  #show(): void {
    this.#timer = undefined;
    const last = this.events.value.at(-1)?.id ?? 0;
    const fresh = this.#arrived.filter(({ id }) => id > last);
    this.#arrived = [];
    if (fresh.length > 0) this.events.value = [...this.events.value, ...fresh];
  }
}
