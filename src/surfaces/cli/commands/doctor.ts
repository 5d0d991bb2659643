// `duraloom doctor`: is everything here that duraloom needs, and is the store well? Each check by itself: one that fails hides no other.
// Neighbours: ../sqlite-file.ts looks at the file, ../self-test.ts runs in threads.
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import type { Provider } from '../../../index.ts';
import { assertNodeVersion } from '../../../types/node-version.ts';
import { EXIT, tellError, type ExitCode } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import type { Paint } from '../io.ts';
import { flag } from '../parameters.ts';
import { describeStore, isThere, locateStore, type StoreLocation } from '../store.ts';
import { printTable, type Cell } from '../table.ts';
import { span } from '../text.ts';
import { readVersion } from '../version.ts';

/** How a check ended. `exitCode`: how the program ends when it is the first that failed. */
type Check = {
  readonly check: string;
  readonly outcome: 'ok' | 'warning' | 'failed';
  readonly detail: string;
};
type Verdict = Omit<Check, 'check'>;

/** How far the clock may be behind what the store has seen. */
const CLOCK_SLACK_MS = 60_000;
/** How long the threads may take. */
const SELF_TEST_TIMEOUT_MS = 30_000;
const OPTIONAL_PACKAGES = ['pg', 'hono', '@hono/node-server', '@modelcontextprotocol/sdk', 'prom-client', '@opentelemetry/api'] as const;
const PAINTS: Readonly<Record<Check['outcome'], Paint>> = { ok: 'green', warning: 'yellow', failed: 'red' };

/** The command. */
export const doctor: Command = defineCommand({
  name: 'doctor',
  group: 'Set up',
  summary: 'Check Node, SQLite, threads, the clock and the store',
  details:
    'Changes nothing. A store that is missing is a warning, unless it was named. Exit code 1 when a check fails, 5 when it is about the store.',
  parameters: { full: flag('--full', 'Check the SQLite file as a whole, which reads all of it'), ...STORE, ...JSON_OUTPUT },
  examples: [
    { line: 'duraloom doctor', what: 'the store of this folder' },
    { line: 'duraloom doctor --store production.db --full', what: 'a file as a whole' },
  ],
  run: async (context, { full, store, json }) => {
    const checks: Check[] = [];
    const run = async (check: string, look: () => Verdict | Promise<Verdict>): Promise<void> => {
      checks.push({ check, ...(await failingAs(look)) });
    };
    await run('version', () => ok(`duraloom ${readVersion()}`));
    await run('node', checkNode);
    await run('machine', () =>
      ok(`${availableParallelism()} core(s), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}`),
    );
    await run('sqlite', checkSqlite);
    await run('packages', () => ok(describePackages()));
    await run('threads', checkThreads);
    await run('clock', checkClock);
    const isStoreWell = await checkStore(context, { full, store, run, checks });
    await printResult(context, json, { checks }, async () => {
      const rows = checks.map(({ check, outcome, detail }): readonly Cell[] => [{ text: outcome, paint: PAINTS[outcome] }, check, detail]);
      printTable(context.io, ['OUTCOME', 'CHECK', 'DETAIL'], rows, true);
    });
    return verdictOf(checks, isStoreWell);
  },
});

function verdictOf(checks: readonly Check[], isStoreWell: boolean): ExitCode {
  if (!isStoreWell) return EXIT.store;
  return checks.some(({ outcome }) => outcome === 'failed') ? EXIT.failed : EXIT.ok;
}

function ok(detail: string): Verdict {
  return { outcome: 'ok', detail };
}

async function failingAs(look: () => Verdict | Promise<Verdict>): Promise<Verdict> {
  try {
    return await look();
  } catch (error) {
    const { code, message } = tellError(error);
    return { outcome: 'failed', detail: `${message} (${code})` };
  }
}

function checkNode(): Verdict {
  assertNodeVersion(process.versions.node);
  return ok(`Node ${process.versions.node} (V8 ${process.versions.v8})`);
}

async function checkSqlite(): Promise<Verdict> {
  const { readSqliteVersion } = await import('../sqlite-file.ts');
  return ok(`SQLite ${await readSqliteVersion()}, better-sqlite3 ${versionOf('better-sqlite3') ?? 'of unknown version'}`);
}

/** Also of packages that do not offer their package.json. */
function versionOf(name: string): string | null {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const { version } = require(`${folder}/${name}/package.json`) as { readonly version: string };
      return version;
    } catch {
      // The next folder.
    }
  }
  return null;
}

