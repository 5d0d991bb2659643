// Tells the activities that run long when their orchestration ended behind the back of this runtime: terminated or replaced by somebody, here or
// in another process. Without it they would hear of it with the next renewal of their lease. Neighbour: activity-dispatcher.ts.
//
// O1. At most `MAX_WATCHES` executions are watched, each by one long poll. It is a shortcut only: the lease tells the truth anyway (T33).
import type { Provider } from '../provider/provider.ts';
import { isEnded, type InstanceStatus } from '../types/instance.ts';

/** Most executions that are watched. Reason: each is a parked wait, and a change by another process wakes them all for a look. */
const MAX_WATCHES = 256;
/** One long poll, in milliseconds. */
const WAIT_MS = 15_000;

/** Names an execution. */
export type ExecutionKey = { readonly instanceId: string; readonly executionId: number };

/** Watches executions. */
export class ExecutionWatch {
  readonly #provider: Provider;
  readonly #onOver: (key: ExecutionKey) => void;
  readonly #onError: (error: unknown) => void;
  readonly #watches = new Map<string, AbortController>();

  constructor(provider: Provider, onOver: (key: ExecutionKey) => void, onError: (error: unknown) => void) {
    this.#provider = provider;
    this.#onOver = onOver;
    this.#onError = onError;
  }

  /** Watches these executions, and no others. */
  watchOnly(keys: readonly ExecutionKey[]): void {
    const wanted = new Map(keys.map((key) => [nameOf(key), key]));
    for (const [name, watch] of this.#watches) {
      if (wanted.has(name)) continue;
      watch.abort();
      this.#watches.delete(name);
    }
    for (const [name, key] of wanted) {
      if (this.#watches.has(name) || this.#watches.size >= MAX_WATCHES) continue;
      const watch = new AbortController();
      this.#watches.set(name, watch);
      void this.#watch(key, watch);
    }
  }

  /** Never rejects. */
  async #watch(key: ExecutionKey, watch: AbortController): Promise<void> {
    const { instanceId, executionId } = key;
    const condition = { kind: 'executionOver', executionId } as const;
    try {
      while (!watch.signal.aborted) {
        const record = await this.#provider.waitForInstance({ instanceId, condition, waitMs: WAIT_MS, signal: watch.signal });
        if (watch.signal.aborted) return;
        if (record === null || isOver(record, executionId)) {
          this.#onOver(key);
          return;
        }
      }
    } catch (error) {
      if (watch.signal.aborted) return;
      this.#onError(error);
      // The next look begins it again.
      this.#watches.delete(nameOf(key));
    }
  }
}

function isOver(record: { readonly status: InstanceStatus; readonly executionId: number }, executionId: number): boolean {
  return isEnded(record.status) || record.executionId !== executionId;
}

function nameOf({ instanceId, executionId }: ExecutionKey): string {
  return `${executionId} ${instanceId}`;
}
