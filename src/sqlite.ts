// `duraloom/sqlite`: the embedded store. Re-exports only.
export type { CommitStats } from './provider/sqlite/group-commit.ts';
export type { SynchronousMode } from './provider/sqlite/open-database.ts';
export { SqliteProvider, type SqliteOptions } from './provider/sqlite/sqlite-provider.ts';
