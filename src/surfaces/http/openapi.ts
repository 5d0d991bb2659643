// The OpenAPI 3.1 document, made of the table of operations and their schemas. Neighbours: app.ts serves it, ../operations/operations.ts.
import * as z from 'zod';
import type { Operation, SurfaceContext } from '../operations/operation.ts';
import { operations } from '../operations/operations.ts';
import { PACKAGE_VERSION } from '../operations/package-version.ts';
import { components } from '../operations/schemas.ts';

type Json = Readonly<Record<string, unknown>>;

/** Where routes begin. */
export const API_PREFIX = '/api/v1';

const PROBLEM: Json = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail', 'requestId'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'Stable; see docs/errors.md and docs/http-api.md' },
    detail: { type: 'string', description: 'What is wrong and what to do' },
    requestId: { type: 'string' },
    issues: {
      type: 'array',
      items: { type: 'object', required: ['path', 'message'], properties: { path: { type: 'string' }, message: { type: 'string' } } },
    },
  },
};

const IDEMPOTENCY_KEY: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'A request that is sent again with its key gets the answer of the first time',
  schema: { type: 'string', maxLength: 255 },
};

const REQUEST_ID: Json = { description: 'The log of the server knows the request by it', schema: { type: 'string' } };

const FAILURE: Json = {
  description: 'A problem',
  headers: {
    'X-Request-Id': REQUEST_ID,
    'Retry-After': { description: 'Seconds until it is worth another try', schema: { type: 'integer' } },
  },
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const PROGRESS = 'Events `progress`, then `result` with what the JSON answer is, or `error` with a Problem. It ends with its reader';

/** Of everything that is no success: which codes there are depends on the store. */
const failure: Json = { $ref: '#/components/responses/Problem' };

/**
 * Makes the document.
 *
 * @param context - what this server has
 * @param hasToken - requests need a token
 * @returns the document, without the place of the server
 */
export function openApiDocument(context: SurfaceContext, hasToken: boolean): Json {
  for (const { input, name, http } of operations) {
    if (http.method === 'POST' && !components.has(input.body)) components.add(input.body, { id: requestId(name) });
  }
  const { schemas } = z.toJSONSchema(components, { uri: (id) => `#/components/schemas/${id}`, io: 'input' });
  const clean = Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, without(schema, '$schema', '$id')]));
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations.filter((offered) => offered.isOffered(context))) {
    const path = `${API_PREFIX}${operation.http.path}`;
    (paths[path] ??= {})[operation.http.method.toLowerCase()] = describe(operation);
  }
  for (const [path, item] of Object.entries(streamPaths(context))) paths[`${API_PREFIX}${path}`] = item;
  for (const [path, item] of Object.entries(plainPaths(context))) paths[path] = item;
  return {
    openapi: '3.1.0',
    info: { title: 'duraloom', version: PACKAGE_VERSION, description: 'Management API of a duraloom store. See docs/http-api.md.' },
    tags: ['system', 'instances', 'control', 'queues', 'streams'].map((name) => ({ name })),
    paths,
    components: {
      schemas: { ...clean, Problem: PROBLEM },
      responses: { Problem: FAILURE },
      ...(hasToken && { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }),
    },
    ...(hasToken && { security: [{ token: [] }] }),
  };
}

