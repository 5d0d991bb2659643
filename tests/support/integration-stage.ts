// Everything that an integration test opens, closed in reverse order when the test is over, also when it failed.
// Neighbours: integration-log.ts (what runtimes log), integration-child.ts (hosts in other processes).
import { Client, Runtime, type RuntimeOptions } from 'duraloom';
import { SqliteProvider, type SqliteOptions } from 'duraloom/sqlite';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, onTestFinished } from 'vitest';

/** Short times, so that what fails does it quickly. */
export const quick: {
  readonly turnTimeoutMs: number;
  readonly activityLockMs: number;
  readonly orchestrationLockMs: number;
  readonly retryBackoff: { readonly initialMs: number; readonly maximumMs: number };
  readonly maxAttempts: number;
  readonly activityThreads: number;
} = {
  turnTimeoutMs: 300,
  activityLockMs: 500,
  orchestrationLockMs: 2_000,
  retryBackoff: { initialMs: 10, maximumMs: 50 },
  maxAttempts: 2,
  activityThreads: 1,
};

/** No wait of a test is longer: a hang is reported with its instance instead of by the runner. */
export const PATIENCE = '20s';

/** URL of a module in tests/integration/fixtures. */
export function fixture(name: string): URL {
  return new URL(`../integration/fixtures/${name}`, import.meta.url);
}

/** The modules that most tests use. */
export const modules: { readonly orchestrations: URL; readonly activities: URL } = {
  orchestrations: fixture('orchestrations.ts'),
  activities: fixture('activities.ts'),
};

/** URL of the package's source, for modules that a test writes to its own folder. */
export const DURALOOM_URL: string = new URL('../../src/index.ts', import.meta.url).href;

type Closer = () => Promise<unknown> | void;

/** A temporary folder with the providers, runtimes and processes of one test. */
export class Stage implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'duraloom-test-'));
  readonly #closers: Closer[] = [];

  /** Path of a file in the folder. */
  file(name = 'store.db'): string {
    return join(this.folder, name);
  }

  /** Writes a module into the folder. */
  writeModule(name: string, source: string): URL {
    writeFileSync(this.file(name), source);
    return pathToFileURL(this.file(name));
  }

  /** Closes something at the end, before everything that was opened earlier. */
  defer(close: Closer): void {
    this.#closers.push(close);
  }

  async openProvider(options: SqliteOptions & { readonly file?: string } = {}): Promise<SqliteProvider> {
    const { file = 'store.db', ...rest } = options;
    const provider = await SqliteProvider.open(this.file(file), rest);
    this.defer(() => provider.close());
    return provider;
  }

  async startRuntime(options: RuntimeOptions): Promise<Runtime> {
    const runtime = await Runtime.start(options);
    this.defer(() => runtime.shutdown({ timeoutMs: 2_000 }));
    return runtime;
  }

  /** A provider, a runtime with the usual modules and quick options, and a client. */
  async open(options: Partial<RuntimeOptions> = {}): Promise<{ provider: SqliteProvider; runtime: Runtime; client: Client }> {
    const provider = await this.openProvider();
    const runtime = await this.startRuntime({ provider, ...modules, ...quick, ...options });
    return { provider, runtime, client: new Client(provider) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.#closers.splice(0).toReversed()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
    if (failures.length > 0) throw new AggregateError(failures, 'the stage could not be closed');
  }
}

/** A stage that is closed when the running test is over. */
export function stage(): Stage {
  const opened = new Stage();
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

/** What the tests of a suite share. */
export type Shared = { readonly stage: Stage; readonly provider: SqliteProvider; readonly runtime: Runtime; readonly client: Client };

/** One store and one runtime for all tests of a suite, which keep apart by instance id. Call it in `describe`; use it in tests only. */
export function shareRuntime(options: Partial<RuntimeOptions> = {}): Shared {
  let opened: Shared | null = null;
  const get = <Key extends keyof Shared>(key: Key): Shared[Key] => {
    if (opened === null) throw new TypeError('the shared runtime is started before the tests and stopped after them');
    return opened[key];
  };
  beforeAll(async () => {
    const stand = new Stage();
    opened = { stage: stand, ...(await stand.open(options)) };
  });
  afterAll(() => opened?.stage[Symbol.asyncDispose]());
  return {
    get stage() {
      return get('stage');
    },
    get provider() {
      return get('provider');
    },
    get runtime() {
      return get('runtime');
    },
    get client() {
      return get('client');
    },
  };
}

/** What a promise rejects with; fails when it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { readonly code?: string; readonly cause?: unknown }> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new TypeError(`expected a rejection with an error, got ${String(error)}`, { cause: error });
  }
  throw new TypeError(`expected a rejection, got ${JSON.stringify(value)}`);
}
