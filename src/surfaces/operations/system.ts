// Operations about what runs: the answering process, runtimes, their figures, log lines. Neighbour: operations.ts has the table.
import * as z from 'zod';
import { assert } from '../../types/errors.ts';
import { instanceIdSchema } from './filters.ts';
import { defineOperation, type Operation, type SurfaceContext } from './operation.ts';
import { PACKAGE_VERSION } from './package-version.ts';
import { logsSchema, metaSchema, runtimesSchema, surfaceStatsSchema } from './schemas.ts';

const getMeta: Operation = defineOperation({
  name: 'getMeta',
  group: 'system',
  summary: 'Say what answers',
  description: 'Tells the version, the kind of store and what is switched on.',
  http: { method: 'GET', path: '/meta' },
  output: metaSchema,
  run: ({ storeName, isReadOnly, logs, hasMetrics, hasMcp, runtimes }) =>
    Promise.resolve({
      name: 'duraloom',
      version: PACKAGE_VERSION,
      apiVersion: 1,
      store: storeName,
      isReadOnly,
      has: { logs: logs !== null, metrics: hasMetrics, stats: runtimes.length > 0, mcp: hasMcp },
      serverTime: new Date(),
    }),
});

const listRuntimes: Operation = defineOperation({
  name: 'listRuntimes',
  group: 'system',
  summary: 'List runtimes',
  description: 'Lists the living runtimes on this store with the orchestrations, activities and tags that each has.',
  http: { method: 'GET', path: '/runtimes' },
  output: runtimesSchema,
  run: async ({ client }) => ({ runtimes: await client.listRuntimes() }),
});

/**
 * Reads figures: of runtimes in this process those of the moment, of others what they reported last.
 *
 * @param context - where to look
 * @returns figures of runtimes and queues
 */
export async function readStats({ client, runtimes }: SurfaceContext): Promise<object> {
  const [queues, reported] = await Promise.all([client.getQueueDepths(), client.listRuntimes()]);
  const here = new Map(runtimes.map((runtime) => [runtime.runtimeId, runtime]));
  return {
    at: new Date(),
    queues,
    runtimes: reported.map(({ runtimeId, nodeId, seenAt, stats }) => {
      const local = here.get(runtimeId);
      return { runtimeId, nodeId, seenAt, isHere: local !== undefined, stats: local?.stats() ?? stats };
    }),
  };
}

const getStats: Operation = defineOperation({
  name: 'getStats',
  group: 'system',
  summary: 'Read figures',
  description: 'Reads throughput, utilisation, cache hits and limits of the runtimes, and the depths of the queues.',
  http: { method: 'GET', path: '/stats' },
  output: surfaceStatsSchema,
  run: async (context) => await readStats(context),
});

const readLogs: Operation = defineOperation({
  name: 'readLogs',
  group: 'system',
  summary: 'Read log lines',
  description: 'Reads the last log lines that the answering process has kept, of all instances or of one.',
  http: { method: 'GET', path: '/logs' },
  query: {
    instanceId: instanceIdSchema.optional(),
    level: z.enum(['debug', 'info', 'warn', 'error']).optional().describe('This level and worse'),
    afterSeq: z.int().min(0).optional().describe('`lastSeq` of the page before'),
    limit: z.int().min(1).max(1_000).default(100),
  },
  output: logsSchema,
  isOffered: ({ logs }) => logs !== null,
  run: ({ logs }, { instanceId, level, afterSeq, limit }) => {
    assert(logs !== null, 'an operation that is not offered was run');
    const page = logs.read({
      ...(instanceId !== undefined && { instanceId }),
      ...(level !== undefined && { level }),
      ...(afterSeq !== undefined && { afterSeq }),
      limit,
    });
    return Promise.resolve(page);
  },
});

/** The operations of this file. */
export const systemOperations: readonly Operation[] = [getMeta, listRuntimes, getStats, readLogs];
