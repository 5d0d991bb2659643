// The PostgreSQL provider as a target of the conformance cases: `npm run conformance -- conformance/postgres-target.ts`. Neighbours: the other
// providers of this package are in src/surfaces/cli/conformance-targets.ts; tests/provider runs it as tests.
//
// P1. Cases share a pool: a new connection would compile all functions of the schema again.
// P2. A case gets a schema that is empty. Making one takes much longer than emptying one, so schemas are used again.
import type { Clock } from 'duraloom';
import type { ConformanceStore, ConformanceTarget } from 'duraloom/conformance';
import { PostgresProvider, type PostgresOptions, type PostgresPool } from 'duraloom/postgres';
import pg from 'pg';
import { dropSchema, emptySchema, makeSchemaName } from '../postgres-server/schemas.ts';
import { startPostgres } from '../postgres-server/server.ts';

/** What the cases run on. */
export type PostgresTarget = {
  readonly target: ConformanceTarget;
  /** Drops the schemas and closes the connections. */
  readonly close: () => Promise<void>;
};

/**
 * Makes a target on a server.
 *
 * @param url - of a database whose user may create schemas
 * @param options - of the providers; `partitions` of the schemas
 * @returns the target
 */
export function makePostgresTarget(url: string, options: Pick<PostgresOptions, 'partitions'> = {}): PostgresTarget {
  const pool = new pg.Pool({ connectionString: url, max: 24 });
  const all: string[] = [];
  const free: string[] = [];
  const make = (): string => {
    const schema = makeSchemaName('conformance');
    all.push(schema);
    return schema;
  };
  const target: ConformanceTarget = {
    name: 'postgres',
    open: async (clock): Promise<ConformanceStore> => {
      const schema = free.pop() ?? make();
      const connect = (itsClock: Clock): Promise<PostgresProvider> =>
        PostgresProvider.connect({ ...options, pool: pool as unknown as PostgresPool, schema, clock: itsClock });
      return {
        provider: await connect(clock),
        reopen: connect,
        openSecond: connect,
        corruptHistory: async (instanceId) => {
          const text = `UPDATE "${schema}".history SET events = left(events, length(events) / 2) WHERE instance_id = $1`;
          const { rowCount } = await pool.query(text, [instanceId]);
          if (rowCount === 0) throw new Error(`instance '${instanceId}' has no history to damage`);
        },
        remove: async () => {
          await emptySchema(pool, schema);
          free.push(schema);
        },
      };
    },
  };
  return {
    target,
    close: async () => {
      await pool.end();
      for (const schema of all) await dropSchema(url, schema);
    },
  };
}

let running: Promise<PostgresTarget> | null = null;

/** On the server that is named by `DATABASE_URL`, or on one of our own that is started for the first case and ends with this process. */
export const postgres: ConformanceTarget = {
  name: 'postgres',
  open: async (clock) => {
    running ??= startPostgres({ fsync: 'off' }).then(({ url }) => makePostgresTarget(url));
    return await (await running).target.open(clock);
  },
};
