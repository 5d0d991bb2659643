// What a mode hands back, and how it is printed: violations, throughput and latency, verdict, one JSON line. Neighbour: main.ts.
import type { RecordableHistogram } from 'node:perf_hooks';
import type { ModeOptions, Settings } from './options.ts';
import type { Workspace } from './workspace.ts';

/** How a run ended. */
export type Outcome = {
  /** In words; empty: all is well. */
  readonly violations: readonly string[];
  /** Orchestrations that completed. */
  readonly completed: number;
  /** Their durations, in microseconds. */
  readonly latency: RecordableHistogram;
  /** What else was counted, such as kills. */
  readonly figures: Readonly<Record<string, number>>;
};

/** A mode needs what this machine does not have. */
export class CannotRun extends Error {
  override readonly name: string = 'CannotRun';
}

/** One way of trying to break the promise. */
export type Mode = ModeOptions & {
  readonly summary: string;
  readonly run: (settings: Settings, workspace: Workspace) => Promise<Outcome>;
};

/** Most violations that are printed. */
const SHOWN = 50;

/** Settings that mean something to a mode. */
export function shownSettings({ length }: Mode, settings: Settings): Readonly<Record<string, unknown>> {
  const { rounds, minutes, ...rest } = settings;
  return { ...(length === 'rounds' ? { rounds } : { minutes }), ...rest };
}

/**
 * Prints how a run ended; the last line is JSON.
 *
 * @param mode - its name
 * @param settings - what it was made with
 * @param run - outcome and length
 */
export function printOutcome(
  mode: string,
  settings: Readonly<Record<string, unknown>>,
  run: { readonly outcome: Outcome; readonly seconds: number },
): void {
  const { violations, completed, latency, figures } = run.outcome;
  for (const violation of violations.slice(0, SHOWN)) console.error(`violation: ${violation}`);
  if (violations.length > SHOWN) console.error(`… and ${violations.length - SHOWN} more`);
  const seconds = round(run.seconds);
  const perSecond = round(completed / run.seconds);
  const [p50Ms, p99Ms] = [percentileMs(latency, 50), percentileMs(latency, 99)];
  console.log(`stress ${mode}: ${completed} orchestrations in ${seconds} s, ${perSecond}/s, p50 ${p50Ms} ms, p99 ${p99Ms} ms`);
  for (const [name, value] of Object.entries(figures)) console.log(`  ${name}: ${round(value)}`);
  console.log(`verdict: ${violations.length === 0 ? 'ok' : `${violations.length} violations`}`);
  const rounded = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value)]));
  const verdict = violations.length === 0 ? 'ok' : 'violated';
  const line = { stress: mode, verdict, violations: violations.length, ...settings, seconds, completed, perSecond, p50Ms, p99Ms };
  console.log(JSON.stringify({ ...line, figures: rounded }));
}

/** A percentile of durations, in milliseconds; 0 without any. */
export function percentileMs(histogram: RecordableHistogram, percentile: number): number {
  return histogram.count === 0 ? 0 : round(histogram.percentile(percentile) / 1000);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
