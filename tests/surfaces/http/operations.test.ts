// Every operation over a real connection, by the OpenAPI document that the server gives, and every answer held to its schema.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operations } from '../../../src/surfaces/operations/operations.ts';
import { ask, openSurface, type Answer, type Surface } from '../surface-stage.ts';

type Json = Readonly<Record<string, unknown>>;
type Call = { readonly path: Json; readonly query: string; readonly body: Json | undefined; readonly status?: number };

let surface: Surface;
const called = new Set<string>();

beforeAll(async () => {
  surface = await openSurface();
});
afterAll(() => surface[Symbol.asyncDispose]());

/** Calls an operation by its name; its answer has the shape that it promises, no more and no less. */
async function call(name: string, given: Partial<Call> = {}): Promise<Json> {
  const operation = operations.find((candidate) => candidate.name === name);
  if (operation === undefined) throw new TypeError(`there is no operation ${name}`);
  called.add(name);
  const path = operation.http.path.replaceAll(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(String(given.path?.[key])));
  const body = operation.http.method === 'POST' ? { body: given.body ?? {} } : {};
  const answer = await ask(surface.server, operation.http.method, `/api/v1${path}${given.query ?? ''}`, body);
  if (given.status !== undefined) {
    expect(answer).toMatchObject({ status: given.status, body: { status: given.status, code: expect.any(String) as string } });
    return answer.body;
  }
  expect(answer.text).not.toMatch(/"stack"/);
  expect({ name, status: answer.status, body: answer.body }).toMatchObject({ name, status: operation.http.status ?? 200 });
  const parsed = operation.output.safeParse(answer.body);
  expect({ name, error: parsed.error, value: parsed.data }).toEqual({ name, error: undefined, value: answer.body });
  return answer.body;
}

const start = (instanceId: string, name: string, input?: unknown): Promise<Json> =>
  call('startInstance', { body: { instanceId, name, input } });
const waitForStatus = (instanceId: string): Promise<unknown> =>
  surface.client.waitForCustomStatus(instanceId, { afterVersion: 0, timeout: '20s' });

