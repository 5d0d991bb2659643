// Parents and children: ids, links, answers, conflicts, cancellation (T1 to T4, T38).
import { describe, expect, it } from 'vitest';
import type { Failure } from '../../src/types/failure.ts';
import type { ParentLink } from '../../src/types/names.ts';
import {
  activityCompleted,
  begin,
  cancelRequested,
  childFailed,
  childScheduled,
  completed,
  failed,
  futureCancelled,
  message,
  orchestration,
  run,
  timerFired,
  World,
  type AnyOrchestration,
  type Body,
  type WorldSettings,
} from '../support/replay-harness.ts';

const parent = { instanceId: 'mum', executionId: 3, eventId: 7 };

/** Runs a small world without noise to its end. */
async function play(
  definitions: readonly AnyOrchestration[],
  input?: unknown,
): Promise<readonly (readonly [string, string, string | undefined])[]> {
  const settings: WorldSettings = {
    definitions,
    root: { instanceId: 'root', name: 'root', ...(input === undefined ? {} : { input }) },
    choose: () => 0,
    answer: ({ input: value }) => ({ ok: true, value }),
    engines: 'cold',
    clock: 'advancing',
    noise: false,
  };
  const log = await run(new World(settings).play());
  expect(log.faults).toEqual([]);
  return log.executions.map(({ instanceId, executionId, turns }) => {
    const outcome = turns.at(-1)?.result.outcome;
    return [`${instanceId}/${executionId}`, outcome?.kind ?? 'none', outcome?.kind === 'completed' ? outcome.result : undefined];
  });
}

describe('child ids', () => {
  it('hold instance, execution and event of the parent, so that no execution gets the child of another (T3)', async () => {
    const ids = await Promise.all(
      [1, 2].map(async (executionId) => {
        const instance = await begin((ctx) => ctx.all([ctx.scheduleSubOrchestration('c'), ctx.scheduleSubOrchestration('c')]), {
          executionId,
        });
        return instance.last.starts.map(({ instanceId }) => instanceId);
      }),
    );
    expect(ids).toEqual([
      ['i1::1.2', 'i1::1.3'],
      ['i1::2.2', 'i1::2.3'],
    ]);
  });

  it('nest', async () => {
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('c'), { instanceId: 'i1::2.2' });
    expect(instance.last.starts[0]?.instanceId).toBe('i1::2.2::1.2');
  });
});

describe('the parent link', () => {
  it('travels in the start of the child, with the execution that asked (T2)', async () => {
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('c', 1), { executionId: 4 });
    expect(JSON.parse(instance.last.starts[0]?.payload ?? '')).toEqual({
      kind: 'OrchestrationStarted',
      name: 'c',
      input: 1,
      parent: { instanceId: 'i1', executionId: 4, eventId: 2 },
    });
  });

  it('does not travel in a detached start', async () => {
    const instance = await begin((ctx) => {
      ctx.startOrchestration('c', 'detached', 1);
      return ctx.waitForEvent('never');
    });
    expect(JSON.parse(instance.last.starts[0]?.payload ?? '')).not.toHaveProperty('parent');
  });

  it('survives continue-as-new (T1)', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew('next'), { parent, executionId: 5 });
    const { outcome } = instance.last;
    expect(outcome).toMatchObject({ kind: 'continuedAsNew' });
    expect(outcome.kind === 'continuedAsNew' ? JSON.parse(outcome.payload) : null).toMatchObject({ executionId: 6, parent });
    expect(instance.last.messages).toEqual([]);
  });

  it.each<readonly [string, (ctx: { continueAsNew(input?: unknown): unknown }) => unknown, Body | null]>([
    ['a result', () => ({ a: 1 }), { kind: 'SubOrchestrationCompleted', executionId: 3, sourceId: 7, result: { a: 1 } }],
    ['no result', () => undefined, { kind: 'SubOrchestrationCompleted', executionId: 3, sourceId: 7 }],
    [
      'a failure',
      () => {
        throw Object.assign(new RangeError('too far'), { code: 'E_FAR' });
      },
      {
        kind: 'SubOrchestrationFailed',
        executionId: 3,
        sourceId: 7,
        failure: { name: 'RangeError', message: 'too far', code: 'E_FAR', stack: expect.any(String) as string },
      },
    ],
    ['nothing at continue-as-new', (ctx) => ctx.continueAsNew(), null],
  ])('makes the child answer with %s', async (_, handler, answer) => {
    const instance = await begin((ctx) => handler(ctx), { parent });
    expect(instance.last.messages.map(({ instanceId, payload }) => [instanceId, JSON.parse(payload) as unknown])).toEqual(
      answer === null ? [] : [['mum', answer]],
    );
  });

  it('makes the answer a message that the parent can read', async () => {
    const instance = await begin(() => '\uD800', { parent });
    expect(instance.last.messages.map(({ payload }) => message(JSON.parse(payload) as Body).message)).toEqual([
      { kind: 'SubOrchestrationCompleted', executionId: 3, sourceId: 7, result: '\uD800' },
    ]);
  });

  it('makes a cancelled child answer with CancelledError', async () => {
    const instance = await begin((ctx) => ctx.waitForEvent('never'), { parent });
    await instance.deliver(cancelRequested('by mum'));
    const [answer] = instance.last.messages.map(({ payload }) => JSON.parse(payload) as Body);
    expect(answer).toMatchObject({
      kind: 'SubOrchestrationFailed',
      failure: { name: 'CancelledError', code: 'CANCELLED', message: 'by mum' },
    });
  });

  it('is not answered again by a replay', async () => {
    const instance = await begin(() => 1, { parent });
    await instance.deliver();
    expect(instance.last.messages).toEqual([]);
  });
});

