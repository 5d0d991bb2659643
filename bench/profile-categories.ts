// Which function of a profile belongs to what. The table is read from the innermost function of a sample outwards: the first function that a
// line matches decides. Neighbour: profile-summary.ts.
import type { Frame } from './cpu-profile.ts';

/** What the time goes into. */
export type Category =
  | 'SQLite: begin and commit'
  | 'SQLite: statements'
  | 'store, its JavaScript'
  | 'encode and decode'
  | 'ports'
  | 'dispatch'
  | 'client'
  | 'replay engine'
  | 'orchestrations and activities'
  | 'the bench itself'
  | 'Node: timers, promises, streams'
  | 'garbage collection'
  | 'outside of JavaScript'
  | 'idle';

/** A line of the table. */
type Rule = {
  readonly category: Category;
  /** Path of the file, or the specifier of a module of Node. */
  readonly file?: RegExp;
  readonly functionName?: RegExp;
  /** The time is spent in C++ of better-sqlite3, called by the function that matches. */
  readonly callsSqlite?: boolean;
};

const RULES: readonly Rule[] = [
  { category: 'SQLite: begin and commit', file: /\/provider\/sqlite\/group-commit\./, callsSqlite: true },
  { category: 'SQLite: statements', file: /\/provider\/sqlite\/|\/better-sqlite3\/|\/bench\/raw-ceiling\./, callsSqlite: true },
  { category: 'encode and decode', file: /\/threads\/(?:messages|wire-records)\.|\/types\/(?:codec|message-text|history-text)\./ },
  { category: 'store, its JavaScript', file: /\/provider\/|\/better-sqlite3\// },
  {
    category: 'ports',
    file: /\/threads\/(?:thread-pool|work-port|control|activity-host)\.|\/comlink\/|\/piscina\/|messageport|internal\/worker/,
  },
  { category: 'ports', functionName: /^postMessage$/ },
  { category: 'dispatch', file: /\/src\/main\// },
  { category: 'client', file: /\/src\/client\// },
  { category: 'replay engine', file: /\/src\/replay\/|\/threads\/(?:replay-loop|drain)\./ },
  { category: 'dispatch', file: /\/src\/threads\// },
  { category: 'orchestrations and activities', file: /\/bench\/(?:orchestrations|activities)\./ },
  { category: 'the bench itself', file: /\/bench\// },
];

/** Node's own code belongs to who calls it; this is what nobody called. */
const NODE: Category = 'Node: timers, promises, streams';

/** What V8 calls time that is in no function. */
const META: Readonly<Record<string, Category>> = {
  '(garbage collector)': 'garbage collection',
  '(idle)': 'idle',
  '(program)': 'outside of JavaScript',
  '(root)': 'outside of JavaScript',
};

/**
 * Says what a sample belongs to.
 *
 * @param stack - the functions of a sample, the innermost first
 * @returns the category
 */
export function categorise(stack: readonly Frame[]): Category {
  const [innermost] = stack;
  if (innermost === undefined) return 'outside of JavaScript';
  const meta = Object.hasOwn(META, innermost.functionName) ? META[innermost.functionName] : undefined;
  if (meta !== undefined) return meta;
  // Functions of better-sqlite3 have neither file nor name.
  const inSqlite = innermost.url === '' && innermost.functionName === '';
  for (const frame of stack) {
    const rule = RULES.find((candidate) => matches(candidate, frame, inSqlite));
    if (rule !== undefined) return rule.category;
  }
  return stack.some(({ url }) => url.startsWith('node:')) ? NODE : 'outside of JavaScript';
}

function matches({ file, functionName, callsSqlite = false }: Rule, frame: Frame, inSqlite: boolean): boolean {
  if (callsSqlite && !inSqlite) return false;
  return (file?.test(frame.url) ?? true) && (functionName?.test(frame.functionName) ?? true);
}
