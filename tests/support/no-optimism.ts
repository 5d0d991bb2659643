// A store that refuses optimistic turns, for tests of the other way: activities are acked by themselves, and their completions are queued.
import type { OrchestrationAck, OrchestrationAckOutcome } from 'duraloom';

/**
 * Answers `conflict` to optimistic turns, as a store does when something else has happened to the instance.
 *
 * @param call - acks the others
 * @param acks - turns
 * @returns one outcome per turn
 */
export async function refuseOptimism(
  call: (acks: readonly OrchestrationAck[]) => Promise<readonly OrchestrationAckOutcome[]>,
  acks: readonly OrchestrationAck[],
): Promise<readonly OrchestrationAckOutcome[]> {
  const outcomes = [...(await call(acks.filter(({ lockToken }) => lockToken !== null)))];
  return acks.map(({ lockToken }) => (lockToken === null ? 'conflict' : (outcomes.shift() ?? 'instanceGone')));
}
