// Adds up profiles: for each thread how much of the time it was busy and in which functions, and what that is for an orchestration.
// Neighbours: cpu-profile.ts (what a profile holds), profile-categories.ts (what belongs to what), profile-main.ts prints the text.
import { selfTimes, type CpuProfile, type Frame } from './cpu-profile.ts';
import { categorise, type Category } from './profile-categories.ts';

/** Profiles of one thread, one for each measured part. */
export type ThreadProfiles = { readonly thread: string; readonly profiles: readonly CpuProfile[] };

/** Functions that are listed. */
const TOP = 16;
/** Categories that are no work. */
const IDLE: Category = 'idle';
const GARBAGE: Category = 'garbage collection';
const NAME_WIDTH = 44;

type Sums = {
  totalUs: number;
  readonly categories: Map<Category, number>;
  readonly functions: Map<string, number>;
};

/**
 * Makes the text for all threads of a row.
 *
 * @param threads - the main thread first
 * @param orchestrations - that ran in all parts together; 0: the row does not count them
 * @returns the lines
 */
export function summarise(threads: readonly ThreadProfiles[], orchestrations: number): string {
  return threads.map(({ thread, profiles }) => describe(thread, addUp(profiles), orchestrations)).join('\n\n');
}

function addUp(profiles: readonly CpuProfile[]): Sums {
  const sums: Sums = { totalUs: 0, categories: new Map(), functions: new Map() };
  const add = <Key>(map: Map<Key, number>, key: Key, us: number): void => void map.set(key, (map.get(key) ?? 0) + us);
  for (const profile of profiles) {
    const stacks = toStacks(profile);
    for (const [id, us] of selfTimes(profile)) {
      const stack = stacks.get(id) ?? [];
      sums.totalUs += us;
      add(sums.categories, categorise(stack), us);
      add(sums.functions, describeFunction(stack), us);
    }
  }
  return sums;
}

/** The functions from each node outwards. */
function toStacks({ nodes }: CpuProfile): ReadonlyMap<number, readonly Frame[]> {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return new Map(
    nodes.map(({ id }) => {
      const stack: Frame[] = [];
      for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
        const node = byId.get(at);
        if (node !== undefined) stack.push(node.callFrame);
      }
      return [id, stack];
    }),
  );
}

/** Functions without a file, such as those of SQLite, are told apart by who calls them. */
function describeFunction([innermost, caller]: readonly Frame[]): string {
  if (innermost === undefined) return '(unknown)';
  if (innermost.url !== '') return `${nameOf(innermost)} ${placeOf(innermost)}`;
  const name = innermost.functionName === '' ? 'C++' : innermost.functionName;
  return name.startsWith('(') || caller === undefined ? name : `${name} ← ${nameOf(caller)} ${placeOf(caller)}`;
}

function nameOf({ functionName }: Frame): string {
  return functionName === '' ? 'anonymous' : functionName;
}

function placeOf({ url, lineNumber }: Frame): string {
  const path = url.split('/').slice(-2).join('/');
  return path === '' ? '' : `${path}:${lineNumber + 1}`;
}

function describe(thread: string, { totalUs, categories, functions }: Sums, orchestrations: number): string {
  const share = (us: number): string => `${((us / totalUs) * 100).toFixed(1)} %`;
  const idleUs = categories.get(IDLE) ?? 0;
  const busyUs = totalUs - idleUs;
  const each = (us: number): string => (orchestrations === 0 ? '' : `${(us / orchestrations).toFixed(2)} µs/orchestration`);
  const line = (name: string, us: number): string => `  ${name.padEnd(NAME_WIDTH)} ${share(us).padStart(7)}  ${each(us)}`.trimEnd();
  const sorted = <Key extends string>(map: ReadonlyMap<Key, number>): readonly (readonly [Key, number])[] =>
    [...map].toSorted(([, left], [, right]) => right - left);
  return [
    `${thread}: busy ${share(busyUs)}, of that garbage collection ${share(categories.get(GARBAGE) ?? 0)}; idle ${share(idleUs)}; ${(totalUs / 1_000).toFixed(0)} ms`,
    ...sorted(categories)
      .filter(([category]) => category !== IDLE)
      .map(([category, us]) => line(category, us)),
    line('busy in all', busyUs),
    line('idle', idleUs),
    '  top functions by their own time',
    ...sorted(functions)
      .filter(([name]) => !name.startsWith('('))
      .slice(0, TOP)
      .map(([name, us]) => `    ${share(us).padStart(7)}  ${name}`),
  ].join('\n');
}
