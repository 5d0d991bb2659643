// Batches between threads, broken in both directions: whoever gets one is not fooled, the thread may die, and its work is done all the same.
import { Client, defineActivity, defineOrchestration, Runtime, type RuntimeOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import fc from 'fast-check';
import { MAX_LIMIT_COUNT } from '../../src/types/limits.ts';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/provider/system-clock.ts';
import { ActivityLoop } from '../../src/threads/activity-loop.ts';
import {
  BrokenBatchError,
  readActivityBatch,
  readActivityRequests,
  readReplayBatch,
  readTurnRequests,
  writeActivityBatch,
  writeActivityRequest,
  writeReplayBatch,
  writeTurnRequest,
  type ActivityBatch,
  type ActivityRequest,
  type ReplayBatch,
  type TurnRequest,
  type Wire,
} from '../../src/threads/messages.ts';
import { Progress } from '../../src/threads/progress.ts';
import { ReplayLoop } from '../../src/threads/replay-loop.ts';
import type { WorkPort } from '../../src/threads/work-port.ts';
import { seed, seeded } from '../support/seed.ts';
import { fuzz, LIMIT_MS, PATIENCE, WILD, wild } from './kit.ts';
import { breakPorts } from './wires.ts';

// --- batches -------------------------------------------------------------------------------------------------------------------------

const id = fc.integer({ min: 0, max: 2 ** 31 });
const text = fc.oneof(fc.constantFrom('', 'a', '[]', '{}', '__proto__'), fc.string({ unit: 'binary', maxLength: 6 }));
const count = fc.integer({ min: 1, max: MAX_LIMIT_COUNT });
const textOrNull = fc.option(text);
const time = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer());
const few = { maxLength: 2 };

const turnRequest: fc.Arbitrary<TurnRequest> = fc.record({
  seq: id,
  instanceId: text,
  executionId: id,
  baseEventId: id,
  nowMs: time,
  history: fc.option(fc.array(text, few)),
  messages: fc.array(text, few),
});

const routing = fc.record({
  tag: textOrNull,
  sessionId: textOrNull,
  priority: id,
  timeoutMs: fc.option(fc.integer()),
  expiresAfterMs: fc.option(fc.integer()),
  limit: fc.option(fc.record({ key: text, concurrency: fc.option(count), rate: fc.option(fc.record({ count, perMs: count })) })),
  extras: textOrNull,
});

const line = fc.record({
  level: fc.constantFrom('debug', 'info', 'warn', 'error'),
  message: text,
  fields: fc.dictionary(text, fc.integer(), { maxKeys: 2 }),
});

const outcome = fc.oneof(
  fc.record({ kind: fc.constant('waiting' as const) }),
  fc.record({ kind: fc.constant('completed' as const), result: fc.option(text, { nil: undefined }) }),
  fc.record({ kind: fc.constantFrom('failed', 'cancelled', 'notRegistered', 'faulted'), failure: text }),
  fc.record({ kind: fc.constant('continuedAsNew' as const), name: text, version: textOrNull, payload: text }),
);

const attributes = fc.record({ text, list: fc.array(fc.record({ key: text, value: text }), few) });

const effects = fc.record({
  attributes: fc.option(attributes),
  values: fc.array(fc.record({ key: text, value: textOrNull }), few),
  subscriptions: fc.array(fc.record({ pattern: text, subscribed: fc.boolean() }), few),
  publications: fc.array(fc.record({ topic: text, payload: text }), few),
  sessionMessages: fc.array(fc.record({ sessionId: text, payload: text }), few),
  terminations: fc.array(fc.record({ instanceId: text, eventId: id }), few),
  metrics: fc.array(
    fc.record({
      kind: fc.constantFrom('counter', 'gauge', 'histogram'),
      name: text,
      value: fc.integer(),
      labels: fc.dictionary(text, text, { maxKeys: 2 }),
    }),
    few,
  ),
  spans: fc.array(
    fc.record({
      traceId: text,
      spanId: text,
      parentSpanId: textOrNull,
      flags: id,
      tracestate: textOrNull,
      startMs: id,
      endMs: id,
      events: fc.array(fc.record({ name: text, atMs: id, subject: text }), few),
      droppedEvents: id,
    }),
    few,
  ),
});

