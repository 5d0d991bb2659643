// Loads prom-client when a registry is asked for: it is an optional dependency. Neighbour: prometheus-registry.ts.
import type * as PromClient from 'prom-client';
import { DurableError } from '../../types/errors.ts';

/**
 * Loads the package.
 *
 * @returns its exports
 * @throws {DurableError} `SURFACE_DEPENDENCY_MISSING` when it is not installed
 */
export async function loadPromClient(): Promise<typeof PromClient> {
  try {
    return await import('prom-client');
  } catch (cause) {
    if ((cause as { readonly code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new DurableError(
      'SURFACE_DEPENDENCY_MISSING',
      "duraloom/metrics needs the package 'prom-client', which is not installed. Install it: npm install prom-client",
      { cause },
    );
  }
}
