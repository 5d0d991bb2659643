// Checks a committed turn: the instance is rebuilt from its history in a fresh engine, and both must stand alike. That finds what no other check
// sees: state of a module that leaks from one instance or turn into another. Neighbours: replay-loop.ts runs it, main/replay-checks.ts
// asks for it.
import { strayedError } from '../replay/engine-errors.ts';
import { describeParting, type Parting } from '../replay/history-diff.ts';
import type { ReplayEngine } from '../replay/replay-engine.ts';
import { validateHistory } from '../replay/validate-history.ts';
import { encodeRecord, parseRecord } from '../types/codec.ts';
import { toFailure, type Failure } from '../types/failure.ts';
import { parseHistoryPages } from '../types/history-text.ts';
import type { ReplayResult, Standing } from '../types/replay.ts';
import type { CheckFinding, CheckReply, CheckRequest } from './messages.ts';

/**
 * Tells whether a turn is among those that are checked. It follows from the turn alone, without randomness: the same events are checked wherever
 * an instance runs, and a simulation is the same twice.
 *
 * @param rate - share of the turns, 0 to 1
 * @param engine - after the turn
 * @param result - of the turn; one that added no event decided nothing and is never picked, nor one that is not committed
 */
export function isPicked(
  rate: number,
  { instanceId, executionId }: ReplayEngine,
  { outcome, firstEventId, lastEventId }: ReplayResult,
): boolean {
  if (lastEventId < firstEventId || outcome.kind === 'faulted' || outcome.kind === 'notRegistered') return false;
  return hash(instanceId, executionId, lastEventId) < rate * 2 ** 32;
}

/** Evenly spread over the whole numbers below 2^32. */
function hash(instanceId: string, executionId: number, eventId: number): number {
  let state = Math.imul(executionId, 0x9e37_79b1) ^ Math.imul(eventId, 0x85eb_ca77);
  for (let index = 0; index < instanceId.length; index += 1) state = Math.imul(state ^ instanceId.charCodeAt(index), 0x0100_0193);
  state = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2_ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

/**
 * Checks one turn. Yields where microtasks are to be drained.
 *
 * @param engine - a fresh one, whose host tells nobody of faults
 * @param request - what to compare it with
 * @throws {HistoryError} when the history is damaged
 */
export function* runCheck(engine: ReplayEngine, request: CheckRequest): Generator<void, CheckReply, void> {
  const history = validateHistory(parseHistoryPages(request.history));
  yield* engine.replay(history, request.history.length);
  // Without messages it runs nothing and says how the replay went.
  const { outcome } = yield* engine.turn({ nowMs: 0, messages: [] });
  const answer = (finding: CheckFinding | null): CheckReply => ({ kind: 'check', seq: request.seq, finding });
  if (outcome.kind === 'faulted' || outcome.kind === 'notRegistered') {
    const failure = parseRecord(outcome.failure) as Failure;
    const parting = failure.nondeterminism === undefined ? null : describeParting(history, failure.nondeterminism);
    return answer({ failure, parting });
  }
  const standing = engine.describeStanding();
  if (encodeRecord(standing) === request.standing) return answer(null);
  const parting = compare(parseRecord(request.standing) as Standing, standing);
  return answer({ failure: toFailure(strayedError(engine, parting)), parting });
}

/** The decisions are the same, but not all that later ones follow from. */
function compare(live: Standing, rebuilt: Standing): Parting & { readonly recorded: string } {
  const names = Object.keys(live) as readonly (keyof Standing)[];
  const show = (standing: Standing): readonly string[] =>
    names
      .filter((name) => encodeRecord([live[name]]) !== encodeRecord([rebuilt[name]]))
      .map((name) => `${name}: ${encodeRecord([standing[name]])}`);
  const [recorded, emitted] = [show(live), show(rebuilt)];
  const diff = [
    '- engine that ran the turn',
    '+ engine rebuilt from history',
    ...recorded.map((line) => `- ${line}`),
    ...emitted.map((line) => `+ ${line}`),
  ];
  return { eventId: live.lastEventId, recorded: recorded.join(', '), emitted: emitted.join(', '), diff: diff.join('\n') };
}
