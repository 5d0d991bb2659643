// Records golden histories: runs the orchestrations of this folder on simulated time and exports all instances. Neighbours:
// scripts/record-golden.ts writes them to files, ../golden.test.ts replays them.
//
// G1. Nothing here depends on the machine, on real time or on chance: two recordings are equal byte for byte.
import type { OrchestrationDefinition } from 'duraloom';
import { createTestRuntime, exportHistory, type TestRuntime } from 'duraloom/testing';
import * as activities from './activities.ts';
import * as before from './orchestrations-before.ts';
import * as withAttributes from './orchestrations-attributes.ts';
import * as traces from './orchestrations-traces.ts';
import * as orchestrations from './orchestrations.ts';

type Runtime = TestRuntime<typeof activities>;

/** What is done to the instances, each time in a store of its own. A scenario ends where its histories are to end. */
const SCENARIOS: readonly ((runtime: Runtime) => Promise<unknown>)[] = [
  (runtime) => run(runtime, 'activities', ['Ada', 'Grace']),
  (runtime) => run(runtime, 'retries'),
  (runtime) => run(runtime, 'routes'),
  (runtime) => run(runtime, 'withdrawals'),
  (runtime) => run(runtime, 'scopes'),
  (runtime) => run(runtime, 'chance'),
  (runtime) => run(runtime, 'combinators'),
  (runtime) => run(runtime, 'generator'),
  (runtime) => run(runtime, 'patchedNew'),
  (runtime) => run(runtime, 'patchedLater'),
  (runtime) => run(runtime, 'patchRetired'),
  (runtime) => run(runtime, 'payloads', JSON.parse('{"__proto__":1,"ключ":"😀","big":9007199254740991}')),
  (runtime) => fail(runtime, 'fails'),
  (runtime) => fail(runtime, 'forgets'),
  (runtime) => fail(runtime, 'late'),
  async (runtime) => {
    await run(runtime, 'state');
    await run(runtime, 'reader');
  },
  async (runtime) => {
    const handle = await runtime.start('events', undefined, { instanceId: 'events' });
    await handle.raiseEvent('early', 'bird', { key: 'once' });
    await runtime.advance('1m');
    await handle.raiseEvent('early', 'again', { key: 'once' });
    for (const side of ['left', 'right']) await handle.raiseEvent('pair', side);
    for (const item of [1, 2, null]) await handle.raiseEvent('item', item);
    await handle.result();
  },
  async (runtime) => {
    const handle = await runtime.start('checkedEvents', {}, { instanceId: 'checkedEvents' });
    await handle.raiseEvent('order', { id: 1 });
    await handle.raiseEvent('order', { id: 'good' });
    await handle.result();
  },
  async (runtime) => {
    const handle = await runtime.start('subscriber', undefined, { instanceId: 'subscriber' });
    await runtime.advance(0);
    for (let time = 0; time < 2; time += 1) await runtime.client.publish('orders/created', 'by a client', { key: 'published once' });
    await run(runtime, 'publisher');
    await handle.result();
  },
  async (runtime) => {
    const ended = await runtime.start('child', 'returns', { instanceId: 'ended', version: '1.0.0' });
    await ended.result();
    await runtime.start('child', 'waits', { instanceId: 'taken', version: '1.0.0' });
    const handle = await runtime.start('parent', undefined, { instanceId: 'parent' });
    await runtime.advance('10m');
    await runtime.client.terminate('victim', 'to see what the parent does');
    await handle.result();
    await runtime.advance('2h');
  },
  (runtime) => run(runtime, 'careless'),
  async (runtime) => {
    for (const name of ['cleansUp', 'stubborn']) {
      const handle = await runtime.start(name, undefined, { instanceId: name });
      await runtime.advance('1s');
      await handle.cancel('to see what it does');
      await runtime.advance('1s');
    }
  },
  async (runtime) => {
    await runtime.start('forever', undefined, { instanceId: 'terminated' });
    await runtime.start('forever', undefined, { instanceId: 'running' });
    await runtime.start('events', undefined, { instanceId: 'suspended' });
    await runtime.advance('1s');
    await runtime.client.terminate('terminated');
    await runtime.client.suspend('suspended');
  },
  async (runtime) => {
    const handle = await runtime.start('generations', 1, { instanceId: 'generations' });
    await handle.raiseEvent('unread', 'since the first round', { key: 'unread once' });
    await handle.raiseEvent('go', 'one');
    await handle.waitForValue('round 1');
    await runtime.client.publish('rounds/first', 1);
    for (const name of ['two', 'three']) await handle.raiseEvent('go', name);
    await handle.result();
  },
  async (runtime) => {
    const options = { instanceId: 'attributes', attributes: { vip: false, customer: 'acme' } };
    await (await runtime.start('attributes', 1, options)).result();
  },
  async (runtime) => {
    const trace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'vendor=1' };
    await (await runtime.start('traced', 1, { instanceId: 'traced', ...trace })).result();
  },
];

async function run(runtime: Runtime, name: string, input?: unknown): Promise<void> {
  await (await runtime.start(name, input, { instanceId: name })).result();
}

async function fail(runtime: Runtime, name: string): Promise<void> {
  const outcome = await run(runtime, name).then(
    () => 'completed',
    (error: { readonly code?: string }) => error.code,
  );
  if (outcome !== 'ORCHESTRATION_FAILED') throw new TypeError(`'${name}' was to fail, and has ${outcome}`);
}

/** The code of the time of the recording. */
function recordedCode(): readonly OrchestrationDefinition[] {
  const changed = Object.values(before);
  const current = Object.values({ ...orchestrations, ...withAttributes, ...traces }) as readonly OrchestrationDefinition[];
  return [...changed, ...current.filter(({ name }) => !changed.some((definition) => definition.name === name))];
}

/**
 * Records all golden histories.
 *
 * @returns the text of each file, by name
 */
export async function recordGoldens(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const scenario of SCENARIOS) {
    await using runtime = await createTestRuntime({
      orchestrations: recordedCode(),
      activities,
      mocks: {
        slow: async (ctx) => {
          await ctx.sleep('1h');
          return 'slow';
        },
      },
      tags: { defaultAnd: ['gpu'] },
    });
    await scenario(runtime);
    await runtime.advance(0);
    for (const { instanceId } of (await runtime.client.listInstances()).instances) {
      const file = `${instanceId.replaceAll(/[^\w.-]+/g, '_')}.json`;
      if (files.has(file)) throw new TypeError(`two instances would be written to ${file}`);
      files.set(file, toText(await exportHistory(runtime.client, instanceId)));
    }
  }
  return files;
}

/** One event a line, and no stack: it has paths of the machine. */
function toText({ executions, ...rest }: Awaited<ReturnType<typeof exportHistory>>): string {
  const write = (value: unknown): string => JSON.stringify(value, (key, inner: unknown) => (key === 'stack' ? undefined : inner));
  const texts = executions.map(
    ({ executionId, events }) =>
      `{ "executionId": ${executionId}, "events": [\n${events.map((event) => `  ${write(event)}`).join(',\n')}\n] }`,
  );
  const head = Object.entries(rest).map(([key, value]) => `"${key}": ${write(value)}`);
  return `{ ${head.join(', ')}, "executions": [\n${texts.join(',\n')}\n] }\n`;
}
