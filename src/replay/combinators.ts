// all, allSettled, any and race over arrays and records, nested freely.
//
// C1. Durable members are observed synchronously when their event is delivered, so a winner depends on history order alone.
// C2. Losers are cancelled at the moment of the decision, in the order of the group, before user code continues.
// C3. Members that are plain promises (async helpers) take part by their reactions within the same drain; they cannot be cancelled.
import type { FutureGroup } from '../types/context.ts';
import { ArgumentError, assert } from '../types/errors.ts';
import { show } from '../types/show.ts';
import { coreOf, FutureCore, type Settled } from './durable-future.ts';

type Member = { readonly key: string | number; readonly value: unknown };

/** Which combinator. */
export type CombinatorKind = 'all' | 'allSettled' | 'any' | 'race';

/**
 * Combines a group of futures into one.
 *
 * @param kind - which combinator
 * @param group - array or record of futures, promises or values
 * @param isInTurn - whether user code may go on now; reports it when not
 * @returns the combined future
 * @throws {ArgumentError} when the group is neither an array nor a record
 */
export function combine(kind: CombinatorKind, group: FutureGroup, isInTurn: () => boolean): FutureCore {
  const members = listMembers(kind, group);
  // Closed before members are cancelled: their rejections must not decide the group.
  let closed = false;
  const combined = new FutureCore(() => {
    closed = true;
    cancelMembers(members);
  });
  if (members.length === 0) {
    combined.settle(settleEmpty(kind, group));
    return combined;
  }
  const results: Settled[] = [];
  let missing = members.length;
  members.forEach(({ key, value }, index) => {
    observe(value, (settled, isReaction) => {
      // A promise that was settled between two turns waited for something foreign: history does not know it.
      if (closed || (isReaction && !isInTurn())) return;
      results[index] = settled;
      missing -= 1;
      const decided = decide(kind, { group, members, results, missing, key, settled });
      if (decided === null) return;
      closed = true;
      // Losers first: their cancellation is recorded before anything that user code does with the result (C2).
      if (missing > 0) cancelMembers(members);
      combined.settle(decided);
    });
  });
  return combined;
}

function decide(
  kind: CombinatorKind,
  state: {
    readonly group: FutureGroup;
    readonly members: readonly Member[];
    readonly results: readonly Settled[];
    readonly missing: number;
    readonly key: string | number;
    readonly settled: Settled;
  },
): Settled | null {
  const { group, members, results, missing, key, settled } = state;
  switch (kind) {
    case 'all':
      if (!settled.ok) return settled;
      return missing > 0 ? null : { ok: true, value: shape(group, members, results.map(valueOf)) };
    case 'allSettled':
      return missing > 0 ? null : { ok: true, value: shape(group, members, results.map(toSettledResult)) };
    case 'any':
      if (settled.ok) return { ok: true, value: { key, value: settled.value } };
      return missing > 0 ? null : { ok: false, error: new AggregateError(results.map(errorOf), 'every future of any() was rejected') };
    case 'race':
      return settled.ok ? { ok: true, value: { key, value: settled.value } } : settled;
  }
}

function settleEmpty(kind: CombinatorKind, group: FutureGroup): Settled {
  switch (kind) {
    case 'all':
    case 'allSettled':
      return { ok: true, value: shape(group, [], []) };
    case 'any':
      return { ok: false, error: new AggregateError([], 'any() of an empty group has no result') };
    case 'race':
      return {
        ok: false,
        error: new ArgumentError('Expected race() to get at least one future, got an empty group: it would never settle'),
      };
  }
}

function listMembers(kind: CombinatorKind, group: unknown): readonly Member[] {
  let cause: unknown;
  try {
    // Array.from, so that a hole counts as undefined.
    if (Array.isArray(group)) return Array.from(group, (value: unknown, key) => ({ key, value }));
    if (isRecord(group)) return Object.entries(group).map(([key, value]) => ({ key, value }));
  } catch (error) {
    // What cannot be read is no group.
    cause = error;
  }
  throw new ArgumentError(`Expected ${kind}() to get an array or a record of futures, got ${show(group)}`, { cause });
}

/** A plain object: a map, a date or a promise would be taken for an empty group. */
function isRecord(group: unknown): group is Readonly<Record<string, unknown>> {
  if (typeof group !== 'object' || group === null) return false;
  const prototype: unknown = Object.getPrototypeOf(group);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function shape(group: FutureGroup, members: readonly Member[], values: readonly unknown[]): unknown {
  // fromEntries defines properties, so that a key such as __proto__ stays a key.
  return Array.isArray(group) ? [...values] : Object.fromEntries(members.map(({ key }, index) => [key, values[index]]));
}

function observe(value: unknown, listener: (settled: Settled, isReaction: boolean) => void): void {
  const core = coreOf(value);
  if (core !== null) core.observe((settled) => listener(settled, false));
  else if (isThenable(value))
    Promise.resolve(value).then(
      (result: unknown) => listener({ ok: true, value: result }, true),
      (error: unknown) => listener({ ok: false, error }, true),
    );
  else listener({ ok: true, value }, false);
}

function cancelMembers(members: readonly Member[]): void {
  for (const { value } of members) {
    const core = coreOf(value);
    if (core?.survivesGroups === false) core.cancel();
  }
}

/** A value that cannot be read is passed on as it is. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  try {
    return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
  } catch {
    return false;
  }
}

function valueOf(settled: Settled): unknown {
  assert(settled.ok, 'all() has values only');
  return settled.value;
}

function errorOf(settled: Settled): unknown {
  assert(!settled.ok, 'any() without a winner has errors only');
  return settled.error;
}

function toSettledResult(settled: Settled): PromiseSettledResult<unknown> {
  return settled.ok ? { status: 'fulfilled', value: settled.value } : { status: 'rejected', reason: settled.error };
}
