// A PostgreSQL store for runs that come one after the other, each with a file name of its own. Neighbours: stores.ts, ../stores-agree.test.ts.
//
// R1. All runs use one schema and one pool: a new schema takes longer than a run, and a new connection compiles all functions again.
import pg from 'pg';
import { PostgresProvider } from 'duraloom/postgres';
import { dropSchema, emptySchema, makeSchemaName } from '../../../postgres-server/schemas.ts';
import type { SimulatedClock } from '../../../src/provider/simulated-clock.ts';
import { postgresUrl } from '../../support/postgres.ts';

/** A schema that run after run finds empty. */
export class PostgresRuns {
  readonly #schema = makeSchemaName('runs');
  #pool: pg.Pool | null = null;
  /** Of the run that has the schema. */
  #file = '';

  /** Opens a provider of a run; the first one of it finds nothing. */
  async open(file: string, clock: SimulatedClock): Promise<PostgresProvider> {
    this.#pool ??= new pg.Pool({ connectionString: postgresUrl(), max: 12 });
    const open = (): Promise<PostgresProvider> =>
      PostgresProvider.connect({ ...(this.#pool === null ? {} : { pool: this.#pool }), schema: this.#schema, clock });
    if (this.#file !== file) {
      // Makes the schema when it is the first run of all.
      await (await open()).close();
      await emptySchema(this.#pool, this.#schema);
      this.#file = file;
    }
    return await open();
  }

  /** Drops the schema and ends the pool. */
  async close(): Promise<void> {
    const pool = this.#pool;
    if (pool === null) return;
    this.#pool = null;
    this.#file = '';
    await pool.end();
    await dropSchema(postgresUrl(), this.#schema);
  }
}
