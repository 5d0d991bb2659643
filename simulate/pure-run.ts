// Runs a program without store, threads and time: what its result is when nothing goes wrong. Neighbour: steady.ts says for which programs
// that is the result in any world.
import { answerActivity, PROGRAM, programOrchestrations, type Program } from '../tests/support/programs.ts';
import { run, World } from '../tests/support/replay-harness.ts';
import type { TurnOutcome } from '../src/types/replay.ts';

/** How an orchestration ended: with the text of its result, or the message of its error. */
export type Ending = { readonly status: 'Completed' | 'Failed' | 'Cancelled'; readonly text: string };

/**
 * Runs a program.
 *
 * @param instanceId - id of its instance: its random numbers follow from it
 * @param program - what it does
 * @returns how it ended
 */
export async function runPurely(instanceId: string, program: Program): Promise<Ending> {
  const world = new World({
    definitions: programOrchestrations,
    root: { instanceId, name: PROGRAM, input: program },
    choose: () => 0,
    answer: answerActivity,
    engines: 'sticky',
    clock: 'frozen',
    noise: false,
  });
  const { executions, faults } = await run(world.play());
  if (faults.length > 0) throw new Error(`the pure run of a program failed: ${faults.join('; ')}`);
  const last = executions.findLast((execution) => execution.instanceId === instanceId)?.turns.at(-1)?.result.outcome;
  if (last === undefined) throw new Error('the pure run of a program had no turn');
  return endingOf(last);
}

function endingOf(outcome: TurnOutcome): Ending {
  switch (outcome.kind) {
    case 'completed':
      return { status: 'Completed', text: outcome.result ?? '' };
    case 'failed':
      return { status: 'Failed', text: messageOf(outcome.failure) };
    case 'cancelled':
      return { status: 'Cancelled', text: messageOf(outcome.failure) };
    case 'waiting':
    case 'continuedAsNew':
    case 'faulted':
    case 'notRegistered':
      throw new Error(`the pure run of a program ended ${outcome.kind}`);
  }
}

function messageOf(failure: string): string {
  return (JSON.parse(failure) as { readonly message: string }).message;
}
