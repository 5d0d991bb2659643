// `duraloom/postgres`: the store of a fleet, and its part in transactions of the application. Re-exports only.
export type { StartedInstance } from './client/prepared-call.ts';
export type { PostgresClient, PostgresOptions, PostgresPool, PooledPostgresClient } from './provider/postgres/postgres-options.ts';
export { postgresSource, type PostgresSourceOptions } from './provider/postgres/postgres-source.ts';
export { PostgresProvider } from './provider/postgres/postgres-provider.ts';
export { postgresTransaction, type PostgresTransaction, type PostgresTransactionOptions } from './transactions/postgres-transaction.ts';
