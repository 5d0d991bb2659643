// Depths of the queues in the store, read for a scrape. Neighbour: prometheus-registry.ts.
//
// D1. The store is asked at most once in a while: counting a long queue costs it something, and anybody may scrape.
// D2. A scrape does not wait long for it, and does not fail with it: the last known depths are shown, for as long as they are not too old.
import type { MetricSeries } from '../../main/metrics.ts';
import type { Provider, QueueDepths } from '../../provider/provider.ts';

/** How long a scrape waits for the store, in milliseconds. Reason: scrapers give up after 10 s by default, and the rest is worth having. */
const PATIENCE_MS = 2_000;

/** Reads depths for scrapes. */
export class QueueDepthReader {
  readonly #provider: Pick<Provider, 'readQueueDepths'>;
  readonly #everyMs: number;
  #reading: Promise<void> | null = null;
  /** When the last reading began. */
  #askedMs = Number.NEGATIVE_INFINITY;
  #depths: { readonly depths: QueueDepths; readonly readMs: number } | null = null;
  #failures = 0;

  constructor({ provider, everyMs }: { readonly provider: Pick<Provider, 'readQueueDepths'>; readonly everyMs: number }) {
    this.#provider = provider;
    this.#everyMs = everyMs;
  }

  /** Brings the depths up to date, as far as it is time and the store answers soon. Never rejects. */
  async refresh(): Promise<void> {
    if (this.#reading === null && performance.now() - this.#askedMs >= this.#everyMs) {
      this.#askedMs = performance.now();
      this.#reading = this.#read();
    }
    if (this.#reading === null) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    });
    await Promise.race([this.#reading, late]);
    clearTimeout(timer);
  }

  /** What is known now. */
  show(): readonly MetricSeries[] {
    const failures: MetricSeries = { kind: 'counter', name: 'duraloom_queue_depth_failures_total', labels: {}, value: this.#failures };
    const known = this.#depths;
    if (known === null || performance.now() - known.readMs > this.#everyMs + 10 * PATIENCE_MS) return [failures];
    const depth = (queue: string, value: number): MetricSeries => ({
      kind: 'gauge',
      name: 'duraloom_queue_depth',
      labels: { queue },
      value,
    });
    const { orchestratorMessages, workItems } = known.depths;
    return [depth('orchestrator', orchestratorMessages), depth('worker', workItems), failures];
  }

  async #read(): Promise<void> {
    try {
      this.#depths = { depths: await this.#provider.readQueueDepths(), readMs: performance.now() };
    } catch {
      // The metric tells of it; the runtimes on the store meet the same trouble, and say which it is.
      this.#failures += 1;
    }
    this.#reading = null;
  }
}