describe('instances', () => {
  test('are started, looked at, raised an event and waited for, also with an id that needs encoding', async () => {
    const id = 'orders/100% #1 ü 漢?&=+';
    expect(await call('startInstance', { body: { instanceId: id, name: 'approval', input: { amount: 5 }, priority: 3 } })).toEqual({
      instanceId: id,
    });
    await waitForStatus(id);
    expect(await call('getInstance', { path: { id } })).toMatchObject({
      instanceId: id,
      status: 'Running',
      customStatus: { asks: 'decision' },
      priority: 3,
    });
    expect(await call('getValues', { path: { id } })).toEqual({ values: [{ key: 'input', value: { amount: 5 } }] });
    expect(await call('getValue', { path: { id, key: 'input' } })).toEqual({ key: 'input', isSet: true, value: { amount: 5 } });
    expect(await call('getValue', { path: { id, key: 'none/of it' } })).toEqual({ key: 'none/of it', isSet: false });
    expect(await call('waitForCustomStatus', { path: { id }, query: '?afterVersion=0&waitMs=5000' })).toMatchObject({
      customStatusVersion: 1,
    });
    expect(await call('waitForResult', { path: { id }, query: '?waitMs=1', status: 504 })).toMatchObject({ code: 'WAIT_TIMEOUT' });
    expect(await call('explainWaiting', { path: { id } })).toMatchObject({ instanceId: id, status: 'Running' });
    expect(await call('raiseEvent', { path: { id }, body: { name: 'decision', data: 'yes', key: 'k 1' } })).toEqual({ delivered: true });
    expect(await call('waitForReceipt', { path: { id, key: 'k 1' } })).toEqual({ receipt: 'received' });
    expect(await call('waitForResult', { path: { id } })).toEqual({ instanceId: id, status: 'Completed', result: { recorded: 'yes' } });
    const history = await call('readHistory', { path: { id }, query: '?limit=3' });
    expect(history).toMatchObject({
      instanceId: id,
      executionId: 1,
      nextAfterEventId: 3,
      events: [{ kind: 'OrchestrationStarted' }, {}, {}],
    });
    const rest = await call('readHistory', { path: { id }, query: '?executionId=1&afterEventId=3' });
    expect((rest['events'] as Json[]).at(-1)).toMatchObject({ kind: 'OrchestrationCompleted' });
    expect(rest['nextAfterEventId']).toBeNull();
    expect(await call('listExecutions', { path: { id } })).toMatchObject({ executions: [{ executionId: 1, status: 'Completed' }] });
    expect(await call('deleteInstance', { path: { id } })).toEqual({ instances: 1 });
    expect(await call('getInstance', { path: { id }, status: 404 })).toMatchObject({ code: 'INSTANCE_NOT_FOUND' });
  });

  test('that fail say how, without a stack', async () => {
    await start('fails', 'failing');
    expect(await call('waitForResult', { path: { id: 'fails' } })).toEqual({
      instanceId: 'fails',
      status: 'Failed',
      error: { name: 'Error', message: 'the card was declined', code: 'CARD_DECLINED', nonRetryable: false },
    });
    expect(await call('retryInstance', { path: { id: 'fails' } })).toEqual({ how: 'restarted' });
  });

  test('are listed by filter, in pages, and counted', async () => {
    const ids = Array.from({ length: 5 }, (_, index) => `list/${index}`);
    const results = await call('startInstances', { body: { requests: ids.map((instanceId) => ({ instanceId, name: 'approval' })) } });
    expect(results).toEqual({ results: ids.map((instanceId) => ({ instanceId, outcome: 'started' })) });
    await Promise.all(ids.map((id) => waitForStatus(id)));
    const first = await call('listInstances', { query: '?search=list/&orderBy=id&limit=3' });
    expect((first['instances'] as Json[]).map(({ instanceId }) => instanceId)).toEqual(ids.slice(0, 3));
    const second = await call('listInstances', {
      query: `?search=list/&orderBy=id&limit=3&cursor=${encodeURIComponent(String(first['cursor']))}`,
    });
    expect((second['instances'] as Json[]).map(({ instanceId }) => instanceId)).toEqual(ids.slice(3));
    const many = '?name=approval&status=Running&status=Pending&createdAfter=2020-01-01T00:00:00Z&search=list/&direction=asc';
    expect((await call('listInstances', { query: many }))['instances']).toHaveLength(5);
    expect(await call('listInstances', { query: `?attributes=${encodeURIComponent('{"vip":true}')}` })).toEqual({
      instances: [],
      cursor: null,
    });
    expect(await call('countInstances', { query: '?search=list/' })).toMatchObject({
      count: 5,
      isExact: true,
      byStatus: { Running: { count: 5 } },
    });
    expect(await call('countInstances', { query: '?search=list/&status=Failed' })).toMatchObject({ count: 0 });
  });

  test('have children in a tree', async () => {
    await start('mother', 'parent');
    await expect.poll(async () => (await surface.client.getState('mother::1.2'))?.customStatusVersion).toBe(1);
    expect(await call('getTree', { path: { id: 'mother' } })).toMatchObject({
      instance: { instanceId: 'mother' },
      children: [{ instance: { instanceId: 'mother::1.2', parentInstanceId: 'mother' }, children: [] }],
      isTruncated: false,
    });
    expect(await call('deleteInstance', { path: { id: 'mother' }, status: 409 })).toMatchObject({ code: 'INSTANCE_ALIVE' });
    expect(await call('deleteInstance', { path: { id: 'mother' }, query: '?force=true' })).toEqual({ instances: 2 });
  });

  test('are suspended, resumed, cancelled, terminated and pruned', async () => {
    await Promise.all(['wish/1', 'wish/2'].map((id) => start(id, 'approval')));
    await waitForStatus('wish/1');
    expect(await call('suspendInstance', { path: { id: 'wish/1' } })).toEqual({ done: true });
    expect(await call('suspendInstance', { path: { id: 'wish/1' } })).toEqual({ done: false });
    expect(await call('resumeInstance', { path: { id: 'wish/1' } })).toEqual({ done: true });
    expect(await call('cancelInstance', { path: { id: 'wish/1' }, body: { reason: 'no need' } })).toEqual({ delivered: true });
    expect(await call('waitForResult', { path: { id: 'wish/1' } })).toMatchObject({ status: 'Cancelled' });
    expect(await call('terminateInstance', { path: { id: 'wish/2' } })).toEqual({ done: true });
    expect(await call('terminateInstance', { path: { id: 'wish/2' }, status: 409 })).toMatchObject({ code: 'INSTANCE_ENDED' });
    await start('gens', 'generations', 0);
    await call('raiseEvents', { body: { requests: [1, 2].map(() => ({ instanceId: 'gens', name: 'next' })) } });
    await call('raiseEvent', { path: { id: 'gens' }, body: { name: 'next', data: 'stop' } });
    expect(await call('waitForResult', { path: { id: 'gens' } })).toMatchObject({ result: 2 });
    expect(await call('pruneExecutions', { path: { id: 'gens' }, body: { keepLast: 1 } })).toEqual({ executions: 2 });
  });

  test('are acted on in bulk, after a look', async () => {
    await Promise.all(['bulk/1', 'bulk/2'].map((id) => start(id, 'approval')));
    const body = { action: 'terminate', filter: { search: 'bulk/' }, reason: 'tidy' };
    expect(await call('runBulk', { body: { ...body, dryRun: true } })).toMatchObject({
      matched: 2,
      done: 2,
      dryRun: true,
      sample: ['bulk/1', 'bulk/2'],
    });
    expect(await call('runBulk', { body })).toMatchObject({ matched: 2, done: 2, dryRun: false, failures: [] });
    expect(await call('runBulk', { body })).toMatchObject({ matched: 2, done: 0, skipped: 2 });
    const everything = await call('runBulk', { body: { action: 'delete', filter: {}, force: true }, status: 400 });
    expect(JSON.stringify(everything)).toContain('Name at least one condition');
  });

  test('hear what is published', async () => {
    await start('listener', 'listening');
    await expect.poll(async () => (await call('publish', { body: { topic: 'orders/created', data: 7 } }))['subscribers']).toBe(1);
    expect(await call('waitForResult', { path: { id: 'listener' } })).toMatchObject({ result: 7 });
  });
});