const result = fc.record({
  outcome,
  version: text,
  firstEventId: id,
  lastEventId: id,
  events: text,
  consumedMessages: id,
  turns: id,
  activities: fc.array(fc.record({ eventId: id, name: text, input: text, routing: fc.option(routing) }), few),
  timers: fc.array(fc.record({ eventId: id, fireAtMs: time, payload: text }), few),
  messages: fc.array(fc.record({ instanceId: text, payload: text }), few),
  starts: fc.array(
    fc.record({
      eventId: id,
      instanceId: text,
      name: text,
      version: textOrNull,
      payload: text,
      conflictPayload: textOrNull,
      isChild: fc.boolean(),
      policy: fc.constantFrom('fail', 'useExisting', 'replaceTerminal', 'terminateExisting'),
      onParentClose: fc.constantFrom('cancel', 'abandon', 'terminate'),
      startAtMs: fc.option(time),
      priority: id,
      attributes: fc.option(attributes),
    }),
    few,
  ),
  cancelledActivities: fc.array(id, few),
  cancelledTimers: fc.array(id, few),
  customStatus: fc.option(textOrNull, { nil: undefined }),
  logs: fc.array(line, few),
  logUnits: id,
  droppedLogs: id,
  effects: fc.option(effects),
});

const finding = fc.record({
  failure: fc.record({ name: text, message: text }),
  parting: fc.option(fc.record({ eventId: id, recorded: textOrNull, emitted: text, diff: text })),
});

const replayBatch: fc.Arbitrary<ReplayBatch> = fc.record({
  evicted: fc.array(text, few),
  faults: fc.array(fc.record({ instanceId: text, payload: text }), few),
  replies: fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('miss' as const), seq: id }),
      fc.record({ kind: fc.constant('turn' as const), seq: id, result, standing: textOrNull }),
      fc.record({ kind: fc.constant('check' as const), seq: id, finding: fc.option(finding) }),
    ),
    few,
  ),
});

const special = fc.record({
  tag: textOrNull,
  sessionId: textOrNull,
  timeoutMs: fc.option(id),
  extras: textOrNull,
  heartbeat: textOrNull,
  lockToken: textOrNull,
  traceparent: textOrNull,
  tracestate: textOrNull,
});

const activityRequest: fc.Arbitrary<ActivityRequest> = fc.record({
  seq: id,
  instanceId: text,
  executionId: id,
  eventId: id,
  name: text,
  input: text,
  attempt: id,
  special: fc.option(special),
});

const activityBatch: fc.Arbitrary<ActivityBatch> = fc.record({
  longestWaitMs: time,
  logs: fc.array(fc.record({ seq: id, instanceId: text, executionId: id, eventId: id, attempt: id, activity: text, line }), few),
  logUnits: id,
  droppedLogs: id,
  heartbeats: fc.array(fc.record({ seq: id, details: text }), few),
  steps: fc.array(
    fc.record({
      seq: id,
      end: fc.constantFrom('recorded' as const, 'refused' as const, 'unrecorded' as const),
      failure: fc.option(fc.record({ name: text, message: text })),
    }),
    few,
  ),
  replies: fc.array(fc.record({ seq: id, completionPayload: textOrNull, receivedSeq: id }), few),
});

/** A way of batches: how they are written and read. */
type Channel = {
  readonly name: string;
  readonly batch: fc.Arbitrary<unknown>;
  readonly write: (batch: unknown) => Wire;
  readonly read: (wire: Wire) => unknown;
};

function writeAll<Request>(write: (wire: Wire, request: Request) => void): (requests: unknown) => Wire {
  return (requests) => {
    const wire: Wire = [];
    for (const request of requests as readonly Request[]) write(wire, request);
    return wire;
  };
}

const CHANNELS: readonly Channel[] = [
  {
    name: 'turns to a thread',
    batch: fc.array(turnRequest, { ...few, minLength: 1 }),
    write: writeAll(writeTurnRequest),
    read: readTurnRequests,
  },
  { name: 'answers of turns', batch: replayBatch, write: (batch) => writeReplayBatch(batch as ReplayBatch), read: readReplayBatch },
  {
    name: 'activities to a thread',
    batch: fc.array(activityRequest, { ...few, minLength: 1 }),
    write: writeAll(writeActivityRequest),
    read: readActivityRequests,
  },
  {
    name: 'answers of activities',
    batch: activityBatch,
    write: (batch) => writeActivityBatch(batch as ActivityBatch),
    read: readActivityBatch,
  },
];

/** One change of a wire. Positions are shares of its length. */
const change = fc.record({
  kind: fc.constantFrom('replace', 'insert', 'remove', 'cut', 'repeat', 'swap'),
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  to: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  value: fc.oneof(
    wild,
    fc
      .constantFrom(-1, 0, 1, 2, 1e9, 0.5, '', '[]', '{}', 'null', 'waiting', null)
      .map((plain) => ({ name: String(plain), make: () => plain })),
  ),
});

