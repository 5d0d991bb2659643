// `duraloom/sqlite`: the embedded store. Re-exports only.
export type { CommitStats, SqliteOptions, SynchronousMode } from './provider/sqlite/sqlite-options.ts';
export { SqliteProvider } from './provider/sqlite/sqlite-provider.ts';
