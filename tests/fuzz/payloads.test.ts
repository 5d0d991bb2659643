// Any value as payload in every place that takes one: it comes back as JSON leaves it, or is refused with a typed error where it was given.
// No instance is stuck by one, live or replayed.
import { Client, defineActivity, defineOrchestration, DurableError, Runtime, type OrchestrationContext } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seeded } from '../support/seed.ts';
import { fuzz, LIMIT_MS, PATIENCE, wild } from './kit.ts';

// --- values --------------------------------------------------------------------------------------------------------------------------

/** The values of the running cases: code that runs inline reaches them by their number, for many of them cannot travel. */
const table: (() => unknown)[] = [];

function nest(depth: number): unknown {
  let value: unknown = 'bottom';
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { value };
  return value;
}

/** A value, made anew for each use, with a name for reports. */
type Made = { readonly name: string; readonly make: () => unknown };

const anything: fc.Arbitrary<Made> = fc.oneof(
  { weight: 3, arbitrary: wild },
  {
    weight: 4,
    arbitrary: fc
      .anything({
        withBigInt: true,
        withBoxedValues: true,
        withDate: true,
        withMap: true,
        withNullPrototype: true,
        withSet: true,
        withSparseArray: true,
        withTypedArray: true,
        withUnicodeString: true,
      })
      .map((value) => ({ name: fc.stringify(value), make: () => value })),
  },
  { weight: 1, arbitrary: fc.json({ maxDepth: 4 }).map((text) => ({ name: text, make: () => JSON.parse(text) as unknown })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(100, 1_000, 3_000, 10_000, 100_000).map((depth) => ({ name: `${depth} levels`, make: () => nest(depth) })),
  },
  // Around the limits of values and of the status, in characters of one to six bytes.
  {
    weight: 1,
    arbitrary: fc
      .record({
        unit: fc.constantFrom('x', 'ß', '€', '\u0000', '\uD800'),
        bytes: fc.constantFrom(64 * 1024, 256 * 1024),
        over: fc.integer({ min: -3, max: 1 }),
      })
      .map(({ unit, bytes, over }) => {
        const width = Buffer.byteLength(JSON.stringify(unit)) - 2;
        const length = Math.floor(bytes / width) + over;
        return { name: `${length} times ${JSON.stringify(unit)}`, make: () => unit.repeat(length) };
      }),
  },
);

/** What can be thrown: anything, and errors with anything in them. */
const thrown: fc.Arbitrary<Made> = fc.oneof(
  anything,
  fc
    .record({ field: fc.constantFrom('name', 'message', 'stack', 'code', 'cause', 'nonRetryable', 'errors'), value: anything })
    .map(({ field, value: { name, make } }) => ({
      name: `an error with the ${field} ${name}`,
      make: () => Object.defineProperty(new AggregateError([new Error('inner')], 'outer'), field, { value: make() }),
    })),
  fc.constantFrom('name', 'message', 'stack', 'code', 'cause', 'nonRetryable').map((field) => ({
    name: `an error with a ${field} that throws`,
    make: () =>
      Object.defineProperty(new TypeError('x'), field, {
        get: () => {
          throw new RangeError('a getter of the test');
        },
      }),
  })),
);

/** Whether the value itself is the result when code returns it: whoever awaits it looks for a `then`. */
function isReturned(value: unknown): boolean {
  try {
    return typeof value !== 'object' || value === null || typeof (value as { readonly then?: unknown }).then !== 'function';
  } catch {
    return false;
  }
}

/** JSON text of what comes back; null: the value cannot be a payload of this size. */
function expectedText(value: unknown, maxBytes: number): string | null {
  try {
    if (value === undefined) return 'undefined';
    const text = JSON.stringify(value) as string | undefined;
    return text === undefined || Buffer.byteLength(text) > maxBytes ? null : text;
  } catch {
    return null;
  }
}

function asText(value: unknown): string {
  return value === undefined ? 'undefined' : JSON.stringify(value);
}

const KIB = 1024;
const PAYLOAD_BYTES = 4 * KIB * KIB;

/** Codes of a refusal. */
const REFUSALS: ReadonlySet<string> = new Set(['PAYLOAD_NOT_SERIALIZABLE', 'PAYLOAD_TOO_LARGE', 'ARGUMENT_INVALID']);

// --- code ----------------------------------------------------------------------------------------------------------------------------

const give = defineActivity('give', (_ctx, number: number) => table[number]?.());
const echo = defineActivity('echo', (_ctx, value: unknown) => value);
const throws = defineActivity('throws', (_ctx, number: number) => {
  throw table[number]?.();
});
const beats = defineActivity('beats', (ctx, number: number) => {
  if (ctx.attempt > 1) return { details: ctx.heartbeatDetails };
  ctx.heartbeat(table[number]?.());
  throw new RangeError('once more');
});
const receives = defineActivity('receives', (ctx) => ctx.receive());

const mirror = defineOrchestration('mirror', (_ctx, value: unknown) => value);
const gives = defineOrchestration('gives', (_ctx, number: number) => table[number]?.());
const fails = defineOrchestration('fails', (_ctx, number: number) => {
  throw table[number]?.();
});
const listens = defineOrchestration('listens', (ctx) => ctx.waitForEvent('event'));
const continues = defineOrchestration('continues', (ctx, input: unknown): unknown =>
  ctx.executionId > 1 ? input : ctx.continueAsNew(table[input as number]?.()),
);

type Channel = { readonly maxBytes: number; readonly run: (ctx: OrchestrationContext, value: unknown, number: number) => unknown };

/** Where an orchestration passes a value, and gets it back. */
const CHANNELS: Readonly<Record<string, Channel>> = {
  'input of an activity': { maxBytes: PAYLOAD_BYTES, run: (ctx, value) => ctx.scheduleActivity('echo', value) },
  'result of an activity': { maxBytes: PAYLOAD_BYTES, run: (ctx, _, number) => ctx.scheduleActivity('give', number) },
  'heartbeat of an activity': {
    maxBytes: PAYLOAD_BYTES,
    run: async (ctx, _, number) => {
      const retry = { maximumAttempts: 2, backoff: 'none' as const };
      return (await ctx.scheduleActivity<{ readonly details: unknown }>('beats', number, { retry })).details;
    },
  },
  'input of a child': { maxBytes: PAYLOAD_BYTES, run: (ctx, value) => ctx.scheduleSubOrchestration('mirror', value) },
  'result of a child': { maxBytes: PAYLOAD_BYTES, run: (ctx, _, number) => ctx.scheduleSubOrchestration('gives', number) },
  'custom status': {
    maxBytes: 256 * KIB,
    run: (ctx, value) => {
      ctx.setCustomStatus(value);
      return ctx.getCustomStatus();
    },
  },
  value: {
    maxBytes: 64 * KIB,
    run: (ctx, value) => {
      ctx.kv.set('key', value);
      return ctx.kv.get('key');
    },
  },
  publication: {
    maxBytes: PAYLOAD_BYTES,
    run: async (ctx, value) => {
      const topic = `topic/${ctx.instanceId}`;
      const subscription = ctx.subscribe(topic);
      const next = subscription.next();
      try {
        ctx.publish(topic, value);
      } catch (error) {
        next.cancel();
        throw error;
      }
      return (await next).data;
    },
  },
  'message to a session': {
    maxBytes: PAYLOAD_BYTES,
    run: (ctx, value) => {
      ctx.sendToSession(ctx.instanceId, value);
      return ctx.scheduleActivity('receives', undefined, { sessionId: ctx.instanceId });
    },
  },
};

/** One outcome: the text that came back, or the code of the refusal. */
type Outcome = { readonly text: string } | { readonly code: string };

const passes = defineOrchestration('passes', async (ctx, number: number): Promise<Readonly<Record<string, Outcome>>> => {
  const outcomes: Record<string, Outcome> = {};
  for (const [name, { run }] of Object.entries(CHANNELS)) {
    try {
      outcomes[name] = { text: digest(asText(await run(ctx, table[number]?.(), number))) };
    } catch (error) {
      outcomes[name] = { code: String((error as { readonly code?: unknown } | null)?.code) };
    }
  }
  return outcomes;
});

/** Failures of what was thrown, by where: all of them errors with text in them. */
const catches = defineOrchestration('catches', async (ctx, number: number) => {
  const attempts = [() => ctx.scheduleActivity('throws', number), () => ctx.scheduleSubOrchestration('fails', number)];
  const failures: unknown[] = [];
  for (const attempt of attempts) {
    try {
      await attempt();
    } catch (error) {
      failures.push(error instanceof Error && [error.name, error.message, error.stack ?? ''].every((text) => typeof text === 'string'));
    }
  }
  return failures;
});

/** Large texts stay out of results. */
function digest(text: string): string {
  return text.length > 1_000 ? `${text.length} ${text.slice(0, 100)}` : text;
}

// --- cases ---------------------------------------------------------------------------------------------------------------------------

let provider: SqliteProvider;
let runtime: Runtime;
let client: Client;
let count = 0;

beforeAll(async () => {
  provider = await SqliteProvider.open(':memory:');
  client = new Client(provider);
  runtime = await Runtime.start({
    provider,
    orchestrations: [mirror, gives, fails, listens, continues, passes, catches],
    activities: [give, echo, throws, beats, receives],
    replayThreads: 0,
    activityThreads: 0,
    // Each turn is replayed from history.
    stickyCacheMb: 0,
    maxAttempts: 3,
    maxSessions: 1_000,
  });
});

afterAll(async () => {
  await runtime.shutdown({ timeoutMs: 0 });
  await provider.close();
});

/** The text that comes back, or the code of a typed error. */
async function outcomeOf(get: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { text: digest(asText(await get())) };
  } catch (error) {
    if (!(error instanceof DurableError)) throw error;
    const { cause } = error;
    // What ended the orchestration is what counts.
    return { code: cause instanceof Error && 'code' in cause ? String(cause.code) : error.code };
  }
}

