// Behaviours that providers are held to elsewhere and are not held to here, each with its reason: every run tells of them as skipped,
// so that nobody takes them for checked. Neighbours: conformance-cases.ts joins them.
import { SkippedCase } from './conformance-case.ts';
import type { ConformanceCase } from './conformance-case.ts';

const FIGURES = 'a store counts no whole of itself: it would read all that it has. Lists count up to a limit';
const NO_SNAPSHOT = 'a fetch brings no snapshot of values: orchestrations read their values from history';
const OWN_FAILURES =
  'how a store fails is its own, and nothing here can make it fail: test it beside the provider, and the host with injected faults';

const REASONS: readonly (readonly [reason: string, contract: string, names: readonly string[]])[] = [
  [
    FIGURES,
    'figures of the store',
    ['instances, executions and events of the store are counted by status', 'the size of the history of an instance is told in bytes'],
  ],
  [NO_SNAPSHOT, 'snapshots of values', ['a fetch brings the values of the executions before the current one']],
  [OWN_FAILURES, 'failures of the store', ['a failure that passes is told as retryable, one that stays is not']],
];

/** See the head of this file. */
export const plannedCases: readonly ConformanceCase[] = REASONS.flatMap(([reason, contract, names]) =>
  names.map((name) => ({ contract, name, run: () => Promise.reject(new SkippedCase(reason)) })),
);
