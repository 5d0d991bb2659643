// Tests run in forked processes, because they start real worker threads and processes themselves. Node loads the files, as it does in production:
// the same code runs in tests, threads and child processes, and their coverage adds up line by line.
import { resolve } from 'node:path';
import type { ViteUserConfig } from 'vitest/config';

/** Makes `import 'duraloom'` mean the TypeScript source; see CONTRIBUTING.md. */
const SOURCE_CONDITION = 'duraloom-source';

const inCi = Boolean(process.env['CI']);

/** Shares of code that tests must run, in percent; `npm run coverage` fails below. */
const ALL = { lines: 100, branches: 100, functions: 100, statements: 100 };
const MOST = { lines: 90, branches: 90, functions: 90, statements: 90 };

// Threads and processes are started by the hundred: with the code compiled before, each takes half the time. Coverage needs code as it is loaded.
if (!process.argv.includes('--coverage')) {
  process.env['NODE_COMPILE_CACHE'] ??= resolve(import.meta.dirname, 'node_modules/.cache/compiled');
}

const config: ViteUserConfig = {
  // Tests count as server code. Vitest hands the conditions on to the forks as `--conditions`, and worker threads inherit them.
  ssr: { resolve: { conditions: [SOURCE_CONDITION] } },
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/postgres-setup.ts'],
    pool: 'forks',
    // Files share their process, a file at a time: they clean up after themselves, or the next one finds it out. Loading everything anew for each
    // file would take as long as the tests.
    isolate: false,
    // All cores; by default one is left for Vitest, which has little to do.
    maxWorkers: '100%',
    experimental: { viteModuleRunner: false },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // What a test waits for may take long on a busy machine. The default of one second is for those that do nothing else.
    expect: { poll: { interval: 20, timeout: 20_000 } },
    // For processes that a test starts with `spawn`: unlike forks and threads they do not inherit the flags of their parent.
    env: { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --conditions=${SOURCE_CONDITION}`.trim() },
    // .ci/run reads the counts for its last line from this file.
    reporters: inCi ? ['default', ['json', { outputFile: 'node_modules/.cache/test-results.json' }]] : ['default'],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text', 'html'],
      // Much of the code runs in worker threads and in processes that tests start. What ends by a signal is not counted.
      autoAttachSubprocess: true,
      // A folder each, so that none hides behind another.
      thresholds: {
        'src/types/**': ALL,
        'src/replay/**': ALL,
        'src/provider/**': MOST,
        'src/client/**': MOST,
        'src/threads/**': MOST,
        'src/main/**': MOST,
        'src/transactions/**': MOST,
        'src/conformance/**': MOST,
        'src/testing/**': MOST,
        'src/surfaces/**': MOST,
      },
    },
  },
};

export default config;
