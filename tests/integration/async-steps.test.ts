// Steps on a source that may be awaited, as that of a database server: what the seam of types/transaction.ts promises to such a source, and asks of it.
// The database is a list here, whose transactions are committed by the provider's ack: both in memory.
import { Client, defineOrchestration, defineTransactionalActivity, type ActivityOptions, type TransactionSource } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { createTestRuntime } from 'duraloom/testing';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { LogBook } from '../support/integration-log.ts';
import { PATIENCE, quick, rejection, stage } from '../support/integration-stage.ts';

type Rows = string[];

/** A database of rows beside a provider. `trouble`: called before and behind each commit. */
class ListSource implements TransactionSource<Rows, 'async'> {
  readonly mode = 'async';
  readonly rows: Rows = [];
  readonly #provider: MemoryProvider;
  closed = 0;
  trouble: (when: 'before' | 'behind') => void = () => undefined;

  constructor(provider: MemoryProvider) {
    this.#provider = provider;
  }

  async transact({ run }: Parameters<TransactionSource<Rows, 'async'>['transact']>[0]): Promise<'done' | 'lockLost' | 'gone'> {
    const written: Rows = [];
    const completion = await run(written);
    this.trouble('before');
    const [outcome = 'gone'] = completion === null ? (['done'] as const) : await this.#provider.ackWorkItems([completion]);
    if (outcome === 'done') this.rows.push(...written);
    this.trouble('behind');
    return outcome;
  }

  close(): Promise<void> {
    this.closed += 1;
    return Promise.resolve();
  }
}

const one = defineOrchestration('one', async (ctx, options: ActivityOptions) => {
  if (options.sessionId !== undefined) for (const text of ['a', 'b', 'c']) ctx.sendToSession(options.sessionId, text);
  const steps = [await ctx.scheduleActivity('step', 'x', options)];
  if (options.sessionId !== undefined) steps.push(await ctx.scheduleActivity('step', 'y', options));
  return steps;
});

type Step = (tx: Rows, input: string, ctx: Parameters<Parameters<typeof defineTransactionalActivity>[2]>[2]) => unknown;

/** A runtime with one activity, `step`, on a source of its own. */
async function open(code: Step, schemas: Parameters<typeof defineTransactionalActivity>[3] = {}) {
  const stand = stage();
  const provider = new MemoryProvider();
  stand.defer(() => provider.close());
  const source = new ListSource(provider);
  const log = new LogBook();
  const step = defineTransactionalActivity('step', source, code, schemas);
  const options = { ...quick, replayThreads: 0, activityThreads: 0, activityLockMs: 30_000, maxAttempts: 5, logger: log } as const;
  const runtime = await stand.startRuntime({ provider, orchestrations: [one], activities: [step], ...options });
  const client = new Client(provider);
  const run = async (given: ActivityOptions = {}): Promise<unknown> => {
    const handle = await client.startOrchestration('o', one, given);
    return await handle.result({ timeout: PATIENCE });
  };
  return { source, log, runtime, client, run };
}

describe('a step that is awaited', () => {
  test('commits what it wrote with its result', async () => {
    const { source, run } = await open(async (tx, input) => {
      tx.push(`${input} 1`);
      await nextLoop();
      tx.push(`${input} 2`);
      return 'done';
    });
    expect(await run()).toEqual(['done']);
    expect(source.rows).toEqual(['x 1', 'x 2']);
  });

  test('leaves nothing when it fails later, or its result does not fit', async () => {
    const fails = await open(async (tx) => {
      tx.push('row');
      await nextLoop();
      throw new RangeError('declined');
    });
    expect((await rejection(fails.run())).cause).toMatchObject({ message: 'declined' });
    const misfits = await open((tx) => Promise.resolve(tx.push('row')), {
      output: z.string().refine(async () => await Promise.resolve(true)),
    });
    expect((await rejection(misfits.run())).cause).toMatchObject({ code: 'SCHEMA_MISMATCH' });
    const wrong = await open((tx) => tx.push('row'), { input: z.number() });
    expect((await rejection(wrong.run())).cause).toMatchObject({ code: 'SCHEMA_MISMATCH' });
    expect([...fails.source.rows, ...misfits.source.rows, ...wrong.source.rows]).toEqual([]);
  });

  test('receives messages of its session, which go with its record and come again without one', async () => {
    const seen: unknown[] = [];
    const { source, run } = await open(async (tx, _input, ctx) => {
      const message = await ctx.receive<string>();
      seen.push(message);
      tx.push(message);
      return message;
    });
    let failures = 1;
    source.trouble = (when) => {
      if (when === 'before' && failures-- > 0) throw new RangeError('the connection was lost');
    };
    expect(await run({ sessionId: 's' })).toEqual(['a', 'b']);
    expect(seen).toEqual(['a', 'a', 'b']);
    expect(source.rows).toEqual(['a', 'b']);
  });
});

describe('a database that fails', () => {
  test('before the commit gives the attempt back: it runs again, and the orchestration sees nothing of it', async () => {
    const { source, run, log } = await open((tx, _input, ctx) => (tx.push('row'), ctx.attempt));
    let failures = 2;
    source.trouble = (when) => {
      if (when === 'before' && failures-- > 0) throw new RangeError('the connection was lost');
    };
    expect(await run()).toEqual([3]);
    expect(source.rows).toEqual(['row']);
    expect(log.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields['operation'])).toEqual(['transact', 'transact']);
  });

  test('behind the commit changes nothing: the step is recorded, and does not run again', async () => {
    const { source, run } = await open((tx, _input, ctx) => (tx.push('row'), ctx.attempt));
    source.trouble = (when) => {
      if (when === 'behind') throw new RangeError('the connection was lost');
    };
    expect(await run()).toEqual([1]);
    expect(source.rows).toEqual(['row']);
  });

  test('for good ends the activity with the reason', async () => {
    const { source, run } = await open(() => 'never');
    source.trouble = () => {
      throw new RangeError('the connection was lost');
    };
    const { cause } = await rejection(run());
    expect(cause).toMatchObject({ code: 'TOO_MANY_ATTEMPTS', cause: { message: 'the connection was lost' } });
  });
});

test('a runtime that stops closes its sources', async () => {
  const { source, run, runtime } = await open(() => 'done');
  await run();
  expect(source.closed).toBe(0);
  await runtime.shutdown();
  expect(source.closed).toBe(1);
});

test('in a test runtime a step commits by itself, and its calls are seen', async () => {
  const provider = new MemoryProvider();
  onTestFinished(() => provider.close());
  const source = new ListSource(provider);
  const step = defineTransactionalActivity('step', source, (tx, input: string) => (tx.push(input), 'done'));
  const runtime = await createTestRuntime({ orchestrations: { one }, activities: { step } });
  onTestFinished(() => runtime.shutdown());
  expect(await (await runtime.client.startOrchestration('o', one, {})).result()).toEqual(['done']);
  expect(source.rows).toEqual(['x']);
  expect(runtime.calls('step')).toMatchObject([{ input: 'x', status: 'completed', result: 'done' }]);
});
