// Runs conformance cases against a provider: a store of its own for each, and a look at what is left behind. Neighbours:
// conformance-case.ts says what a target is, conformance-cases.ts has the cases. The command line and the tests of all providers use this.
//
// I1. Whatever a case does, its providers are closed and its store is removed before its result is told.
// I2. No case waits for ever: one that takes longer than its time has failed.
import assert from 'node:assert/strict';
import { SimulatedClock } from '../provider/simulated-clock.ts';
import type { Provider } from '../provider/provider.ts';
import { conformanceCases } from './conformance-cases.ts';
import { SkippedCase } from './conformance-case.ts';
import type { ConformanceCase, ConformanceContext, ConformanceStore, ConformanceTarget } from './conformance-case.ts';

/**
 * How long a case may take, and then closing, in real milliseconds. The slowest takes seconds, with a database server on a busy machine 24 (measured):
 * longer means a call that hangs.
 */
const DEFAULT_CASE_TIMEOUT_MS = 60_000;

/** A moment that no provider should take for now. */
const START_MS = Date.UTC(2030, 0, 1);

/** What became of a case. */
export type ConformanceResult = { readonly contract: string; readonly name: string } & (
  | { readonly outcome: 'passed' }
  | { readonly outcome: 'failed'; readonly error: unknown }
  | { readonly outcome: 'skipped'; readonly reason: string }
);

/** How many cases ended how. */
export type ConformanceCounts = { readonly passed: number; readonly failed: number; readonly skipped: number };

/**
 * Runs cases one after the other.
 *
 * @param target - the provider to check
 * @param options - `onResult`: called after each case; `cases`: which. Default: all; `caseTimeoutMs`: after how many real milliseconds a case
 *   has failed. Default: 60,000
 * @returns the counts; it does not reject because of a provider
 */
export async function runConformance(
  target: ConformanceTarget,
  options: {
    readonly onResult?: (result: ConformanceResult) => void;
    readonly cases?: readonly ConformanceCase[];
    readonly caseTimeoutMs?: number;
  } = {},
): Promise<ConformanceCounts> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const conformanceCase of options.cases ?? conformanceCases) {
    const result = await runConformanceCase(target, conformanceCase, options.caseTimeoutMs);
    counts[result.outcome] += 1;
    options.onResult?.(result);
  }
  return counts;
}

/**
 * Runs one case on a new store, for test runners that want a test of their own for each.
 *
 * @param target - the provider to check
 * @param conformanceCase - the case
 * @param caseTimeoutMs - after how many real milliseconds it has failed
 * @returns what became of it; it does not reject because of a provider
 */
export async function runConformanceCase(
  target: ConformanceTarget,
  conformanceCase: ConformanceCase,
  caseTimeoutMs: number = DEFAULT_CASE_TIMEOUT_MS,
): Promise<ConformanceResult> {
  const { contract, name } = conformanceCase;
  const failures: unknown[] = [];
  const clock = new SimulatedClock(START_MS);
  const opened: Provider[] = [];
  let store: ConformanceStore | null = null;
  try {
    store = await inTime('opening the store', target.open(clock), caseTimeoutMs);
    opened.push(store.provider);
    await inTime('the case', conformanceCase.run(makeContext(store, clock, opened)), caseTimeoutMs);
  } catch (error) {
    failures.push(error);
  }
  try {
    await inTime('closing', Promise.all(opened.map((provider) => provider.close())), caseTimeoutMs);
    assertNoTimers(clock);
  } catch (error) {
    failures.push(error);
  }
  try {
    await store?.remove?.();
  } catch (error) {
    failures.push(error);
  }
  const [error, ...more] = failures;
  if (failures.length === 0) return { contract, name, outcome: 'passed' };
  if (error instanceof SkippedCase && more.length === 0) return { contract, name, outcome: 'skipped', reason: error.message };
  return { contract, name, outcome: 'failed', error: error instanceof SkippedCase ? more[0] : error };
}

function makeContext(store: ConformanceStore, clock: SimulatedClock, opened: Provider[]): ConformanceContext {
  const keep = async (opening: Promise<Provider> | undefined, reason: string): Promise<Provider> => {
    if (opening === undefined) throw new SkippedCase(reason);
    const provider = await opening;
    opened.push(provider);
    return provider;
  };
  return {
    provider: store.provider,
    clock,
    reopen: async () => await keep(store.reopen?.(clock), 'the store dies with its provider'),
    openSecond: async (itsClock = clock) => await keep(store.openSecond?.(itsClock), 'the store has one user at a time'),
    corruptHistory: async (instanceId) => {
      if (store.corruptHistory === undefined) throw new SkippedCase('nobody can damage a history past this provider');
      await store.corruptHistory(instanceId);
    },
  };
}

function assertNoTimers(clock: SimulatedClock): void {
  assert.equal(clock.pendingTimers, 0, `${clock.pendingTimers} timer(s) are left on the clock after closing: cancel them in close()`);
}

/** Waits for a promise in real time: the clock of a case stands still when the case hangs. */
function inTime<Value>(what: string, promise: Promise<Value>, timeoutMs: number): Promise<Value> {
  return new Promise((resolve, reject) => {
    const fail = (): void =>
      reject(new assert.AssertionError({ message: `${what} took longer than ${timeoutMs} ms: a call does not settle` }));
    const timeout = setTimeout(fail, timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timeout));
  });
}
