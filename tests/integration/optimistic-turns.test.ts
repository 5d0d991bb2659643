// Optimistic turns over real threads and files: threads that die in them, engines that were evicted meanwhile, another runtime on the same file.
// Neighbour: tests/main/optimistic-turns.test.ts has each trouble by itself, in simulated time.
import { Client, type HistoryEvent, type Runtime, type RuntimeOptions } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { DURALOOM_URL, PATIENCE, quick, rejection, stage, type Stage } from '../support/integration-stage.ts';

/** Where nobody dies, no lease is to run out on a busy machine. */
const patient = { ...quick, turnTimeoutMs: 20_000, activityLockMs: 30_000, orchestrationLockMs: 30_000 };

/** A chain of activities, one that keeps ten at a time busy, and one that kills its thread whenever it has an answer. */
function writeModule(stand: Stage): URL {
  return stand.writeModule(
    'definitions.ts',
    `import { defineActivity, defineOrchestration } from '${DURALOOM_URL}';
     export const work = defineActivity('work', async (_ctx, input: number) => {
       // Some are answered in a batch of their own.
       if (input % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
       return input;
     });
     export const chain = defineOrchestration('chain', async (ctx, { length }: { length: number }) => {
       let sum = 0;
       for (let step = 0; step < length; step += 1) sum += await ctx.scheduleActivity('work', step);
       return sum;
     });
     export const ten = defineOrchestration('ten', async (ctx, { length: total }: { length: number }) => {
       let next = 0;
       let sum = 0;
       const worker = async () => {
         while (next < total) {
           next += 1;
           const one = await ctx.scheduleActivity('work', next);
           sum += one;
         }
       };
       await ctx.all(Array.from({ length: 10 }, worker));
       return sum;
     });
     export const kills = defineOrchestration('kills', async (ctx) => {
       await ctx.scheduleActivity('work', 1);
       process.exit(7);
     });`,
  );
}

async function open(options: Partial<RuntimeOptions> = {}, hosts = 1) {
  const stand = stage();
  const modules = writeModule(stand);
  const runtimes: Runtime[] = [];
  for (let host = 0; host < hosts; host += 1) {
    const provider = await stand.openProvider();
    runtimes.push(await stand.startRuntime({ provider, orchestrations: modules, activities: modules, ...patient, ...options }));
  }
  return { runtimes, client: new Client(await stand.openProvider()) };
}

/** Each activity was answered once, and ids are dense. */
function isSound(history: readonly HistoryEvent[]): boolean {
  const answered = history.flatMap((event) => (event.kind === 'ActivityCompleted' ? [event.sourceId] : []));
  return new Set(answered).size === answered.length && history.every(({ id }, index) => id === index + 1);
}

const sumOf = (length: number): number => (length * (length - 1)) / 2;

/** Starts chains and crowds, waits for all and looks at their histories. */
async function runAll(client: Client, count: number, padding = ''): Promise<void> {
  const length = 12;
  const starts = Array.from({ length: count }, (_, index) => ({
    instanceId: `i${index}`,
    orchestration: index % 4 === 0 ? 'ten' : 'chain',
    input: { length, padding },
  }));
  await client.startOrchestrations(starts);
  for (const { instanceId, orchestration } of starts) {
    const sum = await client.waitForResult<number>(instanceId, { timeout: PATIENCE });
    expect(sum).toBe(orchestration === 'ten' ? sumOf(length + 1) : sumOf(length));
    expect(isSound(await client.readHistory(instanceId))).toBe(true);
  }
}

/** Everything that was in flight ends: what is answered last is settled after the result is told. */
async function comesToRest(runtimes: readonly Runtime[]): Promise<void> {
  for (const runtime of runtimes) {
    await runtime.shutdown({ timeoutMs: 20_000 });
    expect(runtime.stats()).toMatchObject({ state: 'stopped', turnsInFlight: 0, activitiesInFlight: 0 });
  }
}

describe('optimistic turns', { timeout: 60_000 }, () => {
  test('over several threads give each result once', async () => {
    const { runtimes, client } = await open({ replayThreads: 2, activityThreads: 2 });
    await runAll(client, 60);
    await comesToRest(runtimes);
  });

  test('meet engines that were evicted meanwhile', async () => {
    const { runtimes, client } = await open({ stickyCacheMb: 1 });
    await runAll(client, 60, 'x'.repeat(100_000));
    await comesToRest(runtimes);
  });

  test('of two runtimes on one file do not get in each other’s way', async () => {
    const { runtimes, client } = await open({}, 2);
    await runAll(client, 80);
    await comesToRest(runtimes);
    const completed = runtimes.map((runtime) => runtime.stats().activitiesCompleted);
    expect(completed[0] === undefined || completed[1] === undefined ? 0 : completed[0] + completed[1]).toBe(80 * 12);
  });

  test('that kill their thread charge nobody: the fetched turns after them do, and innocent ones go on', async () => {
    const { runtimes, client } = await open({ maxAttempts: 2 });
    await client.startOrchestration('killer', 'kills');
    await runAll(client, 20);
    expect(await rejection(client.waitForResult('killer', { timeout: PATIENCE }))).toMatchObject({ code: 'INSTANCE_QUARANTINED' });
    expect(await client.getState('killer')).toMatchObject({ status: 'Quarantined' });
    await comesToRest(runtimes);
  });

  test('lose nothing when threads of both kinds die again and again', async () => {
    const { runtimes, client } = await open({ replayThreads: 2, activityThreads: 2, maxAttempts: 50 });
    const [runtime] = runtimes;
    let deaths = 0;
    const crash = setInterval(() => {
      deaths += 1;
      // Not for ever: on a busy machine a thread would die before it is up.
      if (deaths > 8) return;
      runtime?.crashThread({ kind: deaths % 3 === 0 ? 'activity' : 'replay', index: deaths % 2 });
    }, 100);
    try {
      await runAll(client, 60);
    } finally {
      clearInterval(crash);
    }
    await comesToRest(runtimes);
  });
});
