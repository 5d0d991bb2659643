// What can go wrong and when: the kinds of faults, the plan, and the choice for each call. Pure. Neighbours: faulty.ts carries the faults out,
// fault-check.ts checks plans.
//
// F1. A choice depends on the plan, the operation, the number of the call among the calls of that operation, and the size of its batch:
//     nothing that other operations do changes it.
// F2. At most one fault hits a call. What the script says of a call comes first.
// F3. No fault invents a success: every outcome is one that a correct store behind a bad connection could give.
import { LONG_POLLS, OPERATIONS, type Operation } from '../provider/operations.ts';
import { SeededRandom } from '../replay/random.ts';

/** An operation that faults can hit: every method of a provider but `close`. */
export type FaultyOperation = Exclude<Operation, 'close'>;

/**
 * What happened to a call.
 *
 * - `errorBefore`: it rejects, the store never heard of it.
 * - `errorAfter`: it was done and committed, the answer is lost: it rejects. Items of a fetch stay locked until their lease ends.
 * - `delay`: the request (`before`) or the answer (`after`) takes `ms` longer.
 * - `hang`: no answer comes; the call rejects when its signal aborts, when the connection drops or the provider is closed, and after `ms`
 *   unless that is null. `done`: the store did it.
 * - `duplicate`: the request reaches the store twice, one after the other, and the caller gets this answer. Of a fetch: what it locked is
 *   delivered once more, under the same tokens, by the next fetch that asks for the same.
 * - `lockLost`: the leases end before the request arrives, and everybody may take the items.
 * - `staleRead`: the answer is an earlier one to the same question, `age` answers ago.
 * - `partial`: of a batch only the items at the positions `done` are done. The `rest` lost their locks, or the call rejects.
 * - `disconnect`: the connection drops for `ms`: this call, all pending ones and those that follow reject. `done`: this one was done before.
 */
export type Fault =
  | { readonly kind: 'errorBefore' }
  | { readonly kind: 'errorAfter' }
  | { readonly kind: 'delay'; readonly when: 'before' | 'after'; readonly ms: number }
  | { readonly kind: 'hang'; readonly done: boolean; readonly ms: number | null }
  | { readonly kind: 'duplicate'; readonly answer: 'first' | 'second' }
  | { readonly kind: 'lockLost' }
  | { readonly kind: 'staleRead'; readonly age: number }
  | { readonly kind: 'partial'; readonly done: readonly number[]; readonly rest: 'lockLost' | 'error' }
  | { readonly kind: 'disconnect'; readonly done: boolean; readonly ms: number };

/** Name of a kind of fault. */
export type FaultKind = Fault['kind'];

/** A fault of one call. */
export type ScriptedFault = {
  readonly operation: FaultyOperation;
  /** Which call of this operation, counted from 1. */
  readonly call: number;
  readonly fault: Fault;
};

/** How often each kind of fault hits a call: 0 never, 1 always. The sum is at most 1. */
export type FaultRates = { readonly [Kind in FaultKind]?: number };

/** Which calls fail, and how. */
export type FaultPlan = {
  /** Any whole number: equal seeds make equal choices. */
  readonly seed: number;
  /**
   * Rates by operation. `any` holds for every operation, as far as the kind can happen to it, and for each kind that the operation's own
   * rates do not name. Histories are never stale by `any`: a store must show them to who holds the lock.
   */
  readonly rates?: Partial<Readonly<Record<FaultyOperation | 'any', FaultRates>>>;
  /** Faults of single calls, such as the log of another run. */
  readonly script?: readonly ScriptedFault[];
  /** Longest delay that is chosen, in milliseconds. @default 100 */
  readonly maxDelayMs?: number;
  /** Longest disconnection that is chosen, in milliseconds. @default 500 */
  readonly maxDisconnectMs?: number;
  /** When a call that hangs rejects, as with the time limit of a driver, in milliseconds; null: never by itself. @default null */
  readonly hangMs?: number | null;
};

/** Operations that lock nothing and change nothing, and do not wait: an earlier answer may stand for a later one. */
const READS: ReadonlySet<FaultyOperation> = new Set<FaultyOperation>([
  'readHistory',
  'readValues',
  'readWorkItems',
  'listRuntimes',
  'readInstances',
  'listInstances',
  'readQueueDepths',
]);
/** Operations whose first argument is a batch of locked items. */
const OF_LOCKS: ReadonlySet<FaultyOperation> = new Set<FaultyOperation>([
  'ackOrchestrationItems',
  'abandonOrchestrationItems',
  'renewOrchestrationLocks',
  'ackWorkItems',
  'abandonWorkItems',
  'renewWorkLocks',
]);
/** Operations whose first argument is a batch of something else. */
const OF_BATCHES: ReadonlySet<FaultyOperation> = new Set<FaultyOperation>([
  'startInstances',
  'enqueueMessages',
  'publish',
  'controlInstances',
]);

/** Kinds in the order in which a random number is spent on them. Append only: another order makes other choices of old seeds. */
export const FAULT_KINDS: readonly FaultKind[] = [
  'errorBefore',
  'errorAfter',
  'delay',
  'hang',
  'duplicate',
  'lockLost',
  'staleRead',
  'partial',
  'disconnect',
];

