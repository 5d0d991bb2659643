// The PostgreSQL server that tests and stress have of their own goes and comes as it is told. Neighbours: postgres-server/server.ts,
// postgres-trouble.test.ts and postgres-connect.test.ts (providers that meet it).
import { once } from 'node:events';
import { connect } from 'node:net';
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import { startOwnPostgres, startPostgres } from '../../postgres-server/server.ts';
import { rejection } from '../support/integration-stage.ts';

test('is taken down and comes back with its address and data, and ends also while it is down', async () => {
  const server = await startOwnPostgres({ fsync: 'off', maxConnections: 20 });
  const { hostname, port } = new URL(server.url);
  const query = async (text: string): Promise<readonly unknown[]> => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query<Record<string, unknown>>(text);
    await client.end();
    return rows;
  };
  await query('CREATE TABLE modes (mode text)');
  const modes = ['fast', 'immediate', 'kill'] as const;
  for (const mode of modes) {
    await query(`INSERT INTO modes VALUES ('${mode}')`);
    // Twice is once.
    await server.takeDown(mode);
    await server.takeDown(mode);
    expect(await rejection(once(connect(Number(port), hostname), 'connect'))).toMatchObject({ code: 'ECONNREFUSED' });
    await server.bringUp();
    await server.bringUp();
  }
  expect(await query('SELECT mode FROM modes')).toEqual(modes.map((mode) => ({ mode })));
  await server.takeDown('kill');
  await server.stop();
});

test('of somebody else, is left alone', async () => {
  vi.stubEnv('DATABASE_URL', 'postgresql://somebody@else/db');
  const server = await startPostgres();
  vi.unstubAllEnvs();
  for (const call of [server.takeDown('fast'), server.bringUp()]) {
    expect(await rejection(call)).toMatchObject({ message: expect.stringContaining('DATABASE_URL is not ours') as unknown });
  }
  await server.stop();
});
