// Rejections that nobody handles, in a process that runs several inline runtimes: each goes to whom it belongs, and to nobody else.
import { Client, defineOrchestration, Runtime } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { exportHistory, replayHistory } from 'duraloom/testing';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { rejection } from '../support/integration-stage.ts';

/** Leaves a rejection behind while it waits. */
const forgets = defineOrchestration('forgets', async (ctx) => {
  void (async () => {
    await ctx.scheduleTimer(1);
    throw new RangeError('forgotten');
  })();
  await ctx.waitForEvent('never');
});

/** Ends before a helper that waits: the helper is cancelled, and nobody awaits it. */
const leaves = defineOrchestration('leaves', async (ctx) => {
  void (async () => {
    await ctx.waitForEvent('never');
  })();
  return await Promise.resolve('left');
});

async function startInline(): Promise<Client> {
  const provider = new MemoryProvider();
  const runtime = await Runtime.start({ provider, orchestrations: [forgets, leaves], replayThreads: 0 });
  onTestFinished(() => runtime.shutdown());
  return new Client(provider);
}

/** What is heard of rejections in this process until the test is over. */
function listen(): readonly unknown[] {
  const heard: unknown[] = [];
  const listener = (reason: unknown): void => void heard.push(reason);
  process.on('unhandledRejection', listener);
  onTestFinished(() => void process.off('unhandledRejection', listener));
  return heard;
}

describe('a rejection that nobody handles, with several inline runtimes', () => {
  test('of an orchestration fails that orchestration and is heard by nobody else', async () => {
    const heard = listen();
    const clients = await Promise.all([startInline(), startInline()]);
    for (const client of clients) {
      const handle = await client.startOrchestration('culprit', forgets);
      expect(await rejection(handle.result())).toMatchObject({ cause: { code: 'UNHANDLED_REJECTION', cause: { message: 'forgotten' } } });
      expect(await (await client.startOrchestration('innocent', leaves)).result()).toBe('left');
    }
    await nextLoop();
    expect(heard).toEqual([]);
  });

  test('of an orchestration that has ended is heard by nobody when its history is replayed', async () => {
    const heard = listen();
    const provider = new MemoryProvider();
    const runtime = await Runtime.start({ provider, orchestrations: leaves, replayThreads: 0 });
    const client = new Client(provider);
    await (await client.startOrchestration('left', leaves)).result();
    // From here on no runtime takes care of rejections.
    await runtime.shutdown();
    const history = await exportHistory(client, 'left');
    expect(await replayHistory(history, leaves)).toMatchObject({ outcome: { kind: 'completed', result: 'left' } });
    await nextLoop();
    await nextLoop();
    expect(heard).toEqual([]);
  });

  test('of anybody else is heard by whoever listens, as often as without a runtime', async () => {
    await Promise.all([startInline(), startInline()]);
    const heard = listen();
    const reason = new RangeError('of the host');
    void Promise.reject(reason);
    await nextLoop();
    await nextLoop();
    expect(heard).toEqual([reason]);
  });

  test('leaves nothing behind in the process', async () => {
    const before = { emit: Object.getOwnPropertyDescriptor(process, 'emit'), listeners: process.listeners('unhandledRejection') };
    const runtimes = await Promise.all(
      Array.from({ length: 12 }, () => Runtime.start({ provider: new MemoryProvider(), orchestrations: forgets, replayThreads: 0 })),
    );
    expect(process.listeners('unhandledRejection')).toEqual(before.listeners);
    await Promise.all(runtimes.map((runtime) => runtime.shutdown()));
    expect(Object.getOwnPropertyDescriptor(process, 'emit')).toEqual(before.emit);
  });
});
