// Random orchestrations in a runtime that checks every turn: whatever a deterministic program does, no check finds anything.
import fc from 'fast-check';
import { Client, defineActivity, Runtime, type MetricPoint, type ReplayMismatch } from 'duraloom';
import { MemoryProvider, SimulatedClock } from 'duraloom/testing';
import { describe, expect, test } from 'vitest';
import type { Failure } from '../../src/types/failure.ts';
import { answerActivity, PROGRAM, programOrchestrations, programs, tally, type Program } from '../support/programs.ts';
import { fcParameters, seeded } from '../support/seed.ts';

/** As a thread of activities runs what programs ask for. */
const activities = ['Work', 'Charge', 'Flaky'].map((name) =>
  defineActivity(name, (ctx, input: unknown) => {
    const answer = answerActivity({ name, input, attempt: ctx.attempt });
    if (answer.ok) return answer.value;
    throw toError(answer.failure);
  }),
);

function toError({ message, code, cause }: Failure): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause: toError(cause) }), { code });
}

/** What the checks of one run said. */
type Verdicts = {
  readonly mismatches: readonly ReplayMismatch[];
  readonly match: number;
  readonly skipped: number;
  readonly turns: number;
};

/** Long enough for every pause of a program; what waits longer waits for an event. */
const STEPS = 40;

async function play(program: Program): Promise<Verdicts> {
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const provider = new MemoryProvider({ clock });
  const mismatches: ReplayMismatch[] = [];
  const counts = new Map<string, number>();
  const runtime = await Runtime.start({
    provider,
    clock,
    orchestrations: programOrchestrations,
    activities,
    tags: { defaultAnd: ['limited'] },
    replayThreads: 0,
    activityThreads: 0,
    replayCheckRate: 1,
    onReplayMismatch: (mismatch) => mismatches.push(mismatch),
    metrics: {
      record: ({ name, labels }: MetricPoint) => {
        const { outcome } = labels;
        if (name === 'duraloom_replay_checks_total' && outcome !== undefined) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      },
    },
  });
  const client = new Client(provider, { clock });
  await client.startOrchestration('root', PROGRAM, program);
  for (let step = 0; step < STEPS; step += 1) {
    await clock.runToNextTimer();
    const living = (await client.listInstances()).instances.filter(({ status }) => status === 'Pending' || status === 'Running');
    if (living.length === 0) break;
    for (const { instanceId } of living) {
      if (step > STEPS / 2) await client.cancel(instanceId, 'out of patience');
      await client.raiseEvent(instanceId, step % 2 === 0 ? 'go' : 'stop', step);
    }
    await client.publish('orders/eu', step);
  }
  await clock.advance(0);
  const turns = runtime.stats().turnsCommitted;
  await runtime.shutdown({ timeoutMs: 0 });
  await provider.close();
  return { mismatches, match: counts.get('match') ?? 0, skipped: counts.get('skipped') ?? 0, turns };
}

describe(seeded('a replay check of every turn'), () => {
  test('finds nothing in any program', async () => {
    const totals = { match: 0, skipped: 0, turns: 0 };
    const operations = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        tally(program, operations);
        const { mismatches, match, skipped, turns } = await play(program);
        expect(mismatches.map(({ error }) => error.message)).toEqual([]);
        totals.match += match;
        totals.skipped += skipped;
        totals.turns += turns;
      }),
      fcParameters({ numRuns: 150 }),
    );
    // Turns that added no event are not checked.
    expect(totals.match + totals.skipped).toBeLessThanOrEqual(totals.turns);
    expect(totals.match).toBeGreaterThan(totals.turns / 2);
    expect(totals.skipped).toBeLessThan(totals.match / 10);
    for (const op of ['patch', 'again', 'keyValue', 'child', 'scope', 'limit', 'draw']) expect(operations.get(op) ?? 0).toBeGreaterThan(0);
  });
});
