// Bundles the dashboard into dist/dashboard, or into the folder that is given: HTML, one script, one style sheet. Neighbour: build.ts.
import { dirname, join, resolve } from 'node:path';
import { build, type InlineConfig } from 'vite';

const root = dirname(import.meta.dirname);

/**
 * Builds the dashboard.
 *
 * @param folder - where to; it is emptied first
 */
export async function buildDashboard(folder: string): Promise<void> {
  const config: InlineConfig = {
    root: join(root, 'dashboard'),
    configFile: false,
    base: './',
    logLevel: 'warn',
    build: { outDir: folder, emptyOutDir: true, target: ['chrome123', 'firefox120', 'safari17.5'], modulePreload: { polyfill: false } },
  };
  await build(config);
}

if (import.meta.main) await buildDashboard(resolve(process.argv[2] ?? join(root, 'dist', 'dashboard')));