function mutate(wire: Wire, changes: readonly (typeof change extends fc.Arbitrary<infer Value> ? Value : never)[]): Wire {
  const changed: unknown[] = [...wire];
  for (const { kind, at, to, value } of changes) {
    const place = Math.floor(at * changed.length);
    const other = Math.floor(to * changed.length);
    switch (kind) {
      case 'replace':
        changed[place] = value.make();
        break;
      case 'insert':
        changed.splice(place, 0, value.make());
        break;
      case 'remove':
        changed.splice(place, 1);
        break;
      case 'cut':
        changed.length = place;
        break;
      case 'repeat':
        changed.splice(place, 0, ...changed.slice(other, other + 8));
        break;
      case 'swap':
        [changed[place], changed[other]] = [changed[other], changed[place]];
        break;
    }
  }
  return changed as Wire;
}

const mutations = fc.array(change, { minLength: 1, maxLength: 2 });

describe(seeded('broken batches'), () => {
  test.each(CHANNELS)('are read as they were written, or refused as a whole: $name', ({ batch, write, read }) => {
    let refused = 0;
    fc.assert(
      fc.property(batch, mutations, (given, changes) => {
        const wire = write(given);
        expect(read(wire)).toEqual(given);
        const mutated = mutate(wire, changes);
        let got: unknown;
        try {
          got = read(mutated);
        } catch (error) {
          expect(error).toBeInstanceOf(BrokenBatchError);
          expect(error).toMatchObject({ code: 'MESSAGE_INVALID' });
          refused += 1;
          return;
        }
        // What was accepted has the form of a batch: written and read again it is the same.
        expect(read(write(got))).toEqual(got);
      }),
      fuzz(400),
    );
    expect(refused).toBeGreaterThan(50);
  });

  test.each(CHANNELS)('that are no arrays at all are refused: $name', ({ read }) => {
    const values = Object.entries(WILD).filter(([name, make]) => !name.includes('array') && travels(make()));
    expect(values.length).toBeGreaterThan(15);
    for (const [, make] of values) expect(() => read(make() as Wire)).toThrow(BrokenBatchError);
  });
});