function check(name: string, outcome: Outcome | undefined, expected: string | null): void {
  if (outcome === undefined) throw new TypeError(`${name} is missing`);
  if ('text' in outcome) expect(outcome.text, name).toBe(expected === null ? 'a refusal' : digest(expected));
  else if (expected === null) expect(REFUSALS, `${name}: ${outcome.code}`).toContain(outcome.code);
  else expect(outcome.code, name).toBe(`no refusal of ${digest(expected)}`);
}

describe(seeded('any value'), () => {
  test(
    'comes back from everywhere in an orchestration, or is refused',
    async () => {
      await fc.assert(
        fc.asyncProperty(anything, async ({ make }) => {
          const number = table.push(make) - 1;
          const handle = await client.startOrchestration<Readonly<Record<string, Outcome>>>(`passes-${number}`, 'passes', number);
          const outcomes = await handle.result({ timeout: PATIENCE });
          for (const [name, { maxBytes }] of Object.entries(CHANNELS)) {
            const expected = expectedText(make(), maxBytes);
            if (name.startsWith('result') && !isReturned(make())) continue;
            // A value must be something.
            check(name, outcomes[name], name === 'value' && expected === 'undefined' ? null : expected);
          }
        }),
        fuzz(12),
      );
    },
    LIMIT_MS,
  );

  test(
    'comes back from clients and through continue-as-new, or is refused, and nothing of it is left behind',
    async () => {
      await fc.assert(
        fc.asyncProperty(anything, async ({ make }) => {
          const number = table.push(make) - 1;
          const expected = expectedText(make(), PAYLOAD_BYTES);
          const isTaken = expected !== null;
          const id = `case-${(count += 1)}`;

          const started = await outcomeOf(async () =>
            (await client.startOrchestration(`${id}-in`, 'mirror', make())).result({ timeout: PATIENCE }),
          );
          check('input', started, expected);
          expect((await client.getState(`${id}-in`)) !== null).toBe(isTaken);

          const listener = await client.startOrchestration(`${id}-event`, 'listens');
          const raised = await outcomeOf(() => client.raiseEvent(`${id}-event`, 'event', make()));
          if (isTaken) check('event', await outcomeOf(() => listener.result({ timeout: PATIENCE })), expected);
          else check('event', raised, null);
          await client.raiseEvent(`${id}-event`, 'event', 'instead');
          await listener.result({ timeout: PATIENCE });

          const given = await client.startOrchestration(`${id}-out`, 'gives', number);
          const result = await outcomeOf(() => given.result({ timeout: PATIENCE }));
          if (isReturned(make())) check('result', result, expected);
          const continued = await client.startOrchestration(`${id}-next`, 'continues', number);
          check('continue-as-new', await outcomeOf(() => continued.result({ timeout: PATIENCE })), expected);
        }),
        fuzz(20),
      );
    },
    LIMIT_MS,
  );

  test(
    'can be thrown: what fails has a name and a message',
    async () => {
      await fc.assert(
        fc.asyncProperty(thrown, async ({ make }) => {
          const number = table.push(make) - 1;
          const handle = await client.startOrchestration(`catches-${number}`, 'catches', number);
          expect(await handle.result({ timeout: PATIENCE })).toEqual([true, true]);
          const failed = await client.startOrchestration(`fails-${number}`, 'fails', number);
          const error = await failed.result({ timeout: PATIENCE }).catch((caught: unknown) => caught);
          expect(error).toMatchObject({ code: 'ORCHESTRATION_FAILED', instanceId: `fails-${number}` });
          expect((error as Error).message.length).toBeLessThan(20_000);
        }),
        fuzz(25),
      );
    },
    LIMIT_MS,
  );
});
