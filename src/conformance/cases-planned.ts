// Behaviours that providers are held to elsewhere and cannot be held to here yet, each with its reason: every run tells of them as skipped,
// so that nobody takes them for checked. Neighbours: conformance-cases.ts joins them.
import { SkippedCase } from './conformance-case.ts';
import type { ConformanceCase } from './conformance-case.ts';

const DELETION = 'the contract has no deletion yet; it comes with a later release';
const PRUNING = 'the contract has no pruning of executions yet; it comes with a later release';
const ADMINISTRATION = 'the contract has no such administrative read yet; it comes with a later release';
const NO_SNAPSHOT = 'a fetch brings no snapshot of values: orchestrations read their values from history';
const OWN_FAILURES =
  'how a store fails is its own, and nothing here can make it fail: test it beside the provider, and the host with injected faults';

const REASONS: readonly (readonly [reason: string, contract: string, names: readonly string[]])[] = [
  [
    DELETION,
    'deletion',
    [
      'deleting an ended instance removes all that it has, and counts it',
      'deleting a living instance is refused unless it is forced',
      'deleting an unknown instance is told',
      'the id of a deleted instance can be used again, and nothing of the old one is left in queues and locks',
      'deleting an instance deletes its descendants, and a child is not deleted without its parent',
      'the ack of a turn under way does not bring a deleted instance back',
      'the tree of an instance can be listed from the root',
      'several instances are deleted together or not at all',
      'a forced deletion of several instances is all or nothing, too',
      'a deletion that would leave a child behind is refused',
      'a late activity of a deleted instance does not reach a new one with its id',
      'deleting an instance deletes its values',
      'deleting an instance deletes the values of its children',
    ],
  ],
  [
    DELETION,
    'bulk deletion',
    [
      'filters of a bulk deletion are combined',
      'a bulk deletion leaves living instances and children alone and stops at its limit',
      'a bulk deletion by time of completion takes only what ended before',
      'a bulk deletion deletes the descendants',
    ],
  ],
  [
    PRUNING,
    'pruning',
    [
      'executions are pruned by number and by age',
      'the current execution is never pruned, and an unknown instance is told',
      'executions of many instances are pruned up to a limit',
      'pruning many includes living instances',
      'pruning executions leaves values alone',
    ],
  ],
  [
    ADMINISTRATION,
    'administration',
    [
      'the executions of an instance are listed with their times, statuses and numbers of events',
      'instances, executions and events of the store are counted by status',
      'the size of the history of an instance is told in bytes',
    ],
  ],
  [NO_SNAPSHOT, 'snapshots of values', ['a fetch brings the values of the executions before the current one']],
  [OWN_FAILURES, 'failures of the store', ['a failure that passes is told as retryable, one that stays is not']],
];

/** See the head of this file. */
export const plannedCases: readonly ConformanceCase[] = REASONS.flatMap(([reason, contract, names]) =>
  names.map((name) => ({ contract, name, run: () => Promise.reject(new SkippedCase(reason)) })),
);