/** Whether a port carries it. */
function travels(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

// --- loops ---------------------------------------------------------------------------------------------------------------------------

function withResolvers(): { readonly promise: Promise<unknown>; readonly resolve: (value: unknown) => void } {
  let resolve: (value: unknown) => void = () => undefined;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Both ends of the port of one loop. */
class LoopPort implements WorkPort {
  readonly failed: Promise<unknown>;
  readonly fail: (error: unknown) => void;
  #receive: (wire: Wire) => void = () => undefined;
  #answered: (wire: Wire) => void = () => undefined;

  constructor() {
    const { promise, resolve } = withResolvers();
    this.failed = promise;
    this.fail = resolve;
  }

  on(event: 'message', listener: (wire: Wire) => void): void;
  on(event: 'close', listener: () => void): void;
  on(event: 'message' | 'close', listener: (wire: Wire) => void): void {
    if (event === 'message') this.#receive = listener;
  }

  postMessage(wire: Wire): void {
    this.#answered(wire);
  }

  close(): void {
    this.#receive = () => undefined;
  }

  /** Hands over a batch from a macrotask; resolves with the numbers that were answered when as many came, or with why the loop failed. */
  exchange(wire: Wire, wanted: number, seqsOf: (wire: Wire) => readonly number[]): Promise<readonly number[] | Error> {
    const seqs: number[] = [];
    const answered = new Promise<readonly number[]>((resolve) => {
      this.#answered = (answer) => {
        seqs.push(...seqsOf(answer));
        if (seqs.length >= wanted) resolve(seqs);
      };
    });
    setImmediate(() => this.#receive(wire));
    return Promise.race([answered, this.failed as Promise<Error>]);
  }
}

const echo = defineActivity('echo', async (ctx, value: unknown) => {
  ctx.heartbeat(ctx.heartbeatDetails);
  ctx.log.info('line', { value });
  await null;
  return value;
});
const once = defineOrchestration('once', (ctx) => ctx.scheduleActivity('echo', 1));

const START = '{"kind":"OrchestrationStarted","name":"once"}';
const PAGE =
  '[{"id":1,"atMs":1,"kind":"OrchestrationStarted","name":"once","version":"1.0.0","executionId":1,"engine":1},{"id":2,"atMs":1,"kind":"ActivityScheduled","name":"echo","input":1}]';

/** A request that a thread may well get. */
const likelyTurn: fc.Arbitrary<TurnRequest> = fc
  .record({
    seq: fc.integer({ min: 1, max: 1_000 }),
    instanceId: fc.constantFrom('a', 'b'),
    isNew: fc.boolean(),
    done: fc.boolean(),
  })
  .map(({ seq, instanceId, isNew, done }) => ({
    seq,
    instanceId,
    executionId: 1,
    baseEventId: isNew ? 0 : 2,
    nowMs: 5,
    history: isNew ? null : [PAGE],
    messages: [...(isNew ? [START] : []), ...(done ? ['{"kind":"ActivityCompleted","executionId":1,"sourceId":2,"result":7}'] : [])],
  }));

const likelyActivity: fc.Arbitrary<ActivityRequest> = fc.record({
  seq: fc.integer({ min: 1, max: 1_000 }),
  instanceId: fc.constant('a'),
  executionId: fc.constant(1),
  eventId: fc.integer({ min: 1, max: 9 }),
  name: fc.constantFrom('echo', 'echo', 'echo', 'unknown'),
  input: fc.constantFrom('', '1', '{"a":[]}', '{'),
  attempt: fc.constant(1),
  special: fc.option(
    fc.record({
      tag: textOrNull,
      sessionId: fc.constant(null),
      timeoutMs: fc.option(fc.constantFrom(1, 1_000)),
      extras: fc.option(fc.constantFrom('{"attempt":2,"firstEventId":2,"heartbeat":[1]}', 'null', '5', '{', '')),
      heartbeat: fc.option(fc.constantFrom('1', '{', '')),
      lockToken: textOrNull,
      traceparent: textOrNull,
      tracestate: textOrNull,
    }),
  ),
});

/** Sends a mutated batch to a fresh loop, and a sound one after it when it lives. */
async function send(
  port: LoopPort,
  wire: Wire,
  sides: { readonly requested: (wire: Wire) => readonly number[]; readonly answered: (wire: Wire) => readonly number[] },
): Promise<'answered' | 'failed'> {
  let wanted: readonly number[] | null = null;
  try {
    wanted = sides.requested(wire);
  } catch {
    // The loop must see it, too.
  }
  if (wanted?.length === 0) return 'answered';
  const got = await port.exchange(wire, wanted?.length ?? Number.POSITIVE_INFINITY, sides.answered);
  if (got instanceof Error) {
    expect(got).toBeInstanceOf(BrokenBatchError);
    expect(wanted).toBeNull();
    return 'failed';
  }
  expect(inOrder(got)).toEqual(inOrder(wanted ?? []));
  return 'answered';
}

function inOrder(seqs: readonly number[]): readonly number[] {
  // Minus zero is zero once it was written as JSON.
  return seqs.map((number) => number + 0).toSorted((left, right) => left - right);
}

describe(seeded('a loop that gets broken batches'), () => {
  test('answers each turn once, or ends its thread', async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(likelyTurn, { minLength: 1, maxLength: 3 }), fc.option(mutations), async (requests, changes) => {
        const port = new LoopPort();
        const progress = new Progress();
        const loop = new ReplayLoop({ port, clock: systemClock, progress, cacheBytes: 1e6, fail: port.fail });
        expect(await loop.load([{ prefix: '', source: once }], {})).toMatchObject({ ok: true });
        const wire = mutate(writeAll(writeTurnRequest)(requests), changes ?? []);
        seen.add(
          await send(port, wire, {
            requested: (given) => readTurnRequests(given).map(({ seq }) => seq),
            answered: (given) => readReplayBatch(given).replies.map(({ seq }) => seq),
          }),
        );
        loop.dispose();
      }),
      fuzz(150),
    );
    expect(seen.size).toBe(2);
  });

  test('answers each activity once, or ends its thread', async () => {
    const seen = new Set<string>();
    const host = { call: () => Promise.reject(new TypeError('unused')), receive: () => Promise.reject(new TypeError('unused')) };
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(likelyActivity, { minLength: 1, maxLength: 3, selector: ({ seq }) => seq }),
        fc.option(mutations),
        async (requests, changes) => {
          const port = new LoopPort();
          const progress = new Progress();
          const parts = { port, clock: systemClock, progress, slots: 2, host, storeName: 'none', graceMs: 1, fail: port.fail };
          const loop = new ActivityLoop(parts);
          expect(await loop.load([{ prefix: '', source: echo }])).toMatchObject({ ok: true });
          const wire = mutate(writeAll(writeActivityRequest)(requests), changes ?? []);
          seen.add(
            await send(port, wire, {
              // Two requests of one number are one to the loop.
              requested: (given) => [...new Set(readActivityRequests(given).map(({ seq }) => seq))],
              answered: (given) => readActivityBatch(given).replies.map(({ seq }) => seq),
            }),
          );
        },
      ),
      fuzz(150),
    );
    expect(seen.size).toBe(2);
  });
});

