// The PostgreSQL server that tests and stress have of their own goes and comes as it is told. Neighbours: postgres-server/server.ts,
// postgres-trouble.test.ts and postgres-connect.test.ts (providers that meet it).
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test, vi } from 'vitest';
import { queryServer } from '../../postgres-server/schemas.ts';
import { startOwnPostgres, startPostgres } from '../../postgres-server/server.ts';
import { rejection } from '../support/integration-stage.ts';

test('is taken down and comes back with its address and data, and ends also while it is down', async () => {
  const server = await startOwnPostgres({ fsync: 'off', maxConnections: 20 });
  const { hostname, port } = new URL(server.url);
  await queryServer(server.url, 'CREATE TABLE modes (mode text)');
  const modes = ['fast', 'immediate', 'kill'] as const;
  for (const mode of modes) {
    await queryServer(server.url, `INSERT INTO modes VALUES ('${mode}')`);
    // Twice is once.
    await server.takeDown(mode);
    await server.takeDown(mode);
    expect(await rejection(once(connect(Number(port), hostname), 'connect'))).toMatchObject({ code: 'ECONNREFUSED' });
    await server.bringUp();
    await server.bringUp();
  }
  expect(await queryServer(server.url, 'SELECT mode FROM modes')).toEqual(modes.map((mode) => ({ mode })));
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
