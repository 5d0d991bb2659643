// What runtimes tell about themselves, and how clients read it. Neighbours: main/runtime-report.ts writes it, client.ts shows it.
import type { RuntimeReport } from '../provider/provider.ts';
import type { RuntimeStats } from './runtime-stats.ts';
import { StoredReader } from './stored-reader.ts';

/** Which activities a runtime takes by their tag. */
export type RuntimeTags = 'default' | 'any' | 'none' | { readonly only: readonly string[] } | { readonly defaultAnd: readonly string[] };

/** An orchestration that a runtime has. */
export type RuntimeOrchestration = {
  readonly name: string;
  readonly version: string;
  /** Schemas of its input, output and events, when it describes them. */
  readonly schemas?: unknown;
};

/** An activity that a runtime has. */
export type RuntimeActivity = {
  readonly name: string;
  /** Schemas of its input and output, when it describes them. */
  readonly schemas?: unknown;
};

/** What a runtime reports; JSON. */
export type RuntimeDescription = {
  /** Stable name of the node, from the option `nodeId`. */
  readonly nodeId: string;
  readonly orchestrations: readonly RuntimeOrchestration[];
  readonly activities: readonly RuntimeActivity[];
  readonly tags: RuntimeTags;
  /** `runtime.stats()` when it reported, a few seconds ago; null: an older version that tells none. */
  readonly stats: RuntimeStats | null;
};

/** A living runtime on this store. */
export type RuntimeInfo = RuntimeDescription & {
  /** Names one life of a runtime. */
  readonly runtimeId: string;
  /** When it reported last, on the store's clock. */
  readonly seenAt: Date;
};

/**
 * Decodes a report.
 *
 * @param report - from the store
 * @returns what clients see; what another version left out is empty, as is all of one that cannot be read: the next follows in seconds
 */
export function toRuntimeInfo({ runtimeId, payload, seenAtMs }: RuntimeReport): RuntimeInfo {
  const stored = new StoredReader().read(payload, `report of runtime '${runtimeId}'`) as Partial<RuntimeDescription> | null | undefined;
  return {
    runtimeId,
    nodeId: stored?.nodeId ?? runtimeId,
    seenAt: new Date(seenAtMs),
    orchestrations: stored?.orchestrations ?? [],
    activities: stored?.activities ?? [],
    tags: stored?.tags ?? 'default',
    stats: stored?.stats ?? null,
  };
}
