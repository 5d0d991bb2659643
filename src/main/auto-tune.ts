// Decides how a limit moves: pure. One state a limit, one step a period. Neighbour: auto-tuner.ts observes and applies.
//
// U1. The value never leaves its bounds.
// U2. Up by trial: while the limit holds work back and the threads have time, twice the value is tried for one period. It stays when the rate gained
//     a tenth, else the value goes back, and the next trial waits twice as long. So on steady input trials become rare, and cost next to nothing.
// U3. Down by a quarter, when the event loop of the host was late in two periods one after the other.
// U4. The period after a change is not looked at: it has the old value in it.

/** Bounds of a limit, both included. */
export type Bounds = { readonly min: number; readonly max: number };

/** What one period showed. */
export type Observation = {
  /** Items that were done a second. */
  readonly rate: number;
  /** More work was waiting than the limit let in. */
  readonly isLimited: boolean;
  /** The threads have no time left: more at once would wait in them. */
  readonly isSaturated: boolean;
  /** The event loop of the host was later than it may be. */
  readonly isLate: boolean;
};

/** Where a limit stands. */
export type TuneState = {
  readonly value: number;
  /** The value to go back to when the trial under way brings nothing; null: there is none. */
  readonly home: number | null;
  /** Rate at the value that was kept, smoothed; null: not known yet. */
  readonly rate: number | null;
  /** Periods until the next trial, and how long the one after that waits if it fails. */
  readonly patience: number;
  readonly backoff: number;
  /** Periods that are not looked at (U4). */
  readonly skip: number;
  /** Late periods one after the other. */
  readonly late: number;
};

/** What a step did. */
export type Change = 'none' | 'raised' | 'takenBack' | 'lowered';

/** Gain that a trial has to bring. Reason: less is noise. */
const GAIN = 1.1;
/** First and longest wait between trials, in periods: half a second each, so two seconds and two minutes. */
const BACKOFF = { min: 4, max: 256 };
/** A rate that differs this much from the one that was kept is other work: what was learned holds no more. */
const OTHER_WORK = 1.5;
/** Late periods before the value goes down. Reason: one is a collection of garbage. */
const LATE_PERIODS = 2;

/**
 * Begins.
 *
 * @param value - where the limit is
 * @param bounds - of the limit
 * @returns the state: the value, brought into its bounds
 */
export function startTuning(value: number, bounds: Bounds): TuneState {
  return { value: within(value, bounds), home: null, rate: null, patience: 0, backoff: BACKOFF.min, skip: 0, late: 0 };
}

/**
 * Goes on by one period.
 *
 * @param state - so far
 * @param seen - what the period showed
 * @param bounds - of the limit
 * @returns the state for the next period, and what was done
 */
export function tune(state: TuneState, seen: Observation, bounds: Bounds): { readonly state: TuneState; readonly change: Change } {
  const late = seen.isLate ? state.late + 1 : 0;
  const current = { ...state, late };
  if (state.skip > 0) return { state: { ...current, skip: state.skip - 1 }, change: 'none' };
  if (late >= LATE_PERIODS) return goDown(current, bounds);
  return state.home === null ? stay(current, seen, bounds) : judge(current, state.home, seen);
}

/** U3. A trial is no better than what it began with. */
function goDown(state: TuneState, bounds: Bounds): ReturnType<typeof tune> {
  if (state.home !== null) return takeBack(state, state.home);
  const value = within(Math.floor(state.value * 0.75), bounds);
  if (value === state.value) return { state, change: 'none' };
  const backoff = longer(state.backoff);
  return { state: { ...state, value, rate: null, patience: backoff, backoff, skip: 1, late: 0 }, change: 'lowered' };
}

/** U2, no trial under way. */
function stay(state: TuneState, { rate: seenRate, isLimited, isSaturated }: Observation, bounds: Bounds): ReturnType<typeof tune> {
  const isOther = state.rate !== null && (seenRate > state.rate * OTHER_WORK || seenRate * OTHER_WORK < state.rate);
  const backoff = isOther ? BACKOFF.min : state.backoff;
  const rate = state.rate === null || isOther ? seenRate : (state.rate + seenRate) / 2;
  const patience = Math.min(backoff, Math.max(0, state.patience - 1));
  const value = within(state.value * 2, bounds);
  const mayTry = state.patience === 0 && isLimited && !isSaturated && value > state.value;
  if (!mayTry) return { state: { ...state, rate, patience, backoff }, change: 'none' };
  return { state: { ...state, value, home: state.value, rate, patience, backoff, skip: 1 }, change: 'raised' };
}

/** U2, the end of a trial. */
function judge(state: TuneState, home: number, { rate }: Observation): ReturnType<typeof tune> {
  if (rate < (state.rate ?? 0) * GAIN) return takeBack(state, home);
  return { state: { ...state, home: null, rate, patience: 0, backoff: BACKOFF.min }, change: 'none' };
}

function takeBack(state: TuneState, home: number): ReturnType<typeof tune> {
  const backoff = longer(state.backoff);
  return { state: { ...state, value: home, home: null, patience: backoff, backoff, skip: 1, late: 0 }, change: 'takenBack' };
}

function longer(backoff: number): number {
  return Math.min(BACKOFF.max, backoff * 2);
}

function within(value: number, { min, max }: Bounds): number {
  return Math.min(max, Math.max(min, value));
}
