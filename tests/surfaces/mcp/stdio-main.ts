// A process that serves MCP on its pipes, as a client of the protocol starts it. Arguments: the file of the store, and 'writes' to allow them.
import { Client } from 'duraloom';
import { serveStdio } from 'duraloom/mcp';
import { SqliteProvider } from 'duraloom/sqlite';

const [, , file = '', writes] = process.argv;
const provider = await SqliteProvider.open(file);
const server = await serveStdio({ client: new Client(provider), provider, allowWrites: writes === 'writes' });
await server.closed;
await provider.close();
