// `duraloom/sqlite`: the embedded store, and its part in transactions of the application. Re-exports only.
export type { StartedInstance } from './client/prepared-call.ts';
export type { SqliteHandle, SqliteStatement } from './provider/sqlite/sqlite-handle.ts';
export type { CommitStats, SqliteOptions, SynchronousMode } from './provider/sqlite/sqlite-options.ts';
export { SqliteProvider } from './provider/sqlite/sqlite-provider.ts';
export { sqliteSource, type SqliteSourceOptions } from './provider/sqlite/sqlite-source.ts';
export { sqliteTransaction, type SqliteTransaction, type SqliteTransactionOptions } from './transactions/sqlite-transaction.ts';