describe('children', () => {
  it('answer their parents across continue-as-new on both sides', async () => {
    const child = orchestration<number>('child', async (ctx, left) =>
      left > 0 ? await ctx.continueAsNew(left - 1) : `executions: ${ctx.executionId}`,
    );
    const root = orchestration<number>('root', async (ctx, left) => {
      const answer = await ctx.scheduleSubOrchestration('child', 2);
      return left > 0 ? await ctx.continueAsNew(left - 1) : answer;
    });
    expect(await play([root, child], 1)).toEqual([
      ['root/1', 'continuedAsNew', undefined],
      ['root::1.2/1', 'continuedAsNew', undefined],
      ['root::1.2/2', 'continuedAsNew', undefined],
      ['root::1.2/3', 'completed', '"executions: 3"'],
      ['root/2', 'completed', '"executions: 3"'],
      ['root::2.2/1', 'continuedAsNew', undefined],
      ['root::2.2/2', 'continuedAsNew', undefined],
      ['root::2.2/3', 'completed', '"executions: 3"'],
    ]);
  });

  it('of an id in use make the parent see INSTANCE_EXISTS (T4)', async () => {
    const root = orchestration('root', async (ctx) => {
      const first = ctx.scheduleSubOrchestration('child', 'one', { instanceId: 'kid' });
      const second = ctx
        .scheduleSubOrchestration('child', 'two', { instanceId: 'kid' })
        .catch((error: { readonly code?: string }) => error.code);
      const itself = ctx
        .scheduleSubOrchestration('child', 'me', { instanceId: 'root' })
        .catch((error: { readonly code?: string }) => error.code);
      return [await first, await second, await itself];
    });
    const child = orchestration('child', (ctx, input) => ctx.scheduleActivity('echo', input));
    expect((await play([root, child]))[0]).toEqual(['root/1', 'completed', '["one","INSTANCE_EXISTS","INSTANCE_EXISTS"]']);
  });

  it('bring the answer to a conflict in their start (T4)', async () => {
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('c', 1, { instanceId: 'kid' }), { executionId: 2 });
    const conflict = JSON.parse(instance.last.starts[0]?.conflictPayload ?? '') as Body & { readonly failure: Failure };
    expect(conflict).toEqual({
      kind: 'SubOrchestrationFailed',
      executionId: 2,
      sourceId: 2,
      failure: {
        name: 'DurableError',
        code: 'INSTANCE_EXISTS',
        message: expect.stringMatching(/'kid' exists already\. Choose another id/) as string,
      },
    });
    await instance.deliver(conflict);
    expect(instance.failure).toEqual({ name: 'DurableError', code: 'INSTANCE_EXISTS', message: conflict.failure.message });
  });

  it('started twice detached are left alone', async () => {
    const root = orchestration('root', (ctx) => {
      ctx.startOrchestration('child', 'kid', 'one');
      ctx.startOrchestration('child', 'kid', 'two');
    });
    const child = orchestration('child', (_, input) => input);
    expect(await play([root, child])).toEqual([
      ['root/1', 'completed', undefined],
      ['kid/1', 'completed', '"one"'],
    ]);
  });

  it('that lose a race are asked to cancel', async () => {
    const instance = await begin((ctx) => ctx.race({ child: ctx.scheduleSubOrchestration('c'), timer: ctx.scheduleTimer(5) }));
    await instance.deliver(timerFired(3));
    const [request] = instance.last.messages;
    expect(request?.instanceId).toBe('i1::1.2');
    expect(JSON.parse(request?.payload ?? '')).toEqual(
      cancelRequested('parent i1 no longer needs the result', { instanceId: 'i1', executionId: 1, eventId: 2 }),
    );
  });

  it.each<readonly [string, (ctx: { continueAsNew(): unknown }) => unknown]>([
    ['completes', () => 'done'],
    [
      'fails',
      () => {
        throw new Error('broken');
      },
    ],
    ['continues as new (T38)', (ctx) => ctx.continueAsNew()],
  ])('still open when the parent %s are asked to cancel', async (_, end) => {
    const instance = await begin(async (ctx) => {
      void ctx.scheduleSubOrchestration('c', 1, { instanceId: 'kid' });
      await ctx.scheduleActivity('a');
      return await end(ctx);
    });
    await instance.deliver(activityCompleted(3));
    expect(instance.last.messages).toEqual([{ instanceId: 'kid', payload: expect.stringContaining('CancelRequested') as string }]);
    expect(instance.lastBodies[1]).toEqual(futureCancelled(2));
  });

  it.each<readonly [string, ParentLink | undefined, boolean]>([
    ['its parent', parent, true],
    ['a client', undefined, true],
    ['another instance', { ...parent, instanceId: 'aunt' }, false],
    ['its parent, for a child of another execution', { ...parent, executionId: 2 }, false],
    ['its parent, for another child', { ...parent, eventId: 8 }, false],
  ])('are cancelled when %s asks: %s', async (_, from, isCancelled) => {
    const child = await begin((ctx) => ctx.waitForEvent('e'), { parent });
    await child.deliver(cancelRequested('enough', from));
    expect(child.last.outcome.kind).toBe(isCancelled ? 'cancelled' : 'waiting');
    if (isCancelled) expect(child.lastBodies[0]).toEqual(cancelRequested('enough', from));
    else expect(child.lastBodies).toEqual([]);
  });

  it('are cancelled by their parent also after they continued as new', async () => {
    const child = await begin((ctx) => ctx.waitForEvent('e'), { parent, executionId: 5 });
    await child.deliver(cancelRequested('enough', parent));
    expect(child.last.outcome.kind).toBe('cancelled');
  });

  it('that never started because their id was taken leave its owner alone when they are cancelled', async () => {
    const root = orchestration('root', async (ctx) => {
      ctx.startOrchestration('owner', 'taken');
      await ctx.scheduleTimer(1);
      const child = ctx.scheduleSubOrchestration('owner', undefined, { instanceId: 'taken' });
      child.cancel();
      return await child.catch((error: Error) => error.name);
    });
    const owner = orchestration('owner', (ctx) => ctx.waitForEvent('e'));
    expect(await play([root, owner])).toEqual([
      ['root/1', 'completed', '"CancelledError"'],
      ['taken/1', 'completed', '1'],
    ]);
  });

  it('that end cancel the whole tree below them', async () => {
    const node = orchestration<number>('root', async (ctx, depth) => {
      if (depth === 0) return await ctx.waitForEvent('never');
      const kids = [0, 1].map(() => ctx.scheduleSubOrchestration('root', depth - 1));
      return depth === 3 ? await ctx.race([...kids, ctx.scheduleTimer(0)]) : await ctx.all(kids);
    });
    const tree = await play([node], 3);
    expect(tree[0]).toEqual(['root/1', 'completed', '{"key":2}']);
    expect(tree.slice(1).map(([, kind]) => kind)).toEqual(Array(14).fill('cancelled'));
  });

  it('fail their parent with name, message, code and cause', async () => {
    const failure = { name: 'CardError', message: 'declined', code: 'E_CARD', cause: { name: 'Error', message: 'limit' } };
    const instance = await begin((ctx) => ctx.scheduleSubOrchestration('c'));
    await instance.deliver(childFailed(2, failure));
    expect(instance.bodies.slice(1)).toEqual([childScheduled('c', 'i1::1.2'), childFailed(2, failure), failed(failure)]);
  });

  it('can be cancelled and replaced under another id', async () => {
    const instance = await begin(async (ctx) => {
      const first = ctx.scheduleSubOrchestration('c', 1);
      first.cancel();
      const error = await first.catch((thrown: Error) => thrown.name);
      return [error, await ctx.scheduleSubOrchestration('c', 2)];
    });
    await instance.deliver({ kind: 'SubOrchestrationCompleted', executionId: 1, sourceId: 4, result: 'second' });
    expect(instance.bodies.at(-1)).toEqual(completed(['CancelledError', 'second']));
  });
});
