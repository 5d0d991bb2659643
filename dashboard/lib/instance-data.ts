// What is known of one instance: its state and the history of one execution, read in pages and then kept up to date by a stream.
// Neighbour: pages/instance.tsx.
import { signal } from '@preact/signals';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { ApiError, read } from './api.ts';
import type { StreamEvent } from './event-parser.ts';
import { listen } from './stream.ts';
import type { Instance } from './types.ts';

type HistoryPage = { readonly executionId: number; readonly events: readonly HistoryEvent[]; readonly nextAfterEventId: number | null };

const PAGE_EVENTS = 10_000;
/** How often new events are shown at most. Reason: models of 50,000 events are made anew each time. */
const SHOW_MS = 200;
const SHOW_LARGE_MS = 1000;
const LARGE_EVENTS = 5000;

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

  readonly #id: string;
  /** Execution that the user chose; null: always the current one. */
  readonly #chosen: number | null;
  readonly #stop = new AbortController();
  #arrived: HistoryEvent[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #stopStream: () => void = () => undefined;

  constructor(id: string, chosen: number | null) {
    this.#id = id;
    this.#chosen = chosen;
    void this.#start();
  }

  /** Ends it: nothing is loaded any more. */
  stop(): void {
    this.#stop.abort();
    this.#stopStream();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Reads everything again. */
  async reload(): Promise<void> {
    await this.#start();
  }

  async #start(): Promise<void> {
    const path = `instances/${encodeURIComponent(this.#id)}`;
    const { signal: stopped } = this.#stop;
    try {
      const state = await read<Instance>(path, {}, stopped);
      this.state.value = state;
      const executionId = this.#chosen ?? state.executionId;
      this.executionId.value = executionId;
      let after: number | null = 0;
      const events: HistoryEvent[] = [];
      while (after !== null) {
        const page: HistoryPage = await read(`${path}/history`, { executionId, afterEventId: after, limit: PAGE_EVENTS }, stopped);
        for (const event of page.events) events.push(event);
        this.events.value = events.slice();
        after = page.nextAfterEventId;
      }
      this.isWhole.value = true;
      this.error.value = null;
      this.#listen(path, `${executionId}:${events.length}`);
    } catch (error) {
      if (!stopped.aborted) this.error.value = error;
    }
  }

  #listen(path: string, lastEventId: string): void {
    this.#stopStream();
    this.#stopStream = listen(
      `${path}/events`,
      { lastEventId },
      {
        onEvent: (event) => {
          this.#take(event);
          if (event.event === 'end') this.#stopStream();
        },
        onRefused: (error) => {
          this.isDeleted.value = error instanceof ApiError && error.code === 'INSTANCE_NOT_FOUND';
          if (!this.isDeleted.value) this.error.value = error;
        },
      },
      lastEventId,
    );
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
      case 'error':
        // The stream is opened again after it; what is wrong is in the next answer.
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
    this.#timer = null;
    const last = this.events.value.at(-1)?.id ?? 0;
    const fresh = this.#arrived.filter(({ id }) => id > last);
    this.#arrived = [];
    if (fresh.length > 0) this.events.value = [...this.events.value, ...fresh];
  }
}