/** All operations that faults can hit. */
export const FAULTY_OPERATIONS: readonly FaultyOperation[] = OPERATIONS.filter((operation) => operation !== 'close');

/** Tells whether an operation locks items and hands them out. */
export function isFetch(operation: FaultyOperation): boolean {
  return operation === 'fetchOrchestrationItems' || operation === 'fetchWorkItems';
}

/** Tells whether an operation is about locked items. */
export function isOfLocks(operation: FaultyOperation): boolean {
  return OF_LOCKS.has(operation);
}

/** Tells whether a kind of fault can happen to an operation. */
export function canHit(kind: FaultKind, operation: FaultyOperation): boolean {
  switch (kind) {
    case 'errorBefore':
    case 'errorAfter':
    case 'delay':
    case 'hang':
    case 'disconnect':
      return true;
    case 'duplicate':
      return isFetch(operation) || !(LONG_POLLS.has(operation) || READS.has(operation));
    case 'lockLost':
      return isOfLocks(operation);
    case 'staleRead':
      return READS.has(operation);
    case 'partial':
      return isOfLocks(operation) || OF_BATCHES.has(operation);
  }
}

/** Makes the choices of a plan. */
export class FaultChooser {
  readonly #plan: FaultPlan;
  readonly #script: ReadonlyMap<string, Fault>;

  /**
   * @param plan - a checked plan
   */
  constructor(plan: FaultPlan) {
    this.#plan = plan;
    this.#script = new Map((plan.script ?? []).map(({ operation, call, fault }) => [`${operation} ${call}`, fault]));
  }

  /**
   * Chooses the fault of a call.
   *
   * @param operation - what is called
   * @param call - number of the call, from 1
   * @param batchSize - how many items its first argument holds; 0: it is no batch
   * @returns the fault; null: none, also when what was chosen makes no difference for this batch
   */
  choose(operation: FaultyOperation, call: number, batchSize: number): Fault | null {
    const scripted = this.#script.get(`${operation} ${call}`);
    const fault = scripted ?? this.#draw(operation, call, batchSize);
    return fault?.kind === 'partial' ? withinBatch(fault, batchSize) : fault;
  }

  /** Tells whether calls of an operation may be answered with earlier answers. */
  mayBeStale(operation: FaultyOperation): boolean {
    if (this.#rateOf(operation, 'staleRead') > 0) return true;
    return (this.#plan.script ?? []).some((entry) => entry.operation === operation && entry.fault.kind === 'staleRead');
  }

  #rateOf(operation: FaultyOperation, kind: FaultKind): number {
    if (!canHit(kind, operation)) return 0;
    const { any: everywhere, [operation]: own } = this.#plan.rates ?? {};
    const general = kind === 'staleRead' && operation === 'readHistory' ? 0 : everywhere?.[kind];
    return own?.[kind] ?? general ?? 0;
  }

  #draw(operation: FaultyOperation, call: number, batchSize: number): Fault | null {
    // A generator for each call (F1): how much one call draws does not move the next.
    const random = new SeededRandom(`${this.#plan.seed} ${operation} ${call}`);
    let left = random.nextFloat();
    for (const kind of FAULT_KINDS) {
      left -= this.#rateOf(operation, kind);
      if (left < 0) return this.#make(kind, operation, batchSize, random);
    }
    return null;
  }

  #make(kind: FaultKind, operation: FaultyOperation, batchSize: number, random: SeededRandom): Fault {
    const { maxDelayMs = 100, maxDisconnectMs = 500, hangMs = null } = this.#plan;
    const coin = (): boolean => random.nextFloat() < 0.5;
    const upTo = (limit: number): number => 1 + Math.floor(random.nextFloat() * limit);
    switch (kind) {
      case 'errorBefore':
      case 'errorAfter':
      case 'lockLost':
        return { kind };
      case 'delay':
        return { kind, when: coin() ? 'before' : 'after', ms: upTo(maxDelayMs) };
      case 'hang':
        return { kind, done: coin(), ms: hangMs };
      case 'duplicate':
        return { kind, answer: coin() || isFetch(operation) ? 'first' : 'second' };
      case 'staleRead':
        return { kind, age: upTo(MAX_AGE) };
      case 'partial': {
        const rest = coin() && isOfLocks(operation) ? 'lockLost' : 'error';
        return { kind, done: someOf(batchSize, coin), rest };
      }
      case 'disconnect':
        return { kind, done: coin(), ms: upTo(maxDisconnectMs) };
    }
  }
}

/** How many answers back a stale read looks at most. */
export const MAX_AGE = 3;

/** Positions of some items of a batch, neither none nor all of two and more. */
function someOf(size: number, coin: () => boolean): readonly number[] {
  const positions = Array.from({ length: size }, (_, position) => position);
  const chosen = positions.filter(() => coin());
  if (chosen.length === 0) return positions.slice(0, 1);
  return chosen.length === size ? chosen.slice(1) : chosen;
}

/** A partial failure of a batch that has items to do and items to leave; null: it has not. */
function withinBatch(fault: Extract<Fault, { readonly kind: 'partial' }>, batchSize: number): Fault | null {
  const done = fault.done.filter((position) => position < batchSize);
  return done.length === 0 || done.length === batchSize ? null : { ...fault, done };
}
