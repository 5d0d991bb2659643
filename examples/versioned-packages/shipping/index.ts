// The way into the package. It calls another package by the name under which the host registers that one.
import { withPrefix, type DefinitionSource } from 'duraloom';

/** Loads the package. */
export function loadShipping(prefix = 'shipping.'): {
  readonly orchestrations: readonly DefinitionSource[];
  readonly activities: readonly DefinitionSource[];
} {
  return {
    orchestrations: [withPrefix(prefix, new URL('./orchestrations.ts', import.meta.url))],
    activities: [withPrefix(prefix, new URL('./activities.ts', import.meta.url))],
  };
}
