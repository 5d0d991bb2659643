// What the driver may do at the worst moment, and the provider must outlive. On a server that speaks just enough of the protocol, because a real one
// does this only now and then.
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { PostgresProvider } from 'duraloom/postgres';

/** A message of the protocol: type, length, content. */
function message(type: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}

const AUTHENTICATED = message('R', Buffer.from([0, 0, 0, 0]));
const READY = message('Z', Buffer.from('I'));
const SHUTDOWN = message('E', Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'));

let server: Server | null = null;
afterEach(() => server?.close());

test('a server that lets somebody in and goes down in the same breath ends no process', async () => {
  const listening = createServer((socket) => {
    // One piece of data: nothing of the provider runs between the two messages.
    socket.once('data', () => socket.end(Buffer.concat([AUTHENTICATED, READY, SHUTDOWN])));
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const { port } = listening.address() as AddressInfo;
  const connecting = PostgresProvider.connect({ connectionString: `postgresql://user@127.0.0.1:${port}/database` });
  await expect(connecting).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true });
});
