// `createMcpServer` and `serveStdio`: the MCP server on a transport of the host, and on the pipes of this process. Loads what it is made of only when
// it is called. Neighbours: server.ts; sessions.ts serves it over HTTP.
import type { Server } from '@modelcontextprotocol/sdk/server/index.js';
import type { Readable, Writable } from 'node:stream';
import type { Client } from '../../client/client.ts';
import { assertKnownOptions, hasMethods, type FieldNames } from '../../types/arguments.ts';
import { OptionError } from '../../types/errors.ts';
import { silentLogger, type Logger } from '../../types/logger.ts';
import { show } from '../../types/show.ts';
import { loadSurface } from '../operations/load-surface.ts';
import type { LogSource } from '../operations/log-source.ts';
import type { LocalRuntime } from '../operations/operation.ts';
import type { ToolContext } from './tools.ts';

/** Options of the MCP server. */
export type McpOptions = {
  /** Reads and changes the store. It stays the caller's to close. */
  readonly client: Client;
  /** The store, for its name. @default not told */
  readonly provider?: { readonly name: string };
  /** Runtimes in this process: their figures are of the moment. @default none */
  readonly runtimes?: readonly LocalRuntime[];
  /** Kept log lines, a `LogTail`. @default none: there is no tool for them */
  readonly logs?: LogSource;
  /** Offers tools that change something. @default false */
  readonly allowWrites?: boolean;
  /** Gets what callers of tools are not told. It must not write to the standard output. @default nobody */
  readonly logger?: Logger;
};

/** Options of a server on pipes. */
export type StdioOptions = McpOptions & {
  /** @default the standard input of the process */
  readonly input?: Readable;
  /** @default the standard output of the process */
  readonly output?: Writable;
};

/** A server on pipes. */
export type StdioServer = {
  /** Resolves when the client has gone, or `close` was called. */
  readonly closed: Promise<void>;
  readonly close: () => Promise<void>;
};

const PACKAGES = ['@modelcontextprotocol/sdk', 'zod'];
const OPTIONS: FieldNames<McpOptions> = { client: true, provider: true, runtimes: true, logs: true, allowWrites: true, logger: true };

/**
 * Makes an MCP server.
 *
 * @param options - the client, and whether tools may write
 * @returns a server of the SDK: connect it to a transport
 * @throws {OptionError} for an option outside its range
 * @throws {DurableError} `SURFACE_DEPENDENCY_MISSING` when an optional package is not installed
 */
export async function createMcpServer(options: McpOptions): Promise<Server> {
  const context = toContext(options);
  const { makeServer } = await loadSurface('The MCP server', PACKAGES, () => import('./server.ts'));
  return makeServer(context);
}

/**
 * Serves MCP on pipes: a client has started this process and talks to it. Nothing else may write to the output.
 *
 * @param options - the client, whether tools may write, the pipes
 * @returns the server
 * @throws {OptionError} for an option outside its range
 * @throws {DurableError} `SURFACE_DEPENDENCY_MISSING` when an optional package is not installed
 */
export async function serveStdio(options: StdioOptions): Promise<StdioServer> {
  const { input = process.stdin, output = process.stdout, ...rest } = options;
  const server = await createMcpServer(rest);
  const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js');
  const closed = new Promise<void>((resolve) => {
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK has no other way
    server.onclose = resolve;
  });
  const close = async (): Promise<void> => {
    input.off('end', onEnd);
    output.off('error', onEnd);
    await server.close();
    await closed;
  };
  const onEnd = (): void => void close();
  // The transport does not tell that its client has gone.
  input.once('end', onEnd);
  output.once('error', onEnd);
  await server.connect(new StdioServerTransport(input, output));
  return { closed, close };
}

function toContext(options: McpOptions): ToolContext {
  if (typeof options !== 'object' || options === null)
    throw new OptionError(`Expected the options of the MCP server, got ${show(options)}`);
  assertKnownOptions(options, OPTIONS, ' of the MCP server');
  const { client, provider, runtimes = [], logs = null, allowWrites = false, logger = silentLogger } = options;
  if (!hasMethods(client, ['listInstances', 'getState'])) throw new OptionError('Expected `client` to be a Client');
  if (logs !== null && !hasMethods(logs, ['read', 'subscribe'])) throw new OptionError('Expected `logs` to be a LogTail');
  if (typeof allowWrites !== 'boolean') throw new OptionError(`Expected \`allowWrites\` to be true or false, got ${show(allowWrites)}`);
  return {
    surface: { client, storeName: provider?.name ?? null, runtimes, logs, isReadOnly: !allowWrites, hasMetrics: false, hasMcp: true },
    allowWrites,
    logger,
  };
}