function describePackages(): string {
  const found = OPTIONAL_PACKAGES.map((name) => ({ name, version: versionOf(name) }));
  const there = found.filter(({ version }) => version !== null).map(({ name, version }) => `${name} ${version}`);
  const missing = found.filter(({ version }) => version === null).map(({ name }) => name);
  return [...there, ...(missing.length === 0 ? [] : [`not installed: ${missing.join(', ')}`])].join(', ');
}

/** A replay thread and an activity thread do real work. */
async function checkThreads(): Promise<Verdict> {
  const [{ Runtime, Client }, { MemoryProvider }] = await Promise.all([import('../../../index.ts'), import('../../../memory.ts')]);
  const provider: Provider = new MemoryProvider();
  const module = new URL(import.meta.url.endsWith('.ts') ? '../self-test.ts' : '../self-test.js', import.meta.url);
  const begun = performance.now();
  try {
    const runtime = await Runtime.start({ provider, orchestrations: module, activities: module, replayThreads: 1, activityThreads: 1 });
    try {
      const handle = await new Client(provider).startOrchestration<number>('self-test', 'selfTest', 1);
      const result = await handle.result({ timeout: SELF_TEST_TIMEOUT_MS });
      if (result !== 2) return { outcome: 'failed', detail: `an orchestration in threads gave ${String(result)}, expected 2` };
    } finally {
      await runtime.shutdown();
    }
  } finally {
    await provider.close();
  }
  return ok(`an orchestration ran in threads, ${span(performance.now() - begun)} with their start`);
}

/** The clock has gone on since the process began, and not backwards. Whether it is right is told by what the store has seen: see `checkHosts`. */
function checkClock(): Verdict {
  const drift = Math.abs(Date.now() - (performance.timeOrigin + performance.now()));
  const now = new Date().toISOString();
  if (drift > 1_000)
    return { outcome: 'warning', detail: `${now}; the clock jumped by ${span(drift)} meanwhile: timers are as good as it is` };
  return ok(now);
}

type StoreCheck = {
  readonly full: boolean;
  readonly store: string | undefined;
  readonly run: (check: string, look: () => Verdict | Promise<Verdict>) => Promise<void>;
  readonly checks: readonly Check[];
};

/** Returns false when a check of the store failed. */
async function checkStore(context: CommandContext, { full, store, run, checks }: StoreCheck): Promise<boolean> {
  const before = checks.length;
  let location: StoreLocation | null = null;
  await run('store', () => {
    location = locateStore(store);
    return checkPlace(location);
  });
  const isPlaceWell = checks.at(-1)?.outcome === 'ok';
  const place = location as StoreLocation | null;
  if (isPlaceWell && place !== null) {
    if (place.kind === 'sqlite') await run('file', () => checkFile(place.file, full));
    // A file that is damaged is not opened.
    if (checks.at(-1)?.outcome !== 'failed') await run('hosts', () => checkHosts(context, store));
  }
  return checks.slice(before).every(({ outcome }) => outcome !== 'failed');
}

function checkPlace(location: StoreLocation): Verdict {
  if (isThere(location)) return ok(`${describeStore(location)} (${location.named})`);
  const detail = `${describeStore(location)} is not there (${location.named}). Start the host that makes it, or name another with --store`;
  return { outcome: location.named === 'the default' ? 'warning' : 'failed', detail };
}

async function checkFile(file: string, full: boolean): Promise<Verdict> {
  const { checkIntegrity, readFacts } = await import('../sqlite-file.ts');
  const facts = await readFacts(file);
  if ('reason' in facts) return { outcome: 'failed', detail: facts.reason };
  const complaints = full ? await checkIntegrity(file) : [];
  if (complaints.length > 0) return { outcome: 'failed', detail: complaints.join('; ') };
  const log = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  const size = `${megabytes(facts.bytes)} (${megabytes(facts.freeBytes)} free), log ${megabytes(log)}`;
  return ok(`schema ${facts.schemaVersion}, journal ${facts.journalMode}, ${size}${full ? ', integrity checked' : ''}`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

async function checkHosts(context: CommandContext, store: string | undefined): Promise<Verdict> {
  const { client } = await context.openStore(store);
  const [runtimes, { instances }] = await Promise.all([client.listRuntimes(), client.listInstances({ limit: 1 })]);
  const newest = Math.max(0, ...runtimes.map(({ seenAt }) => seenAt.getTime()), ...instances.map(({ createdAt }) => createdAt.getTime()));
  const ahead = newest - Date.now();
  const detail =
    runtimes.length === 0 ? 'no host is running' : `${runtimes.length} running: ${runtimes.map(({ nodeId }) => nodeId).join(', ')}`;
  if (ahead <= CLOCK_SLACK_MS) return ok(detail);
  return { outcome: 'warning', detail: `${detail}; the store has seen a time that is ${span(ahead)} from now: is the clock right?` };
}