// --- runtimes ------------------------------------------------------------------------------------------------------------------------

describe(seeded('a runtime'), () => {
  test(
    'whose threads send and get broken batches does all its work',
    async () => {
      process.env['DURALOOM_BREAK_SEED'] = String(seed);
      onTestFinished(breakPorts(seed));
      const provider = new MemoryProvider();
      const module = new URL('./fixtures/breaking-port.ts', import.meta.url);
      const deaths: string[] = [];
      const note = (_: unknown, message: string): unknown => deaths.push(message);
      const runtime = await Runtime.start({
        provider,
        orchestrations: module,
        activities: module,
        replayThreads: 1,
        activityThreads: 1,
        maxAttempts: 1_000,
        retryBackoff: { initialMs: 1, maximumMs: 5 },
        logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: note },
      });
      onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
      const client = new Client(provider);
      await fc.assert(
        fc.asyncProperty(fc.nat(), async (number) => {
          const ids = Array.from({ length: 6 }, (_, index) => `${number}-${index}`);
          await client.startOrchestrations(ids.map((instanceId) => ({ instanceId, orchestration: 'fanOut', input: 3 })));
          await Promise.all(ids.map((instanceId) => client.waitForCustomStatus(instanceId, { afterVersion: 0, timeout: '60s' })));
          for (const instanceId of ids) await client.raiseEvent(instanceId, 'go', 7);
          const results = await Promise.all(ids.map((instanceId) => client.waitForResult(instanceId, { timeout: '60s' })));
          expect(results).toEqual(ids.map(() => [0, 2, 4, 7]));
        }),
        fuzz(3),
      );
      expect(deaths.some((message) => message.includes('a batch between threads is broken'))).toBe(true);
    },
    LIMIT_MS,
  );

  const orchestrations = [
    defineOrchestration('victim', (ctx) => ctx.scheduleActivity('echo', 1)),
    defineOrchestration('neighbour', (ctx) => ctx.scheduleActivity('echo', 1)),
  ];
  const inline: Partial<RuntimeOptions> = {
    replayThreads: 0,
    activityThreads: 0,
    maxAttempts: 2,
    retryBackoff: { initialMs: 1, maximumMs: 2 },
  };

  test(
    'whose store hands out an item with a scalar of a wrong kind goes on with the others',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('fetchOrchestrationItems', 'fetchWorkItems'),
          fc.constantFrom('executionId', 'lastEventId', 'eventId', 'name', 'payload', 'heartbeat'),
          fc.constantFrom(undefined, null, -1, 0.5, Number.NaN, 2 ** 60, '', 'text', true, new Uint8Array(3), new Date(0)),
          async (method, field, value) => {
            const provider = new MemoryProvider();
            const strange = new Proxy(provider, {
              get: (target, name) => {
                const found: unknown = Reflect.get(target, name, target);
                if (typeof found !== 'function') return found;
                if (name !== method) return found.bind(target) as unknown;
                return async (...args: readonly unknown[]): Promise<unknown> => {
                  const fetched = (await Reflect.apply(found, target, args)) as {
                    readonly items: readonly { readonly instanceId: string }[];
                  };
                  const items = fetched.items.map((item) => (item.instanceId === 'victim' ? { ...item, [field]: value } : item));
                  return { ...fetched, items };
                };
              },
            });
            const runtime = await Runtime.start({ ...inline, provider: strange, orchestrations, activities: echo });
            const client = new Client(provider);
            const names = ['a-neighbour', 'victim', 'z-neighbour'];
            const requests = names.map((instanceId) => ({ instanceId, orchestration: instanceId.replace(/.-/, '') }));
            await client.startOrchestrations(requests);
            for (const instanceId of ['a-neighbour', 'z-neighbour']) {
              expect(await client.waitForResult(instanceId, { timeout: PATIENCE })).toBe(1);
            }
            await runtime.shutdown({ timeoutMs: 0 });
          },
        ),
        fuzz(40),
      );
    },
    LIMIT_MS,
  );
});
