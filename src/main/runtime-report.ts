// Tells the store that this runtime lives and what it can do, for people (`client.listRuntimes()`). Neighbours: runtime.ts starts and stops
// it, client/runtime-info.ts has the form of a report.
//
// R1. Nothing depends on a report: a failed one is logged and made again, and neither starts nor stops the runtime.
import { randomUUID } from 'node:crypto';
import type { RuntimeActivity, RuntimeDescription, RuntimeTags } from '../client/runtime-info.ts';
import type { TagFilter } from '../provider/provider.ts';
import type { RegisteredName } from '../threads/registry.ts';
import { encodeRecord } from '../types/codec.ts';
import type { ResolvedRuntimeOptions } from './options.ts';
import type { RuntimeStats } from '../client/runtime-stats.ts';

/** What the threads of a runtime have registered. */
export type RegisteredNames = { readonly orchestrations: readonly RegisteredName[]; readonly activities: readonly RegisteredName[] };

/** How long a runtime counts as alive after a report, in milliseconds. */
const TTL_MS = 30_000;
/** Reports in that time. Reason: two may fail before the runtime counts as dead. */
const REPORTS_PER_TTL = 3;

/** Reports one runtime until it is stopped. */
export class RuntimeReporter {
  /** Names this life of the runtime. */
  readonly runtimeId: string = randomUUID();
  readonly #options: ResolvedRuntimeOptions;
  readonly #stats: () => RuntimeStats | null;
  #description: Omit<RuntimeDescription, 'stats'> | null = null;
  #stopTimer: (() => void) | null = null;
  #open: Promise<void> = Promise.resolve();

  constructor(options: ResolvedRuntimeOptions, stats: () => RuntimeStats | null) {
    this.#options = options;
    this.#stats = stats;
  }

  /**
   * Makes the first report, and the next ones in time.
   *
   * @param names - what the threads have registered
   * @returns when the first report is stored, or has failed
   */
  start(names: RegisteredNames): Promise<void> {
    this.#description = describe(this.#options, names);
    this.#schedule();
    return this.#report(TTL_MS);
  }

  /** Tells that the runtime is gone. Resolves when that is stored, or has failed. */
  async stop(): Promise<void> {
    if (this.#stopTimer === null) return;
    this.#stopTimer();
    this.#stopTimer = null;
    // A report under way must not come after the last one.
    await this.#open;
    await this.#report(0);
  }

  #schedule(): void {
    this.#stopTimer = this.#options.clock.setTimer(
      TTL_MS / REPORTS_PER_TTL,
      () => {
        this.#open = this.#report(TTL_MS);
        this.#schedule();
      },
      true,
    );
  }

  async #report(ttlMs: number): Promise<void> {
    const { provider, logger } = this.#options;
    try {
      const payload = encodeRecord({ ...this.#description, stats: this.#stats() });
      await provider.reportRuntime({ runtimeId: this.runtimeId, payload, ttlMs });
    } catch (error) {
      logger.warn({ operation: 'reportRuntime', err: error }, 'the store failed in reportRuntime; the next report follows in time');
    }
  }
}

function describe(
  { nodeId, tags }: ResolvedRuntimeOptions,
  { orchestrations, activities }: RegisteredNames,
): Omit<RuntimeDescription, 'stats'> {
  return {
    nodeId,
    orchestrations: orchestrations.map((registered) => ({ ...registered, version: registered.version ?? '' })),
    activities: activities.map(withoutVersion),
    tags: activities.length === 0 ? 'none' : describeTags(tags),
  };
}

/** Activities have none. */
function withoutVersion(registered: RegisteredName): RuntimeActivity {
  const { version: _, ...rest } = registered;
  return rest;
}

function describeTags(tags: TagFilter | null): RuntimeTags {
  switch (tags?.kind) {
    case undefined:
      return 'none';
    case 'default':
    case 'any':
      return tags.kind;
    case 'only':
      return { only: tags.tags };
    case 'defaultAnd':
      return { defaultAnd: tags.tags };
  }
}
