// The runtimes that have told that they live. Neighbour: memory-store.ts.
import type { RuntimeReport } from '../provider.ts';
import { compareCodePoints } from './code-points.ts';

type Entry = RuntimeReport & { readonly aliveUntilMs: number };

/** Reports by runtime. */
export class Runtimes {
  readonly #reports = new Map<string, Entry>();

  /**
   * Notes that a runtime lives, or stops.
   *
   * @param report - who, what it says, and how long it counts as alive; 0: it stops
   * @param nowMs - the time, epoch milliseconds
   */
  report(report: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number }, nowMs: number): void {
    const { runtimeId, payload, ttlMs } = report;
    if (ttlMs > 0) this.#reports.set(runtimeId, { runtimeId, payload, seenAtMs: nowMs, aliveUntilMs: nowMs + ttlMs });
    else this.#reports.delete(runtimeId);
  }

  /**
   * Lists who counts as alive, and forgets the others.
   *
   * @param nowMs - the time, epoch milliseconds
   * @returns the reports, by id
   */
  list(nowMs: number): readonly RuntimeReport[] {
    for (const { runtimeId, aliveUntilMs } of this.#reports.values()) if (aliveUntilMs <= nowMs) this.#reports.delete(runtimeId);
    return [...this.#reports.values()]
      .map(({ runtimeId, payload, seenAtMs }) => ({ runtimeId, payload, seenAtMs }))
      .toSorted((a, b) => compareCodePoints(a.runtimeId, b.runtimeId));
  }
}
