// What the stress runs let run, without the code: kinds, ids, and the result that an id implies. Neighbours: orchestrations.ts has the code,
// load.ts starts it, invariants.ts compares.

/** Every kind of orchestration, by what it tries to tear apart. The names are those of `orchestrations.ts`. */
export type Kind =
  | 'fanOut'
  | 'chain'
  | 'children'
  | 'events'
  | 'topics'
  | 'generations'
  | 'sessions'
  | 'keyValues'
  | 'timers'
  | 'retries'
  | 'naps'
  | 'threadDeaths';

/** Those that wait for no time of day: whatever the clock does, they end soon. */
export const PROMPT_KINDS: readonly [Kind, ...Kind[]] = ['fanOut', 'chain', 'children', 'events', 'generations', 'sessions', 'keyValues'];

/** Those with timers of their own. */
export const TIMED_KINDS: readonly [Kind, ...Kind[]] = ['timers', 'retries', 'topics'];

/** What runs in every mode. */
export const KINDS: readonly [Kind, ...Kind[]] = [...PROMPT_KINDS, ...TIMED_KINDS];

/** The same, and those that hold leases for longer than a lease lasts. */
export const LONG_KINDS: readonly [Kind, ...Kind[]] = [...KINDS, 'naps'];

/** Inputs are 0 to this. */
export const MAX_INPUT = 9;

/** One orchestration of a stress run. All that it must do and return follows from its id. */
export type Job = { readonly instanceId: string; readonly kind: Kind; readonly input: number };

/**
 * Names a job.
 *
 * @param prefix - what sets it apart from those of other hosts
 * @param index - what sets it apart within its host
 */
export function makeJob(prefix: string, index: number, { kind, input }: Omit<Job, 'instanceId'>): Job {
  return { instanceId: `${prefix}.${index}.${kind}.${input}`, kind, input };
}

/**
 * Reads a job back from its id.
 *
 * @returns null for children and other instances that are none
 */
export function parseJob(instanceId: string): Job | null {
  const match = /^[\w-]+\.\d+\.(\w+)\.(\d)$/.exec(instanceId);
  return match === null ? null : { instanceId, kind: match[1] as Kind, input: Number(match[2]) };
}

/** What a job must return. */
export function expectedResult({ kind, input: n }: Job): number {
  switch (kind) {
    case 'fanOut':
      return sumOfSquares(2 * n);
    case 'chain':
      return n + 5;
    case 'children':
      return 3 * sumOfSquares(n % 4);
    case 'events':
      return 3 * n + 3;
    case 'topics':
      return n;
    case 'generations':
      return 3 * n * n;
    case 'sessions':
      return n * n + 2 * n + 1;
    case 'keyValues':
      return 3 * n + 7;
    case 'timers':
      return n * n;
    case 'retries':
    case 'naps':
      return n;
    case 'threadDeaths':
      return n * n;
  }
}

/** 0² + 1² + … below n. */
function sumOfSquares(n: number): number {
  let sum = 0;
  for (let index = 0; index < n; index += 1) sum += index * index;
  return sum;
}
