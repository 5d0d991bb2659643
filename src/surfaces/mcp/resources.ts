// The resources of the MCP server: recent instances and their histories. Neighbours: server.ts offers them, bounded.ts keeps them small.
import type { ListResourcesResult, ReadResourceResult, ResourceTemplate } from '@modelcontextprotocol/sdk/types.js';
import type { SurfaceContext } from '../operations/operation.ts';
import { operations } from '../operations/operations.ts';
import { runBounded } from './bounded.ts';

const SCHEME = 'duraloom://';
const MIME = 'application/json';
/** Instances of one page. */
const PAGE = 50;

/** Resources that are made of an id. */
export const resourceTemplates: readonly ResourceTemplate[] = [
  {
    name: 'history',
    uriTemplate: `${SCHEME}instances/{id}/history{?executionId,afterEventId}`,
    title: 'History of an instance',
    description: 'Events of an execution in order; the current one by default. The id is percent-encoded.',
    mimeType: MIME,
  },
  {
    name: 'instance',
    uriTemplate: `${SCHEME}instances/{id}`,
    title: 'An instance',
    description: 'Status, result or error, custom status, attributes, times.',
    mimeType: MIME,
  },
];

/**
 * Lists recent instances as resources.
 *
 * @param context - where to look
 * @param cursor - of the page before; undefined: the first page
 * @returns a page
 */
export async function listResources({ client }: SurfaceContext, cursor: string | undefined): Promise<ListResourcesResult> {
  const page = await client.listInstances({ limit: PAGE, ...(cursor !== undefined && { cursor }) });
  const recent = { uri: `${SCHEME}instances`, name: 'instances', title: 'Recent instances', mimeType: MIME };
  const histories = page.instances.map(({ instanceId, name, status }) => ({
    uri: `${SCHEME}instances/${encodeURIComponent(instanceId)}/history`,
    name: instanceId,
    title: `History of ${instanceId}`,
    description: `${name}, ${status}`,
    mimeType: MIME,
  }));
  return { resources: [...(cursor === undefined ? [recent] : []), ...histories], ...(page.cursor !== null && { nextCursor: page.cursor }) };
}

/**
 * Reads a resource.
 *
 * @param context - where to look
 * @param uri - of the resource
 * @param signal - gives up
 * @returns its text; null: there is no such resource
 */
export async function readResource(context: SurfaceContext, uri: string, signal: AbortSignal): Promise<ReadResourceResult | null> {
  const target = parse(uri);
  const operation = operations.find(({ name }) => name === target?.operation);
  if (target === null || operation === undefined) return null;
  const { path, query } = operation.input;
  const input = path.extend(query.shape).safeParse(target.input);
  if (!input.success) return null;
  const { text, note } = await runBounded(operation, { context, input: input.data, signal });
  return { contents: [{ uri, mimeType: MIME, text, ...(note !== null && { _meta: { note } }) }] };
}

type Target = { readonly operation: string; readonly input: Readonly<Record<string, unknown>> };

function parse(uri: string): Target | null {
  const [, instance, isHistory, query = ''] = /^duraloom:\/\/instances(?:\/([^/?#]+)(\/history)?)?(?:\?([^#]*))?$/.exec(uri) ?? [];
  if (uri === `${SCHEME}instances`) return { operation: 'listInstances', input: { limit: PAGE } };
  const id = instance === undefined ? null : decode(instance);
  if (id === null) return null;
  if (isHistory === undefined) return { operation: 'getInstance', input: { id } };
  const numbers = [...new URLSearchParams(query)].map(([key, value]) => [key, Number(value)] as const);
  return { operation: 'readHistory', input: { id, ...Object.fromEntries(numbers) } };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // Broken escapes name nothing.
    return null;
  }
}
