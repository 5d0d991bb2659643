// `duraloom serve` and `duraloom mcp`: the HTTP API with the dashboard, and the MCP server on pipes. Neighbours: ../../http, ../../mcp.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dashboardFolder } from '../../dashboard/assets.ts';
import type { ServeOptions, HttpServer, serve as serveHttp } from '../../../http.ts';
import { toFailure } from '../../../types/failure.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { flag, integer, option, readTextFile, repeated, usage } from '../parameters.ts';
import { describeStore } from '../store.ts';
import { clean } from '../text.ts';

/** Environment variable with the token of `serve`, and of hosts that `metrics` asks. */
export const TOKEN_VARIABLE = 'DURALOOM_TOKEN';

/** The server. */
export const serve: Command = defineCommand({
  name: 'serve',
  group: 'Serve',
  summary: 'Serve the HTTP API and the dashboard',
  details: `Runs until Ctrl-C. On loopback unless --host says otherwise; beyond it a token is required. A token on the command line can be read by other
users of the machine: prefer --token-file or DURALOOM_TOKEN.`,
  parameters: {
    host: option('--host <address>', 'Address to listen on; default 127.0.0.1'),
    port: option('--port <number>', 'Port to listen on; default 8090, 0: any free one', integer(0, 65_535)),
    token: option('--token <token>', 'Bearer token that requests must carry; else DURALOOM_TOKEN'),
    tokenFile: option('--token-file <file>', 'File with the token'),
    allowHost: repeated('--allow-host <name>', 'Name by which the server may be called; may be given several times'),
    allowOrigin: repeated('--allow-origin <origin>', 'Other site whose pages may call; may be given several times'),
    readOnly: flag('--read-only', 'Refuse all that changes something'),
    mcp: flag('--mcp', 'Offer the MCP server at /mcp, too'),
    open: flag('--open', 'Open the dashboard in the browser'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom serve --open', what: 'the dashboard of the store of this folder' },
    {
      line: 'duraloom serve --host 0.0.0.0 --token-file token.txt --allow-host ops.example.com --read-only',
      what: 'for others, to look only',
    },
  ],
  run: async (context, values) => {
    const { io, signal } = context;
    const { host, port, readOnly } = values;
    const token = await readToken(values);
    const { client, provider, location } = await context.openStore(values.store);
    const hasDashboard = dashboardFolder() !== null;
    const { serve: listen } = await import('../../../http.ts');
    const server = await listening(listen, {
      client,
      provider,
      readOnly,
      dashboard: hasDashboard,
      mcp: values.mcp,
      allowedHosts: values.allowHost,
      allowedOrigins: values.allowOrigin,
      ...(host !== undefined && { host }),
      ...(port !== undefined && { port }),
      ...(token !== undefined && { token }),
    });
    const { url } = server;
    try {
      await printResult(
        context,
        values.json,
        { url, port: server.port, dashboard: hasDashboard, readOnly, store: describeStore(location) },
        () => {
          io.print(`Serving ${clean(describeStore(location))} at ${url}${readOnly ? ' (read only)' : ''}`);
          if (!hasDashboard) io.note('The dashboard is not built: run npm run build in the clone. The API is there');
        },
      );
      if (values.open && hasDashboard) openBrowser(context, url);
      if (!signal.aborted) await once(signal, 'abort');
    } finally {
      await server.close();
    }
    return EXIT.ok;
  },
});

/** The MCP server. */
export const mcp: Command = defineCommand({
  name: 'mcp',
  group: 'Serve',
  summary: 'Serve MCP on standard input and output, for agents',
  details: 'A client starts it and talks to it. Tools that change something are there only with --allow-writes.',
  parameters: { allowWrites: flag('--allow-writes', 'Offer tools that change something, too'), ...STORE },
  examples: [
    { line: 'duraloom mcp --store /srv/orders/duraloom.db', what: 'to look only' },
    { line: 'duraloom mcp --allow-writes', what: 'and to act' },
  ],
  run: async (context, { allowWrites, store }) => {
    const { client, provider } = await context.openStore(store);
    const { serveStdio } = await import('../../../mcp.ts');
    const server = await serveStdio({ client, provider, allowWrites });
    if (context.signal.aborted) await server.close();
    context.signal.addEventListener('abort', () => void server.close(), { once: true });
    await server.closed;
    return EXIT.ok;
  },
});

/** A port that is taken is no mistake in the command line. */
async function listening(listen: typeof serveHttp, options: ServeOptions): Promise<HttpServer> {
  try {
    return await listen(options);
  } catch (error) {
    const { message, cause } = toFailure(error);
    if (cause?.code?.startsWith('E') !== true) throw error;
    throw new CliError('SERVER_FAILED', message.replace('`port`', '--port'), { cause: error });
  }
}

async function readToken({
  token,
  tokenFile,
}: {
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
}): Promise<string | undefined> {
  if (token !== undefined && tokenFile !== undefined) throw usage('Give --token or --token-file, not both');
  if (tokenFile !== undefined) return (await readTextFile(tokenFile)).trim();
  return token ?? (process.env[TOKEN_VARIABLE] || undefined);
}

/** Whether a browser comes is not this program's: the address is printed. */
function openBrowser({ io }: CommandContext, url: string): void {
  const openers: Readonly<Record<string, readonly [string, ...string[]]>> = {
    darwin: ['open', url],
    win32: ['cmd', '/c', 'start', '', url],
  };
  const [program, ...words] = openers[process.platform] ?? ['xdg-open', url];
  const child = spawn(program, words, { stdio: 'ignore', detached: true });
  child.on('error', () => io.note(`No browser could be opened. Open ${url}`));
  child.unref();
}
