// Starts the PostgreSQL server of a test run, before all files (`globalSetup` of vitest). Neighbour: postgres.ts is what tests use.
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../postgres-server/server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of a database of a role that may create others. */
    postgresUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // No test takes the power of this server away.
  const server = await startPostgres({ fsync: 'off', maxConnections: 400 });
  project.provide('postgresUrl', server.url);
  return () => server.stop();
}
