// Random orchestrations: a program is a JSON value, so that a parent can hand one to its child, and an ordinary async function runs it
// against ctx. Programs have no loops: each ends once the world has answered everything. Neighbour: replay-harness.ts (the world).
import fc from 'fast-check';
import type { AttributeChange } from '../../src/types/attributes.ts';
import type { ActivityOptions, OrchestrationContext } from '../../src/types/context.ts';
import type { ParentClosePolicy } from '../../src/types/history-event.ts';
import { orchestration, type AnyOrchestration, type Answer, type AskedActivity } from './replay-harness.ts';

/** Which combinator. */
export type By = 'all' | 'allSettled' | 'any' | 'race';

/** What an orchestration does. */
export type Program =
  | Leaf
  | { readonly op: 'child'; readonly body: Program; readonly ownId: boolean; readonly as: Style; readonly policy: ParentClosePolicy }
  | { readonly op: 'detached'; readonly body: Program }
  | { readonly op: 'value'; readonly value: unknown }
  | { readonly op: 'status'; readonly value?: unknown }
  | { readonly op: 'draw'; readonly of: 'random' | 'now' | 'uuid' | 'status' }
  | { readonly op: 'log'; readonly text: string }
  | { readonly op: 'fail'; readonly text: string }
  /** Asked for and never awaited. */
  | { readonly op: 'loose'; readonly body: Leaf }
  /** An async helper that nobody awaits: its failure is an unhandled rejection, and the end may come before its own. */
  | { readonly op: 'dangling'; readonly body: Program; readonly hops: number }
  /** Asked for, given up some microtasks later, then awaited. */
  | { readonly op: 'abandoned'; readonly body: Leaf; readonly hops: number }
  /** An async helper that takes some microtasks before and after its work. */
  | { readonly op: 'helper'; readonly body: Program; readonly hops: number }
  | { readonly op: 'sequence'; readonly steps: readonly Program[] }
  | { readonly op: 'try'; readonly body: Program; readonly rescue: Program; readonly last: Program }
  | { readonly op: 'choice'; readonly left: Program; readonly right: Program }
  | { readonly op: 'group'; readonly by: By; readonly as: 'array' | 'record' | 'native'; readonly members: readonly Program[] }
  /** One future in two groups. */
  | { readonly op: 'shared'; readonly body: Leaf; readonly other: Leaf; readonly by: By }
  | { readonly op: 'again'; readonly body: Program }
  | {
      readonly op: 'keyValue';
      readonly how: 'set' | 'get' | 'delete' | 'setAndDelete' | 'clear' | 'entries' | 'prune';
      readonly key: string;
      readonly value: unknown;
    }
  | { readonly op: 'attributes'; readonly change: AttributeChange }
  /** A scope or shield; `hops`: given up after so many microtasks, null: not at all. */
  | { readonly op: 'scope'; readonly body: Program; readonly isShield: boolean; readonly hops: number | null }
  | { readonly op: 'limit'; readonly limitMs: number; readonly body: Program }
  | { readonly op: 'unsubscribe'; readonly pattern: string }
  | { readonly op: 'publish'; readonly topic: string; readonly value: unknown }
  | { readonly op: 'send'; readonly value: unknown }
  | { readonly op: 'measure' }
  | { readonly op: 'patch'; readonly id: string; readonly left: Program; readonly right: Program };

/** How an orchestration is written. */
export type Style = 'async' | 'generator';

/** Programs that are one durable future. */
export type Leaf =
  | { readonly op: 'activity'; readonly name: string; readonly value?: unknown; readonly fails: boolean }
  | { readonly op: 'timer'; readonly delayMs: number }
  | { readonly op: 'event'; readonly name: string }
  /** The next message of a topic. */
  | { readonly op: 'topic'; readonly pattern: string }
  /** An activity that fails at first. */
  | {
      readonly op: 'retry';
      readonly failures: number;
      readonly attempts: number;
      readonly pauseMs: number;
      readonly jitter: number;
      readonly timeoutMs: number | null;
    }
  /** A key-value pair of another instance. */
  | { readonly op: 'read'; readonly key: string };

/** Names of the orchestrations whose input is a program. */
export const PROGRAM = 'program';
const PROGRAM_NAMES: Readonly<Record<Style, string>> = { async: PROGRAM, generator: 'generator program' };

/** Generations after which continue-as-new is not used any more. */
const MAX_EXECUTIONS = 3;

