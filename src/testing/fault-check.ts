// Checks fault plans before anything runs, so that a plan that could never do what its author means is refused. Neighbour: fault-plan.ts.
import { ArgumentError } from '../types/errors.ts';
import {
  canHit,
  FAULT_KINDS,
  FAULTY_OPERATIONS,
  type FaultKind,
  type FaultPlan,
  type FaultRates,
  type FaultyOperation,
} from './fault-plan.ts';

const PLAN_KEYS = ['seed', 'rates', 'script', 'maxDelayMs', 'maxDisconnectMs', 'hangMs'];

/**
 * Checks a plan.
 *
 * @param plan - as given
 * @throws {ArgumentError} that names what is wrong
 */
export function assertFaultPlan(plan: FaultPlan): void {
  if (typeof plan !== 'object' || plan === null) throw new ArgumentError(`Expected the plan to be an object, got ${String(plan)}`);
  assertKnown(Object.keys(plan), PLAN_KEYS, 'key of the plan');
  if (!Number.isSafeInteger(plan.seed)) throw new ArgumentError(`Expected \`seed\` to be a whole number, got ${String(plan.seed)}`);
  for (const name of ['maxDelayMs', 'maxDisconnectMs', 'hangMs'] as const) {
    const value = plan[name];
    if (value === undefined || (value === null && name === 'hangMs')) continue;
    if (!(Number.isSafeInteger(value) && Number(value) >= 1)) {
      throw new ArgumentError(`Expected \`${name}\` to be a whole number of milliseconds from 1, got ${String(value)}`);
    }
  }
  assertRates(plan.rates ?? {});
  assertScript(plan.script ?? []);
}

function assertRates(rates: NonNullable<FaultPlan['rates']>): void {
  assertKnown(Object.keys(rates), ['any', ...FAULTY_OPERATIONS], 'operation');
  for (const [operation, own] of Object.entries(rates) as (readonly [FaultyOperation | 'any', FaultRates])[]) {
    assertKnown(Object.keys(own), FAULT_KINDS, 'kind of fault');
    for (const [kind, rate] of Object.entries(own) as (readonly [FaultKind, number])[]) {
      if (!(rate >= 0 && rate <= 1)) {
        throw new ArgumentError(`Expected the rate of '${kind}' for '${operation}' to be from 0 to 1, got ${String(rate)}`);
      }
      if (operation !== 'any' && rate > 0) assertHits(kind, operation);
    }
    const sum = Object.values(operation === 'any' ? own : { ...rates.any, ...own }).reduce((total, rate) => total + rate, 0);
    // Ten times a tenth is a little more than one.
    if (sum > 1 + 1e-9)
      throw new ArgumentError(`Expected the rates for '${operation}' to be at most 1 together, got ${sum}: one fault hits a call`);
  }
}

function assertScript(script: readonly unknown[]): void {
  const seen = new Set<string>();
  for (const entry of script as NonNullable<FaultPlan['script']>) {
    const { operation, call, fault } = entry;
    assertKnown([operation], FAULTY_OPERATIONS, 'operation');
    assertKnown([fault?.kind], FAULT_KINDS, 'kind of fault');
    if (!(Number.isSafeInteger(call) && call >= 1)) {
      throw new ArgumentError(`Expected \`call\` of a scripted fault in '${operation}' to be a whole number from 1, got ${String(call)}`);
    }
    assertHits(fault.kind, operation);
    const key = `${operation} ${call}`;
    if (seen.has(key)) throw new ArgumentError(`Expected one fault for a call, got two for call ${call} of '${operation}'`);
    seen.add(key);
  }
}

function assertHits(kind: FaultKind, operation: FaultyOperation): void {
  if (canHit(kind, operation)) return;
  const possible = FAULT_KINDS.filter((other) => canHit(other, operation)).join(', ');
  throw new ArgumentError(`'${kind}' cannot happen to '${operation}'. What can: ${possible}`);
}

function assertKnown(names: readonly string[], known: readonly string[], what: string): void {
  for (const name of names) {
    if (!known.includes(name)) throw new ArgumentError(`Unknown ${what} '${String(name)}'. Known: ${known.join(', ')}`);
  }
}
