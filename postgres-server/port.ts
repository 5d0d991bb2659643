// Ports for servers of our own. Neighbours: server-process.ts, bench/peers/drivers/restate.mjs.
import { createServer, type AddressInfo } from 'node:net';

/**
 * Finds a port that nothing listens on, on the loopback interface.
 *
 * @returns its number
 */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const listener = createServer().once('error', reject);
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address() as AddressInfo;
      listener.close(() => resolve(port));
    });
  });
}