/** The orchestrations that run their input. */
export const programOrchestrations: readonly AnyOrchestration[] = [
  orchestration<Program>(PROGRAM_NAMES.async, (ctx, program) => evaluate(ctx, program)),
  orchestration<Program>(PROGRAM_NAMES.generator, (ctx, program) => generate(ctx, program)),
];

/**
 * Answers the activities of programs: what they return or throw stands in their input.
 *
 * @param activity - name, input and attempt
 */
export function answerActivity({ name, input, attempt }: AskedActivity): Answer {
  const { value, fails, failures = 0 } = input as { readonly value?: unknown; readonly fails?: boolean; readonly failures?: number };
  if (fails !== true && attempt > failures) return { ok: true, value };
  return {
    ok: false,
    heartbeat: { lastAttempt: attempt },
    failure: { name: 'ActivityError', message: `${name} broke`, code: 'E_ACTIVITY', cause: { name: 'Error', message: 'root' } },
  };
}

/** Runs a program: gives a durable future for leaves and groups, a plain promise for helpers, or a value. */
function evaluate(ctx: OrchestrationContext, program: Program): unknown {
  switch (program.op) {
    case 'activity':
      return ctx.scheduleActivity(program.name, { value: program.value, fails: program.fails });
    case 'timer':
      return ctx.scheduleTimer(program.delayMs);
    case 'event':
      return ctx.waitForEvent(program.name);
    case 'child':
      return ctx.scheduleSubOrchestration(PROGRAM_NAMES[program.as], program.body, {
        onParentClose: program.policy,
        ...(program.ownId ? { instanceId: ctx.uuid(), attributes: { child: true, as: program.as } } : { version: '1.0.0' }),
      });
    case 'detached':
      return ctx.startOrchestration(PROGRAM, ctx.uuid(), program.body);
    case 'value':
      return program.value;
    case 'status':
      return ctx.setCustomStatus(program.value);
    case 'draw':
      return draw(ctx, program.of);
    case 'log':
      return ctx.log.info(program.text);
    case 'loose':
      return void evaluate(ctx, program.body);
    case 'dangling':
      return void helper(ctx, { op: 'helper', body: program.body, hops: program.hops });
    case 'choice':
      return evaluate(ctx, ctx.random() < 0.5 ? program.left : program.right);
    case 'group':
      return group(ctx, program);
    case 'topic':
      return ctx.subscribe(program.pattern).next();
    case 'retry':
      return ctx.scheduleActivity('Flaky', { failures: program.failures }, retryOptions(program));
    case 'read':
      return ctx.getValueFromInstance('root', program.key);
    case 'keyValue':
      return keyValue(ctx, program);
    case 'attributes':
      ctx.setAttributes(program.change);
      return ctx.attributes;
    case 'scope': {
      const run = (): unknown => evaluate(ctx, program.body);
      const future = program.isShield ? ctx.shield(run) : ctx.scope(run);
      if (program.hops !== null) void hop(program.hops).then(() => future.cancel());
      return future;
    }
    case 'limit':
      return ctx.withTimeout(program.limitMs, () => evaluate(ctx, program.body));
    case 'unsubscribe':
      return ctx.subscribe(program.pattern).unsubscribe();
    case 'publish':
      return ctx.publish(program.topic, program.value);
    case 'send':
      return ctx.sendToSession('session', program.value);
    case 'measure':
      return ctx.metrics.counter('steps_total', 1, { execution: String(ctx.executionId) });
    case 'patch':
      return evaluate(ctx, ctx.patched(program.id) ? program.left : program.right);
    case 'fail':
    case 'abandoned':
    case 'helper':
    case 'sequence':
    case 'try':
    case 'shared':
    case 'again':
      return helper(ctx, program);
  }
}

function retryOptions({ attempts, pauseMs, jitter, timeoutMs }: Extract<Program, { op: 'retry' }>): ActivityOptions {
  const retry = { maximumAttempts: attempts, initialIntervalMs: pauseMs, jitter };
  return timeoutMs === null ? { retry } : { retry, timeoutMs, tag: 'limited' };
}

function keyValue(ctx: OrchestrationContext, { how, key, value }: Extract<Program, { op: 'keyValue' }>): unknown {
  const { kv } = ctx;
  switch (how) {
    case 'set':
      return kv.set(key, value ?? null);
    case 'get':
      return kv.get(key);
    case 'delete':
      return kv.delete(key);
    case 'setAndDelete':
      kv.set(key, value ?? null);
      return kv.delete(key);
    case 'clear':
      return kv.clear();
    case 'entries':
      return [kv.size, kv.keys(), kv.entries()];
    case 'prune':
      return kv.prune(ctx.now());
  }
}