describe('queues', () => {
  test('are counted, looked into and changed', async () => {
    await start('tagged', 'tagged');
    await expect.poll(async () => (await call('listActivities', { path: { id: 'tagged' } }))['activities']).toHaveLength(1);
    expect(await call('getQueueDepths')).toMatchObject({ workItems: 1 });
    const { items } = (await call('peekQueue', { path: { queue: 'worker' }, query: '?instanceId=tagged' })) as {
      readonly items: readonly Json[];
    };
    expect(items).toMatchObject([{ kind: 'workItem', name: 'record', input: 'x', routing: { tag: 'gpu' } }]);
    await call('peekQueue', { path: { queue: 'orchestrator' }, query: '?limit=1' });
    const item = { kind: 'workItem', instanceId: 'tagged', executionId: 1, eventId: 2 };
    expect(await call('editQueue', { body: { action: 'moveBack', item } })).toEqual({ done: true });
    expect(await call('editQueue', { body: { action: 'drop', item } })).toEqual({ done: true });
    expect(await call('editQueue', { body: { action: 'drop', item } })).toEqual({ done: false });
    expect(await call('waitForResult', { path: { id: 'tagged' } })).toMatchObject({ status: 'Failed' });
  });
});

describe('the system', () => {
  test('tells of itself, runtimes, figures and log lines', async () => {
    expect(await call('getMeta')).toMatchObject({
      name: 'duraloom',
      store: 'sqlite',
      isReadOnly: false,
      has: { logs: true, metrics: false, stats: true },
    });
    expect(await call('listRuntimes')).toMatchObject({ runtimes: [{ runtimeId: surface.runtime.runtimeId }] });
    expect(await call('getStats')).toMatchObject({ runtimes: [{ isHere: true, stats: { state: 'running' } }] });
    await start('talks', 'approval', 'logged');
    await waitForStatus('talks');
    await expect.poll(async () => (await call('readLogs', { query: '?instanceId=talks&level=info' }))['entries']).toHaveLength(1);
    const { lastSeq } = await call('readLogs', { query: '?afterSeq=0&limit=1' });
    expect(lastSeq).toBe(1);
    expect((await ask(surface.server, 'GET', '/health')).body).toEqual({ status: 'ok', store: 'ok' });
    expect((await ask(surface.server, 'GET', '/metrics')).body).toMatchObject({ code: 'NOT_OFFERED' });
  });

  test('takes instances along, line by line', async () => {
    await start('travels', 'approval', 'along');
    await waitForStatus('travels');
    const { text, headers } = await ask(surface.server, 'GET', '/api/v1/export?search=travels');
    expect(headers.get('content-type')).toBe('application/x-ndjson');
    expect(JSON.parse(text)).toMatchObject({ format: 'duraloom-instance', version: 1 });
    const send = (body: string): Promise<Answer> =>
      ask(surface.server, 'POST', '/api/v1/import', { body, headers: { 'content-type': 'application/x-ndjson' } });
    expect((await send(text)).body).toEqual({ imported: 0, existing: 1 });
    await call('deleteInstance', { path: { id: 'travels' }, query: '?force=true' });
    expect((await send(`\n${text}\n\n`)).body).toEqual({ imported: 1, existing: 0 });
    expect(await send(`${text}{"half":`)).toMatchObject({
      status: 400,
      body: { code: 'ARGUMENT_INVALID', detail: expect.stringContaining('Line 2') as string },
    });
    await call('raiseEvent', { path: { id: 'travels' }, body: { name: 'decision', data: 'there' } });
    expect(await call('waitForResult', { path: { id: 'travels' } })).toMatchObject({ result: { recorded: 'there' } });
  });
});

