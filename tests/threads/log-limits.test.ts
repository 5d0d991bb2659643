// How many log lines a thread sends while main does not take them: the loops of threads, over ports within this one.
import { defineActivity, defineOrchestration } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/provider/system-clock.ts';
import { ActivityLoop } from '../../src/threads/activity-loop.ts';
import {
  readActivityBatch,
  readReplayBatch,
  writeActivityRequest,
  writeTurnRequest,
  type ActivityBatch,
  type TurnReply,
  type Wire,
} from '../../src/threads/messages.ts';
import { Progress } from '../../src/threads/progress.ts';
import { ReplayLoop } from '../../src/threads/replay-loop.ts';
import { makeInlineChannel, type WorkPort } from '../../src/threads/work-port.ts';
import { MAX_THREAD_LOG_UNITS } from '../../src/types/limits.ts';
import { encodeStart } from '../../src/types/message-text.ts';

/** Batches of a loop, one after the other. */
class Inbox {
  readonly #batches: Wire[] = [];
  #wake: (() => void) | null = null;

  constructor(port: WorkPort) {
    port.on('message', (wire) => {
      this.#batches.push(wire);
      this.#wake?.();
    });
  }

  async next(): Promise<Wire> {
    for (;;) {
      const wire = this.#batches.shift();
      if (wire !== undefined) return wire;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const fail = (error: unknown): never => {
  throw error;
};

test('what main has not taken is counted over the whole range of the shared memory', () => {
  const progress = new Progress();
  const thread = new Progress(progress.buffer);
  const step = 2 ** 30;
  for (let round = 0; round < 10; round += 1) {
    expect(thread.sendLogs(step)).toBe(step);
    expect(thread.sendLogs(5)).toBe(step + 5);
    progress.takeLogs(step + 5);
  }
});

describe('a replay thread', () => {
  test('drops the lines of turns while main has too many, and sends them again when it has taken some', async () => {
    const chatters = defineOrchestration('chatters', (ctx) => {
      for (let line = 0; line < 2_000; line += 1) ctx.log.info('chatter');
    });
    const [port, loopPort] = makeInlineChannel(systemClock, systemClock);
    const progress = new Progress();
    const loop = new ReplayLoop({ port: loopPort, clock: systemClock, progress, cacheBytes: 0, fail });
    onTestFinished(() => loop.dispose());
    await loop.load([{ prefix: '', source: chatters }], {});
    const inbox = new Inbox(port);
    const message = encodeStart({
      name: 'chatters',
      version: undefined,
      input: undefined,
      parent: undefined,
      attributes: undefined,
      trace: null,
    });
    const run = async (seq: number): Promise<Extract<TurnReply, { kind: 'turn' }>['result']> => {
      const wire: Wire = [];
      writeTurnRequest(wire, { seq, instanceId: `i${seq}`, executionId: 1, baseEventId: 0, nowMs: 0, history: null, messages: [message] });
      port.postMessage(wire);
      const [reply] = readReplayBatch(await inbox.next()).replies;
      if (reply?.kind !== 'turn') throw new TypeError('the turn was not answered');
      return reply.result;
    };
    let units = 0;
    for (let seq = 1; ; seq += 1) {
      const { outcome, logs, logUnits, droppedLogs } = await run(seq);
      expect(outcome.kind).toBe('completed');
      expect(logs.length + droppedLogs).toBe(2_000);
      units += logUnits;
      if (logs.length > 0) continue;
      expect([units <= MAX_THREAD_LOG_UNITS, units > MAX_THREAD_LOG_UNITS / 2, seq > 3]).toEqual([true, true, true]);
      break;
    }
    progress.takeLogs(units);
    expect(await run(100)).toMatchObject({ droppedLogs: 0, logs: { length: 2_000 } });
  });
});

describe('an activity thread', () => {
  test('tells of dropped lines when there is nothing else to tell, and of several at once', async () => {
    let say = (): void => undefined;
    const chatters = defineActivity('chatters', (ctx) => {
      for (let line = 0; line < 20_000; line += 1) ctx.log.info('chatter');
      say = () => ctx.log.info('one more');
      return new Promise<never>(() => undefined);
    });
    const [port, loopPort] = makeInlineChannel(systemClock, systemClock);
    const progress = new Progress();
    const host = { call: () => Promise.reject(new TypeError('unused')), receive: () => Promise.reject(new TypeError('unused')) };
    const loop = new ActivityLoop({ port: loopPort, clock: systemClock, progress, slots: 1, host, storeName: 'none', graceMs: 0, fail });
    onTestFinished(() => loop.dispose());
    await loop.load([{ prefix: '', source: chatters }]);
    const inbox = new Inbox(port);
    const next = async (): Promise<ActivityBatch> => readActivityBatch(await inbox.next());
    const wire: Wire = [];
    writeActivityRequest(wire, {
      seq: 1,
      instanceId: 'i',
      executionId: 1,
      eventId: 2,
      name: 'chatters',
      input: '',
      attempt: 1,
      special: null,
    });
    port.postMessage(wire);
    const first = await next();
    expect(first.logs.length + first.droppedLogs).toBe(20_000);
    expect(first.logUnits).toBeLessThanOrEqual(MAX_THREAD_LOG_UNITS);
    // A flood of single lines would be a flood of batches, too.
    for (let line = 0; line < 10; line += 1) {
      say();
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    const told: ActivityBatch[] = [];
    while (told.reduce((sum, { droppedLogs }) => sum + droppedLogs, 0) < 10) told.push(await next());
    expect(told.length).toBeLessThan(5);
    expect(told.flatMap(({ logs }) => logs)).toEqual([]);
    progress.takeLogs(first.logUnits);
    say();
    expect(await next()).toMatchObject({
      droppedLogs: 0,
      logs: [{ seq: 1, instanceId: 'i', activity: 'chatters', line: { message: 'one more' } }],
    });
  });
});