/** The same as a generator: sequences and attempts yield, everything else is evaluated. */
function* generate(ctx: OrchestrationContext, program: Program): Generator<unknown, unknown, unknown> {
  if (program.op === 'sequence') {
    const values: unknown[] = [];
    for (const step of program.steps) values.push(yield* generate(ctx, step));
    return values;
  }
  if (program.op === 'try') {
    try {
      return yield* generate(ctx, program.body);
    } catch (error) {
      return [(error as Error).message, yield* generate(ctx, program.rescue)];
    } finally {
      yield* generate(ctx, program.last);
    }
  }
  if (program.op === 'group' && program.as === 'array' && program.by === 'all') {
    return yield program.members.map((member) => evaluate(ctx, member));
  }
  return yield evaluate(ctx, program);
}

async function helper(
  ctx: OrchestrationContext,
  program: Extract<Program, { op: 'fail' | 'abandoned' | 'helper' | 'sequence' | 'try' | 'shared' | 'again' }>,
): Promise<unknown> {
  switch (program.op) {
    case 'fail':
      throw Object.assign(new TypeError(program.text), { code: 'E_PROGRAM' });
    case 'abandoned': {
      const future = evaluate(ctx, program.body) as Promise<unknown> & { cancel(): void };
      await hop(program.hops);
      future.cancel();
      return await future.catch((error: Error) => error.name);
    }
    case 'helper': {
      await hop(program.hops);
      const value: unknown = await evaluate(ctx, program.body);
      await hop(program.hops);
      return value;
    }
    case 'sequence': {
      const values: unknown[] = [];
      for (const step of program.steps) values.push(await evaluate(ctx, step));
      return values;
    }
    case 'try':
      try {
        return await evaluate(ctx, program.body);
      } catch (error) {
        return [(error as Error).message, await evaluate(ctx, program.rescue)];
      } finally {
        await evaluate(ctx, program.last);
      }
    case 'shared': {
      const future = evaluate(ctx, program.body);
      const first = ctx[program.by]([future, evaluate(ctx, program.other)]);
      return await ctx.allSettled({ first, second: ctx.all([future]), third: Promise.allSettled([future]) }).then(describe);
    }
    case 'again':
      return ctx.executionId < MAX_EXECUTIONS ? await ctx.continueAsNew(program.body) : await evaluate(ctx, program.body);
  }
}

function group(ctx: OrchestrationContext, program: Extract<Program, { op: 'group' }>): unknown {
  const members = program.members.map((member) => evaluate(ctx, member));
  switch (program.as) {
    case 'array':
      return ctx[program.by](members);
    case 'record':
      return ctx[program.by](Object.fromEntries(members.map((member, index) => [`m${index}`, member])));
    case 'native':
      return native(program.by, members);
  }
}

function native(by: By, members: readonly unknown[]): Promise<unknown> {
  switch (by) {
    case 'all':
      return Promise.all(members);
    case 'allSettled':
      return Promise.allSettled(members);
    case 'any':
      return Promise.any(members);
    case 'race':
      return Promise.race(members);
  }
}

function draw(ctx: OrchestrationContext, of: 'random' | 'now' | 'uuid' | 'status'): unknown {
  switch (of) {
    case 'random':
      return ctx.random();
    case 'now':
      return ctx.now();
    case 'uuid':
      return ctx.uuid();
    case 'status':
      return ctx.getCustomStatus();
  }
}

async function hop(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await null;
}

/** Settled results as JSON keeps them. */
function describe(results: Readonly<Record<string, PromiseSettledResult<unknown>>>): unknown {
  return Object.entries(results).map(([key, result]) => [
    key,
    result.status === 'fulfilled' ? JSON.stringify(result.value) : String(result.reason),
  ]);
}

// --- generators --------------------------------------------------------------------------------------------------------------

const payload: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, 0, '', false, -1.5, 'text', '\uD800', { ['__proto__']: 1 }, [], [[]]),
  fc.jsonValue({ maxDepth: 1 }),
);

const pattern = fc.constantFrom('orders/*', 'orders/eu', '**');
const key = fc.constantFrom('a', 'b', '__proto__');

const leaf: fc.Arbitrary<Leaf> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('activity' as const),
      name: fc.constantFrom('Work', 'Charge'),
      value: payload,
      fails: weighted(8),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('timer' as const), delayMs: fc.constantFrom(0, 1, 50, 60_000) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('event' as const), name: fc.constantFrom('go', 'stop') }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('topic' as const), pattern }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('retry' as const),
      failures: fc.integer({ min: 0, max: 3 }),
      attempts: fc.integer({ min: 1, max: 3 }),
      pauseMs: fc.constantFrom(0, 50),
      jitter: fc.constantFrom(0, 0.5),
      timeoutMs: fc.constantFrom(null, 60, 60_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('read' as const), key }) },
);