describe('the OpenAPI document', () => {
  test('has every operation, and every operation was called by these tests', async () => {
    const { body } = await ask(surface.server, 'GET', '/api/v1/openapi.json');
    expect(body['openapi']).toBe('3.1.0');
    const ids = Object.values(body['paths'] as Record<string, Record<string, Json>>).flatMap((item) =>
      Object.values(item).map(({ operationId }) => String(operationId)),
    );
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(expect.arrayContaining(operations.map(({ name }) => name)));
    expect([...called].toSorted()).toEqual(operations.map(({ name }) => name).toSorted());
  });

  test('is sound: references lead somewhere, paths name their parameters, all bodies and answers have schemas', async () => {
    const { body } = await ask(surface.server, 'GET', '/openapi.json');
    const { schemas } = body['components'] as { readonly schemas: Json };
    const references = JSON.stringify(body).match(/"\$ref":"[^"]+"/g) ?? [];
    expect(references.length).toBeGreaterThan(50);
    const broken = references
      .map((text) => text.slice(8, -1).replace('#/components/schemas/', ''))
      .filter((name) => name !== '#/components/responses/Problem' && !Object.hasOwn(schemas, name));
    expect(broken).toEqual([]);
    expect(JSON.stringify(schemas)).not.toMatch(/"\$(?:id|schema|defs)"/);
    for (const [path, item] of Object.entries(body['paths'] as Record<string, Record<string, Json>>)) {
      for (const [method, operation] of Object.entries(item)) {
        const parameters = operation['parameters'] as readonly Json[];
        const named = parameters.filter((parameter) => parameter['in'] === 'path').map(({ name }) => name);
        expect({ path, named }).toEqual({ path, named: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name) });
        expect(parameters.every((parameter) => 'schema' in parameter || 'content' in parameter)).toBe(true);
        expect({ path, method, hasBody: 'requestBody' in operation }).toEqual({ path, method, hasBody: method === 'post' });
        const { default: failure, ...responses } = operation['responses'] as Readonly<
          Record<string, { readonly content: Record<string, { readonly schema: Json }> }>
        >;
        expect(failure).toEqual({ $ref: '#/components/responses/Problem' });
        for (const { content } of Object.values(responses)) expect(Object.values(content)[0]?.schema).toBeDefined();
        const statuses = operation['operationId'] === 'getHealth' ? ['200', '503'] : [expect.stringMatching(/^20[01]$/)];
        expect(Object.keys(responses)).toEqual(statuses);
      }
    }
  });
});
