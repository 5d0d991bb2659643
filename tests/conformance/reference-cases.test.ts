// Nothing of the reference suite, of the traps and of the batch contract gets lost: each is asked for by a conformance case, or a reason is given.
import { conformanceCases } from 'duraloom/conformance';
import { describe, expect, test } from 'vitest';
import { OPERATIONS } from '../../src/provider/operations.ts';
import { PROVIDER_TRAPS, REFERENCE_GROUPS } from './reference-cases.ts';

const OURS = new Map(conformanceCases.map((conformanceCase) => [conformanceCase.name, conformanceCase]));
/** Groups beyond the 213 cases of the reference version. */
const LATER = new Set(['later: figures of an instance', 'later: reading damaged rows', 'what the reference suite lacks']);
/** Parts that are skipped for every store. */
const PLANNED = new Set(['figures of the store', 'snapshots of values', 'failures of the store']);

/** Methods that take a list and give one result for each item. */
const BATCHED_METHODS = [
  'startInstances',
  'enqueueMessages',
  'publish',
  'controlInstances',
  'ackOrchestrationItems',
  'abandonOrchestrationItems',
  'renewOrchestrationLocks',
  'readHistory',
  'ackWorkItems',
  'abandonWorkItems',
  'renewWorkLocks',
  'readInstances',
  'countWaiting',
  'deleteInstances',
  'pruneExecutions',
  'editQueues',
  'exportInstances',
  'importInstances',
];

const references = REFERENCE_GROUPS.flatMap((group) => group.cases);
const trapsOf = (name: string): readonly number[] => [...name.matchAll(/\bT(\d+)\b/g)].map(([, trap]) => Number(trap));

describe('the reference suite', () => {
  test('is here as a whole: 213 cases', () => {
    const groups = REFERENCE_GROUPS.filter(({ group }) => !LATER.has(group));
    expect(groups.reduce((sum, { size }) => sum + size, 0)).toBe(213);
    expect(groups.length).toBe(19);
  });

  test.each(REFERENCE_GROUPS)('has its $size cases of $group', ({ size, cases }) => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(size);
  });

  test.each(references)('$name is asked for by cases that exist', ({ by, note }) => {
    expect(by.filter((name) => !OURS.has(name))).toEqual([]);
    expect(by.length).toBeGreaterThan(0);
    if (note !== null) expect(note.length).toBeGreaterThan(20);
  });

  test('calls for no method that the contract has: planned cases are skipped for a reason that is true', () => {
    expect(OPERATIONS.filter((operation) => /countInstances|stats|size|snapshot/i.test(operation))).toEqual([]);
  });

  test('names every planned case, and nothing is planned that nobody asks for', () => {
    const named = new Set(references.flatMap(({ by }) => by));
    const planned = conformanceCases.filter(({ contract }) => PLANNED.has(contract)).map(({ name }) => name);
    expect(planned.filter((name) => !named.has(name))).toEqual([]);
  });
});

describe('the conformance cases', () => {
  test('have names of their own', () => {
    expect(OURS.size).toBe(conformanceCases.length);
  });

  test.each(PROVIDER_TRAPS.map((trap) => ({ trap })))('T$trap has cases', ({ trap }) => {
    expect(conformanceCases.filter(({ name }) => name.startsWith(`T${trap} `)).length).toBeGreaterThan(0);
  });

  test('name no trap that is not a matter of stores', () => {
    const named = new Set(conformanceCases.flatMap(({ name }) => trapsOf(name)));
    expect([...named].filter((trap) => !PROVIDER_TRAPS.includes(trap))).toEqual([]);
  });

  test.each(['first', 'in the middle', 'last'])('have one for a bad item %s in a batch of each batched method', (where) => {
    const methods = [...OURS.keys()].flatMap((name) => new RegExp(`^a bad item ${where} in a batch of (\\w+) is`).exec(name)?.[1] ?? []);
    expect(methods).toEqual(BATCHED_METHODS);
  });

  test('have one for equal items in a batch of each batched method', () => {
    const methods = [...OURS.keys()].flatMap((name) => /^an item that stands twice in a batch of (\w+)/.exec(name)?.[1] ?? []);
    expect(methods).toEqual(BATCHED_METHODS);
  });

  test.each(['empty batches give empty answers', 'T35 batches of 10,000 pass through every method'])('have: %s', (name) => {
    expect(OURS.has(name)).toBe(true);
  });
});
