// What a row is measured with: the settings, their defaults, and all combinations of the values that the command line lists.
// Neighbours: options.ts reads the lists, rows.ts says which settings a row depends on.
import { availableParallelism } from 'node:os';
import type { SynchronousMode } from 'duraloom/sqlite';

/** Where the store is. `sqlite-memory`: the SQLite provider without a file; `memory`: the memory provider; `postgres`: a schema of a server. */
export type StoreKind = 'file' | 'postgres' | 'sqlite-memory' | 'memory';

/** Threads of each loop; 0: inline, in the main thread. */
export type Threads = { readonly replay: number; readonly activity: number };

/** One set of settings. Plain data: it travels to the process of the row. null: the library's own default. */
export type Settings = {
  readonly threads: Threads;
  readonly sync: SynchronousMode;
  readonly store: StoreKind;
  /** Activities that run at once on one thread. */
  readonly slots: number | null;
  readonly turnsPerThread: number | null;
  /** Memory of live engines, for each replay thread. */
  readonly cacheMib: number | null;
  readonly maxCommitMs: number | null;
  /** The tuner of the runtime moves its limits from where they are. */
  readonly autoTune: boolean;
};

/** The name of a setting. */
export type SettingName = keyof Settings;

/** Values of some settings: each combination of them is measured. */
export type Sweep = { readonly [Name in SettingName]?: readonly Settings[Name][] };

/** What a row says about settings. */
export type Dependence = {
  /** Settings that change what the row measures; with others it is not repeated. */
  readonly uses: readonly SettingName[];
  /** Stores that it can run on. */
  readonly stores: readonly StoreKind[];
  /** Values when the command line gives none. */
  readonly defaults?: Sweep;
};

/** One combination, and what was set for it by the command line or by the row. */
export type Combination = { readonly settings: Settings; readonly label: string };

/** What is measured when nothing is asked for. */
export const DEFAULT_SETTINGS: Settings = {
  threads: { replay: 1, activity: Math.max(1, availableParallelism() - 1) },
  sync: 'FULL',
  store: 'file',
  slots: null,
  turnsPerThread: null,
  cacheMib: null,
  maxCommitMs: null,
  autoTune: false,
};

const NAMES = Object.keys(DEFAULT_SETTINGS) as readonly SettingName[];

/**
 * Writes threads as the command line takes them.
 *
 * @param threads - of both loops
 * @returns such as `1x2`: one replay thread, two activity threads
 */
export function showThreads({ replay, activity }: Threads): string {
  return `${replay}x${activity}`;
}

/**
 * Makes the combinations that a row is measured with.
 *
 * @param given - by the command line
 * @param row - what the row depends on
 * @returns the combinations; empty when the row runs on none of the stores
 */
export function combine(given: Sweep, row: Dependence): readonly Combination[] {
  const values: Sweep = Object.fromEntries(
    NAMES.filter((name) => row.uses.includes(name)).flatMap((name) => {
      const list = given[name] ?? row.defaults?.[name];
      return list === undefined ? [] : [[name, list]];
    }),
  );
  let all: readonly Settings[] = [DEFAULT_SETTINGS];
  for (const name of NAMES) all = extend(all, name, values[name]);
  const [firstSync] = values.sync ?? [DEFAULT_SETTINGS.sync];
  return (
    all
      .filter(({ store }) => row.stores.includes(store))
      // Without a file there is nothing to sync: once is enough.
      .filter(({ store, sync }) => store === 'file' || sync === firstSync)
      .map((settings) => ({ settings, label: showSettings(settings, Object.keys(values) as readonly SettingName[]) }))
  );
}

function extend<Name extends SettingName>(
  all: readonly Settings[],
  name: Name,
  values: readonly Settings[Name][] | undefined,
): readonly Settings[] {
  return values === undefined ? all : all.flatMap((settings) => values.map((value) => ({ ...settings, [name]: value })));
}

/**
 * Names settings.
 *
 * @param settings - all
 * @param names - those that are named
 * @returns such as `threads 1x1, sync FULL`
 */
export function showSettings(settings: Settings, names: readonly SettingName[]): string {
  return NAMES.filter((name) => names.includes(name))
    .map((name) => showSetting(settings, name))
    .join(', ');
}

function showSetting(settings: Settings, name: SettingName): string {
  switch (name) {
    case 'threads':
      return `threads ${showThreads(settings.threads)}`;
    case 'sync':
      return `sync ${settings.sync}`;
    case 'store':
      return `store ${settings.store}`;
    case 'slots':
      return `slots ${settings.slots}`;
    case 'turnsPerThread':
      return `turns per thread ${settings.turnsPerThread}`;
    case 'cacheMib':
      return `cache ${settings.cacheMib} MiB`;
    case 'maxCommitMs':
      return `max commit ${settings.maxCommitMs} ms`;
    case 'autoTune':
      return `auto-tune ${settings.autoTune ? 'on' : 'off'}`;
  }
}
