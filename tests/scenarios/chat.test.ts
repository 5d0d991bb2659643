// Chat with queues and status, on one node and scaled out with sessions.
import { Client } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { startHost, type Host } from '../support/integration-child.ts';
import { PATIENCE, stage } from '../support/integration-stage.ts';
import { chat, warmChat, type Answer } from './fixtures/chat.ts';
import { inEveryMode, scenarioModule } from './world.ts';

type Shown = { readonly state: string; readonly replies: number; readonly reply?: string };

inEveryMode({ module: 'chat.ts' }, (world) => {
  test('a person gets each reply by a long poll of the status, over executions and restarts', async () => {
    await world.client.startOrchestration('chat', chat, { transcript: [] });
    await world.reach('chat', { state: 'listening', replies: 0 });
    for (const [index, text] of ['hello', 'how are you', 'nice'].entries()) {
      const raised = await world.client.raiseEvent('chat', 'said', { by: 'Ada', text }, { key: `message ${index}` });
      expect(raised.delivered).toBe(true);
      const { customStatus } = await world.reach('chat', (status: unknown) => {
        const { state, replies } = status as Shown;
        return state === 'replied' && replies === index + 1;
      });
      expect(customStatus).toEqual({ state: 'replied', replies: index + 1, reply: `${text.toUpperCase()}! (${index + 1})` });
      await world.interrupt();
    }
    await world.client.raiseEvent('chat', 'bye');
    const transcript = await world.result<readonly { readonly text: string }[]>('chat');
    expect(transcript.map(({ text }) => text)).toEqual(['hello', 'HELLO! (1)', 'how are you', 'HOW ARE YOU! (2)', 'nice', 'NICE! (3)']);
    const state = await world.client.getState('chat');
    expect(state).toMatchObject({ status: 'Completed', executionId: 4, customStatus: { state: 'over', replies: 3 } });
    // A version for each change: nobody who polled with the last one that he saw has missed one.
    expect(state?.customStatusVersion).toBe(8);
    expect(world.notes('model-chat')).toEqual(['hello', 'how are you', 'nice']);
    expect(await world.outline('chat', 2)).toEqual([
      'OrchestrationStarted chat',
      'EventAwaited said',
      'EventAwaited bye',
      'EventRaised said',
      'FutureCancelled bye',
      'CustomStatusSet',
      'ActivityScheduled think',
      'ActivityCompleted think',
      'CustomStatusSet',
      'OrchestrationContinuedAsNew',
    ]);
  });

  test('what is said while the model thinks waits in the queue, in order', async () => {
    await world.client.startOrchestration('hasty', chat, { transcript: [] });
    const texts = Array.from({ length: 12 }, (_, index) => `message ${index}`);
    for (const text of texts.slice(0, 6)) await world.client.raiseEvent('hasty', 'said', { by: 'Ada', text });
    await world.interrupt();
    for (const text of texts.slice(6)) await world.client.raiseEvent('hasty', 'said', { by: 'Ada', text });
    await world.reach('hasty', (status: unknown) => (status as Shown | undefined)?.replies === 12);
    await world.client.raiseEvent('hasty', 'bye');
    const transcript = await world.result<readonly { readonly by: string; readonly text: string }[]>('hasty');
    expect(transcript.filter(({ by }) => by === 'Ada').map(({ text }) => text)).toEqual(texts);
    expect(world.notes('model-hasty')).toEqual(texts);
    expect(await world.client.getState('hasty')).toMatchObject({ executionId: 13 });
  });

  test('a poll of somebody who has seen it all waits for the next change', async () => {
    await world.client.startOrchestration('quiet', chat, { transcript: [] });
    const { customStatusVersion } = await world.reach('quiet', { state: 'listening', replies: 0 });
    const next = world.client.waitForCustomStatus('quiet', { afterVersion: customStatusVersion, timeout: PATIENCE });
    await world.client.raiseEvent('quiet', 'bye');
    expect(await next).toMatchObject({ customStatus: { state: 'over', replies: 0 }, customStatusVersion: customStatusVersion + 1 });
  });
});

describe.each([
  ['inline', 0],
  ['in threads', 1],
] as const)('scaled out over processes, %s', (_name, threads) => {
  test('each chat stays on the node that has its model warm; when a node dies, its chats go on elsewhere and lose nothing', async () => {
    const stand = stage();
    const client = new Client(await stand.openProvider({ synchronous: 'NORMAL' }));
    const url = scenarioModule('chat.ts').href;
    const startNode = (nodeId: string): Promise<Host> =>
      startHost(stand, {
        orchestrations: url,
        activities: url,
        nodeId,
        replayThreads: threads,
        activityThreads: threads,
        maxSessions: 2,
        sessionLeaseMs: 3_000,
        orchestrationLockMs: 500,
        activityLockMs: 500,
        turnTimeoutMs: 5_000,
        maxAttempts: 10,
      });
    const nodes = await Promise.all([startNode('node-1'), startNode('node-2')]);
    const chats = ['ada', 'grace', 'alan', 'edsger'];
    await client.startOrchestrations(chats.map((instanceId) => ({ instanceId, orchestration: warmChat, input: { heard: [] } })));
    const versions = new Map(chats.map((id) => [id, 0]));
    const say = async (text: string): Promise<ReadonlyMap<string, Answer>> => {
      await client.raiseEvents(chats.map((instanceId) => ({ instanceId, name: 'said', data: text })));
      const answers = chats.map(async (id) => {
        const state = await client.waitForCustomStatus(id, { afterVersion: versions.get(id) ?? 0, timeout: PATIENCE });
        versions.set(id, state.customStatusVersion);
        return [id, state.customStatus as Answer] as const;
      });
      return new Map(await Promise.all(answers));
    };
    const first = await say('one');
    expect([...first.values()].map(({ text, warm }) => ({ text, warm }))).toEqual(chats.map(() => ({ text: 'one', warm: false })));
    const home = new Map([...first].map(([id, { pid }]) => [id, pid]));
    // No node may hold more than two.
    expect([...home.values()].toSorted((a, b) => a - b)).toEqual(nodes.flatMap(({ pid }) => [pid, pid]).toSorted((a, b) => a - b));
    const second = await say('two');
    for (const id of chats) expect(second.get(id)).toEqual({ text: 'one two', pid: home.get(id), warm: true });

    const [dying, staying] = nodes;
    const third = await startNode('node-3');
    await dying.kill();
    const after = await say('three');
    for (const id of chats) {
      const isOrphan = home.get(id) === dying.pid;
      expect(after.get(id)).toEqual({ text: 'one two three', pid: isOrphan ? third.pid : staying.pid, warm: !isOrphan });
    }
    await client.raiseEvents(chats.map((instanceId) => ({ instanceId, name: 'said', data: 'bye' })));
    for (const id of chats) expect(await client.waitForResult(id, { timeout: PATIENCE })).toEqual(['one', 'two', 'three']);
  });
});