const hops = fc.integer({ min: 0, max: 5 });
const by = fc.constantFrom<By>('all', 'allSettled', 'any', 'race');

/** True once in `odds`. */
function weighted(odds: number): fc.Arbitrary<boolean> {
  return fc.integer({ min: 1, max: odds }).map((drawn) => drawn === odds);
}

function child(body: fc.Arbitrary<Program>): fc.Arbitrary<Program> {
  return fc.record({
    op: fc.constant('child' as const),
    body,
    ownId: fc.boolean(),
    as: fc.constantFrom<Style>('async', 'generator'),
    policy: fc.constantFrom<ParentClosePolicy>('cancel', 'cancel', 'abandon', 'terminate'),
  });
}

const { program } = fc.letrec<{ program: Program }>((tie) => {
  const sub = tie('program');
  const simple = fc.oneof(
    { weight: 12, arbitrary: leaf },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('value' as const), value: payload }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('status' as const), value: payload }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('draw' as const), of: fc.constantFrom('random', 'now', 'uuid', 'status') }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('log' as const), text: fc.constant('line') }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('fail' as const), text: fc.constant('broken') }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('loose' as const), body: leaf }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('abandoned' as const), body: leaf, hops }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('shared' as const), body: leaf, other: leaf, by }) },
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constant('keyValue' as const),
        how: fc.constantFrom('set', 'set', 'set', 'get', 'delete', 'setAndDelete', 'clear', 'entries', 'prune'),
        key,
        value: payload,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constant('attributes' as const),
        change: fc.dictionary(fc.constantFrom('a', 'b', 'as', '1', 'é'), fc.constantFrom(null, true, false, 0, -0, -1.5, '', 'text', '😀')),
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('unsubscribe' as const), pattern }) },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant('publish' as const),
        topic: fc.constantFrom('orders/eu', 'orders/us', 'users'),
        value: payload,
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('send' as const), value: payload }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('measure' as const) }) },
  ) as fc.Arbitrary<Program>;
  return {
    program: fc.oneof(
      { depthSize: 'small', maxDepth: 4, withCrossShrink: true },
      { weight: 4, arbitrary: simple },
      {
        weight: 5,
        arbitrary: fc.record({
          op: fc.constant('group' as const),
          by,
          as: fc.constantFrom<'array' | 'record' | 'native'>('array', 'record', 'native'),
          members: fc.array(sub, { maxLength: 4 }),
        }),
      },
      { weight: 5, arbitrary: fc.record({ op: fc.constant('sequence' as const), steps: fc.array(sub, { minLength: 1, maxLength: 4 }) }) },
      { weight: 3, arbitrary: fc.record({ op: fc.constant('helper' as const), body: sub, hops }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('try' as const), body: sub, rescue: sub, last: sub }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('choice' as const), left: sub, right: sub }) },
      { weight: 2, arbitrary: child(sub) },
      {
        weight: 3,
        arbitrary: fc.record({ op: fc.constant('scope' as const), body: sub, isShield: weighted(3), hops: fc.option(hops) }),
      },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('limit' as const), limitMs: fc.constantFrom(0, 50, 60_000), body: sub }) },
      {
        weight: 2,
        arbitrary: fc.record({ op: fc.constant('patch' as const), id: fc.constantFrom('p1', 'p2'), left: sub, right: sub }),
      },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('detached' as const), body: sub }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('again' as const), body: sub }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('dangling' as const), body: sub, hops }) },
    ),
  };
});

/** Random programs; a sequence at the top, so that few are trivial. */
export const programs: fc.Arbitrary<Program> = fc
  .array(program, { minLength: 1, maxLength: 5 })
  .map((steps) => ({ op: 'sequence', steps }));

/**
 * Counts the operations of a program, groups by combinator.
 *
 * @param node - the program
 * @param counts - where to add
 */
export function tally(node: Program, counts: Map<string, number>): void {
  const add = (key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
  add(node.op);
  if (node.op === 'child') add(`${node.as} ${node.policy} child`);
  if (node.op === 'group') add(`${node.as} ${node.by}`);
  for (const value of Object.values<unknown>(node)) {
    for (const inner of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof inner === 'object' && inner !== null && Object.hasOwn(inner, 'op')) tally(inner as Program, counts);
    }
  }
}
