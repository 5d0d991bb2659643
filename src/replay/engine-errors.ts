// The errors that replay finds, in words that tell a person what to do. Neighbour: replay-engine.ts throws and records them.
import { ArgumentError, DeterminismError, DurableError } from '../types/errors.ts';
import { toFailure, type Nondeterminism } from '../types/failure.ts';
import type { HistoryEvent } from '../types/history-event.ts';
import { MAX_CARRIED_EVENT_UNITS, MAX_HISTORY_EVENTS, MAX_SUBSCRIPTIONS } from '../types/limits.ts';
import { describeEvent } from './decision.ts';

/** Whose fault it is. */
export type Culprit = { readonly name: string; readonly instanceId: string; readonly executionId: number; readonly lastCall: string };

function where({ name, instanceId, executionId }: Culprit): string {
  return `orchestration '${name}' (instance '${instanceId}', execution ${executionId})`;
}

/** The code decides something else than history recorded; `emitted` says what, `eventId` where. */
export function nondeterminismError(
  culprit: Culprit,
  at: Omit<Nondeterminism, 'recorded'> & { readonly recorded: HistoryEvent | undefined },
): DeterminismError {
  const { eventId, emitted, location } = at;
  const recorded = at.recorded === undefined ? null : describeEvent(at.recorded);
  const history = recorded === null ? 'history ends here' : `history has ${recorded}`;
  const code = `the code now ${DECISION.test(emitted) ? 'decides ' : ''}${withLocation(emitted, location)}`;
  return new DeterminismError(
    'NONDETERMINISM',
    `${where(culprit)} does not follow its history at event ${eventId}: ${history}, but ${code}${ADVICE}`,
    { nondeterminism: { eventId, recorded, emitted, location } },
  );
}

const ADVICE = '. Deploy the code that wrote this history, or register the changed code as a new version';
/** How the text of a decision begins; other texts say in words what the code does. */
const DECISION = /^[A-Z]/;

/** What the code does, and where. */
export function withLocation(emitted: string, location: string | null): string {
  return location === null ? emitted : `${emitted} (${location})`;
}

/**
 * Reads the message of a `nondeterminismError`: failures that were stored before they had it as data hold nothing else. Payloads in the message
 * may look like the text around them; then the sides are cut in the wrong place.
 *
 * @param message - of an error with the code `NONDETERMINISM`
 * @returns what it says; null when it was made by something else
 */
export function parseNondeterminism(message: string): Nondeterminism | null {
  const found = / does not follow its history at event (\d+): (?:history ends here|history has (.*?)), but the code now (.*)$/s.exec(
    message,
  );
  if (found === null) return null;
  const [, eventId, recorded, now = ''] = found;
  const end = now.lastIndexOf(ADVICE);
  const did = (end < 0 ? now : now.slice(0, end)).replace(/^decides (?=[A-Z])/, '');
  return { eventId: Number(eventId), recorded: recorded ?? null, ...splitLocation(did) };
}

/**
 * Takes apart what `withLocation` joined.
 *
 * @param text - what the code does, and perhaps where
 * @returns both
 */
export function splitLocation(text: string): Pick<Nondeterminism, 'emitted' | 'location'> {
  const [, emitted = text, location = null] = /^(.*\}) \((at .*)\)$/s.exec(text) ?? [];
  return { emitted, location };
}

/** The code decides as history recorded, but an engine that was rebuilt does not stand like the one that wrote the last events. */
export function strayedError(culprit: Culprit, at: { readonly eventId: number; readonly recorded: string }): DeterminismError {
  return new DeterminismError(
    'NONDETERMINISM',
    `${where(culprit)} stands differently at event ${at.eventId} when it is rebuilt from its history: what it does next depends on something that is not in the history, such as a variable of the module. Move that into an activity, or into the input. The engine that ran the turn had ${at.recorded}`,
  );
}

/** The code waits for nothing durable. */
export function stuckError(culprit: Culprit): DeterminismError {
  return new DeterminismError(
    'ORCHESTRATION_STUCK',
    `${where(culprit)} awaits something that is not durable: a plain timer, I/O, or a promise from outside. It would wait for ever after a restart. Last durable call: ${culprit.lastCall}. Move that work into an activity`,
  );
}

/** The code went on while it was not its turn; `what` it did. */
export function lateError(culprit: Culprit, what: string): DeterminismError {
  return new DeterminismError(
    'LATE_CALL',
    `${where(culprit)} went on between its turns: ${what} after awaiting something that is not durable. Last durable call before: ${culprit.lastCall}. Move that work into an activity`,
  );
}

/** A promise of the code was rejected and nobody handled it. */
export function rejectionError(culprit: Culprit, reason: unknown): DeterminismError {
  const failure = toFailure(reason);
  return new DeterminismError(
    'UNHANDLED_REJECTION',
    `${where(culprit)} left a rejected promise unhandled: ${failure.name}: ${failure.message}. Await it, or add a catch`,
    { cause: reason },
  );
}

/** The execution needs one event more than it may have; `events` counts it. */
export function tooLongError(culprit: Culprit, events: number): DurableError {
  return new DurableError(
    'HISTORY_TOO_LONG',
    `${where(culprit)} needs event ${events}, more than the limit of ${MAX_HISTORY_EVENTS} events. Split it into sub-orchestrations or continue as new`,
  );
}

/** Continue-as-new would carry too much. */
export function carriedTooLargeError(events: number, units: number): DurableError {
  return new DurableError(
    'PAYLOAD_TOO_LARGE',
    `continue-as-new would carry ${events} unread external events in ${units} characters, more than ${MAX_CARRIED_EVENT_UNITS}. Read events before continuing, send references, or set \`onEventOverflow\``,
  );
}

/** One subscription too many. */
export function tooManySubscriptionsError(culprit: Culprit): ArgumentError {
  return new ArgumentError(
    `Expected at most ${MAX_SUBSCRIPTIONS} subscriptions, ${where(culprit)} asked for one more. Use a pattern with wildcards, or unsubscribe`,
  );
}

/** No such code here. */
export function notRegisteredError(name: string, version: string | undefined, registered: string): DurableError {
  const wanted = version === undefined ? `'${name}'` : `'${name}' version ${version}`;
  return new DurableError(
    'ORCHESTRATION_NOT_REGISTERED',
    `orchestration ${wanted} is not registered in this runtime (${registered}). Export it from a module given as \`orchestrations\``,
  );
}

/**
 * Finds where the user's code made the current ctx call.
 *
 * @returns a line of the stack, such as `at order (file:///app/order.ts:12:20)`; null when the stack does not tell
 */
export function findCallSite(): string | null {
  // Hosts can turn stacks off or into objects.
  const frames = String(new Error('call site').stack).split('\n').slice(1);
  const frame = frames.find(
    (line) => !/replay[\\/](?:replay-engine|engine-errors|orchestration-context|durable-future|combinators|retry|scope)\.[jt]s/.test(line),
  );
  // The engine takes some decisions by itself: then whoever steps it comes next.
  return frame === undefined || frame.includes('.next (<anonymous>)') ? null : frame.trim();
}
