// `duraloom/postgres`: the store of a fleet. Re-exports only.
export type { PostgresClient, PostgresOptions, PostgresPool, PooledPostgresClient } from './provider/postgres/postgres-options.ts';
export { PostgresProvider } from './provider/postgres/postgres-provider.ts';
