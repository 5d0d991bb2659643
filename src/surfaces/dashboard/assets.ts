// Where the built dashboard is. Neighbours: dashboard/ (its source), scripts/build-dashboard.ts (builds it), the HTTP server (serves it).
import { existsSync } from 'node:fs';

/** Seen from here: beside the compiled package, and in a clone that was built. */
const PLACES = ['../../dashboard/', '../../../dist/dashboard/'];

/**
 * Finds the files of the dashboard.
 *
 * @returns their folder, with index.html in it; null: it was not built
 */
export function dashboardFolder(): URL | null {
  const folders = PLACES.map((place) => new URL(place, import.meta.url));
  return folders.find((folder) => existsSync(new URL('index.html', folder))) ?? null;
}