function without(object: Json, ...names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** Name of the component that describes the body of an operation. */
function requestId(name: string): string {
  return `${name[0]?.toUpperCase() ?? ''}${name.slice(1)}Request`;
}

function describe(operation: Operation): Json {
  const { name, group, summary, description, http, input, output, isWrite, hasProgress } = operation;
  const id = components.get(output)?.id ?? '';
  return {
    operationId: name,
    tags: [group],
    summary,
    description,
    parameters: [...parameters('path', input.path), ...parameters('query', input.query), ...(isWrite ? [IDEMPOTENCY_KEY] : [])],
    ...(http.method === 'POST' && {
      requestBody: {
        required: !input.body.safeParse({}).success,
        content: { 'application/json': { schema: { $ref: `#/components/schemas/${requestId(name)}` } } },
      },
    }),
    responses: {
      [String(http.status ?? 200)]: {
        description: summary,
        headers: {
          'X-Request-Id': REQUEST_ID,
          ...(isWrite && { 'Idempotency-Replayed': { description: 'It is the answer of the first time', schema: { const: 'true' } } }),
        },
        content: {
          'application/json': { schema: { $ref: `#/components/schemas/${id}` } },
          ...(hasProgress && { 'text/event-stream': { schema: { type: 'string', description: PROGRESS } } }),
        },
      },
      default: failure,
    },
  };
}

function parameters(place: 'path' | 'query', schema: z.ZodObject): readonly Json[] {
  const json = z.toJSONSchema(schema, { io: 'input' }) as {
    readonly properties?: Readonly<Record<string, Json>>;
    readonly required?: readonly string[];
  };
  return Object.entries(json.properties ?? {}).map(([name, property]) => {
    const { description } = property;
    const rest = without(property, 'description');
    const base = { name, in: place, required: json.required?.includes(name) ?? false, ...(description !== undefined && { description }) };
    // Attributes are of several types, which only JSON tells apart.
    return rest['type'] === 'object' ? { ...base, content: { 'application/json': { schema: rest } } } : { ...base, schema: rest };
  });
}

/** What probes and scrapers ask for. */
function plainPaths({ hasMetrics }: SurfaceContext): Readonly<Record<string, Readonly<Record<string, Json>>>> {
  const state = { enum: ['ok', 'unavailable'] };
  const health = { type: 'object', required: ['status', 'store'], properties: { status: state, store: state } };
  const answer = (description: string): Json => ({ description, content: { 'application/json': { schema: health } } });
  const probe = {
    operationId: 'getHealth',
    tags: ['system'],
    summary: 'Say whether the store answers',
    parameters: [],
    security: [],
    responses: { 200: answer('It does'), 503: answer('It does not'), default: failure },
  };
  const metrics = {
    operationId: 'getMetrics',
    tags: ['system'],
    summary: 'Read metrics',
    parameters: [],
    responses: { 200: { description: 'Metrics', content: { 'text/plain': { schema: { type: 'string' } } } }, default: failure },
  };
  return { '/health': { get: probe }, ...(hasMetrics && { '/metrics': { get: metrics } }) };
}

/** What is no call with a JSON answer: streams and files of lines. */
function streamPaths(context: SurfaceContext): Readonly<Record<string, Readonly<Record<string, Json>>>> {
  const queryWithout = (name: string, ...left: readonly string[]): readonly Json[] => {
    const schema = operations.find((operation) => operation.name === name)?.input.query;
    return schema === undefined ? [] : parameters('query', schema).filter((parameter) => !left.includes(String(parameter['name'])));
  };
  const id = { name: 'id', in: 'path', required: true, schema: { type: 'string' } };
  const last = {
    name: 'lastEventId',
    in: 'query',
    required: false,
    schema: { type: 'string' },
    description: 'As the header Last-Event-ID',
  };
  const text = (type: string, description: string): Json => ({
    200: { description, content: { [type]: { schema: { type: 'string' } } } },
    default: failure,
  });
  const stream = (operationId: string, summary: string, list: readonly Json[]): Readonly<Record<string, Json>> => ({
    get: { operationId, tags: ['streams'], summary, parameters: list, responses: text('text/event-stream', summary) },
  });
  const imported = { description: 'Imported', content: { 'application/json': { schema: { $ref: '#/components/schemas/Imported' } } } };
  return {
    '/instances/{id}/events': stream('followInstance', 'Follow history and state of an instance', [id, last]),
    '/streams/instances': stream('followInstances', 'Follow a list of instances', [...queryWithout('listInstances', 'cursor'), last]),
    '/streams/stats': stream('followStats', 'Follow figures', [last]),
    ...(context.logs !== null && {
      '/streams/logs': stream('followLogs', 'Follow log lines', [...queryWithout('readLogs', 'limit'), last]),
    }),
    '/export': {
      get: {
        operationId: 'exportInstances',
        tags: ['streams'],
        summary: 'Export instances, one a line',
        parameters: queryWithout('listInstances', 'cursor', 'limit', 'orderBy', 'direction'),
        responses: text('application/x-ndjson', 'One instance a line'),
      },
    },
    '/import': {
      post: {
        operationId: 'importInstances',
        tags: ['streams'],
        summary: 'Import instances, one a line',
        parameters: [],
        requestBody: { required: true, content: { 'application/x-ndjson': { schema: { type: 'string' } } } },
        responses: { 200: imported, default: failure },
      },
    },
  };
}
