// `duraloom metrics`: the figures of a serving host, or what the store itself knows. Neighbours: queues.ts, ../filters.ts.
import { toFailure } from '../../../types/failure.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import { STATUS_NAMES } from '../filters.ts';
import { option, readTextFile, usage } from '../parameters.ts';
import { printFields, printTable } from '../table.ts';
import { cleanLines, moment } from '../text.ts';
import { TOKEN_VARIABLE } from './serve.ts';
import { statusCell } from './instances.ts';

/** How long a host may take to answer. */
const SCRAPE_TIMEOUT_MS = 10_000;
/** Beyond it instances are not counted one by one. */
const COUNT_LIMIT = 100_000;

/** The command. */
export const metrics: Command = defineCommand({
  name: 'metrics',
  group: 'Look',
  summary: 'Print figures: of a serving host, or of the store',
  details: 'With --url the Prometheus text of a host, as it is. Without: instances by status, queue depths and living hosts.',
  parameters: {
    url: option('--url <url>', 'Address of the metrics of a host, such as http://127.0.0.1:8090/metrics'),
    tokenFile: option('--token-file <file>', 'File with the bearer token of the host; else DURALOOM_TOKEN'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom metrics', what: 'of the store' },
    { line: 'duraloom metrics --url http://127.0.0.1:8090/metrics', what: 'of a host' },
  ],
  run: async (context, { url, tokenFile, store, json }) => {
    const { io } = context;
    if (url !== undefined) {
      if (json) throw usage('--json is about the figures of the store; a host prints Prometheus text');
      io.print(cleanLines((await scrape(url, tokenFile, context.signal)).trimEnd()));
      return EXIT.ok;
    }
    if (tokenFile !== undefined) throw usage('--token-file goes with --url');
    const { client } = await context.openStore(store);
    const [queues, runtimes, ...counts] = await Promise.all([
      client.getQueueDepths(),
      client.listRuntimes(),
      ...STATUS_NAMES.map(async (status) => ({ status, ...(await client.countInstances({ status }, { limit: COUNT_LIMIT })) })),
    ]);
    const hosts = runtimes.map(({ orchestrations: _code, activities: _work, ...host }) => host);
    await printResult(context, json, { instances: counts, queues, hosts }, async () => {
      printTable(
        io,
        ['STATUS', 'INSTANCES'],
        counts.map(({ status, count, isExact }) => [statusCell(status), `${count}${isExact ? '' : '+'}`]),
      );
      io.print();
      printFields(io, [
        ['orchestrator messages', queues.orchestratorMessages],
        ['work items', queues.workItems],
        ['hosts', hosts.length],
      ]);
      if (hosts.length === 0) return;
      io.print();
      printTable(
        io,
        ['HOST', 'NODE', 'SEEN'],
        hosts.map(({ runtimeId, nodeId, seenAt }) => [runtimeId, nodeId, moment(seenAt)]),
      );
    });
    return EXIT.ok;
  },
});

async function scrape(url: string, tokenFile: string | undefined, signal: AbortSignal): Promise<string> {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw usage(`Expected --url to begin with http:// or https://, got '${url}'`);
  const token = tokenFile === undefined ? process.env[TOKEN_VARIABLE] : (await readTextFile(tokenFile)).trim();
  const headers = token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` };
  let response: Response;
  try {
    response = await fetch(url, { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(SCRAPE_TIMEOUT_MS)]) });
  } catch (cause) {
    const reason = toFailure(cause);
    throw new CliError('SERVER_FAILED', `${url} does not answer: ${reason.cause?.message ?? reason.message}. Is the host running?`, {
      cause,
    });
  }
  const text = await response.text();
  if (response.ok) return text;
  const hint = response.status === 401 || response.status === 403 ? 'Give its token with --token-file' : 'Check the address';
  throw new CliError('SERVER_FAILED', `${url} answers ${response.status}. ${hint}`);
}
