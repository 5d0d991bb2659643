// The shape of the repository, checked on source text: who may import whom, what entry files hold, and a list of banned things.
// Works on a map from path to text, so that its own test can plant violations. Neighbour: tests/tidy.test.ts.
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { maskSource } from './mask-source.ts';

/** Text files by path from the repository's root, with `/` between folders. */
export type SourceTree = ReadonlyMap<string, string>;

/** One place that breaks a rule. */
export type Violation = {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly rule: 'banned' | 'cycle' | 'direction' | 'entry' | 'header';
  readonly message: string;
};

type SourceFile = {
  readonly path: string;
  readonly text: string;
  /** The text with comments and literals blanked; for files that are no TypeScript the text itself. */
  readonly code: string;
};

type Import = {
  readonly specifier: string;
  readonly offset: number;
  /** True when importing runs the other file at load time: neither `import type` nor `import()`. */
  readonly isEager: boolean;
};

const CHECKED_FOLDERS = new Set([
  'src',
  'dashboard',
  'tests',
  'bench',
  'stress',
  'simulate',
  'conformance',
  'postgres-server',
  'demo',
  'examples',
  'scripts',
  'docs',
]);

/** What a folder may import besides its own files. */
type ImportRow = {
  readonly folders: readonly string[];
  /** Single files of other folders. */
  readonly files?: readonly string[];
  readonly node: boolean;
  readonly packages: readonly string[];
};

const IMPORT_TABLE: Readonly<Record<string, ImportRow>> = {
  'src/types': { folders: [], node: false, packages: [] },
  'src/replay': { folders: ['src/types'], node: false, packages: [] },
  'src/provider': { folders: ['src/types'], node: true, packages: [] },
  // What an instance waits for is read from its history by the pure core.
  'src/client': { folders: ['src/types', 'src/provider', 'src/replay'], node: false, packages: [] },
  'src/threads': {
    folders: ['src/types', 'src/replay', 'src/client'],
    // Threads live by the machine's clock, and never see a provider.
    files: ['src/provider/system-clock.ts'],
    node: true,
    packages: ['piscina', 'comlink', 'semver'],
  },
  'src/main': { folders: ['src/types', 'src/provider', 'src/client', 'src/threads'], node: true, packages: [] },
  // Writes of the application's own transactions: the client's calls on the application's connection.
  'src/transactions': {
    folders: ['src/types', 'src/provider', 'src/provider/sqlite', 'src/provider/postgres', 'src/client'],
    node: true,
    packages: [],
  },
  // Each call of the management API as data, and what is made of the table.
  'src/surfaces/operations': { folders: ['src/types', 'src/client', 'src/main'], node: true, packages: ['zod'] },
  'src/surfaces/http': {
    folders: ['src/types', 'src/client', 'src/main', 'src/surfaces/operations', 'src/surfaces/mcp', 'src/surfaces/dashboard'],
    node: true,
    packages: ['hono', '@hono/node-server', 'zod'],
  },
  'src/surfaces/mcp': {
    folders: ['src/types', 'src/client', 'src/main', 'src/surfaces/operations'],
    node: true,
    packages: ['@modelcontextprotocol/sdk', 'zod'],
  },
  // Where the built dashboard is. Its source is in the folder dashboard.
  'src/surfaces/dashboard': { folders: [], node: true, packages: [] },
  // Pictures of a history as data and text; they run in a browser, too.
  'src/surfaces/views': { folders: ['src/types', 'src/replay'], node: false, packages: [] },
  // A program on the public API: what users could write themselves.
  'src/surfaces/cli': {
    folders: ['src/types', 'src/surfaces/dashboard'],
    files: [
      'src/index.ts',
      'src/http.ts',
      'src/mcp.ts',
      'src/conformance.ts',
      'src/memory.ts',
      'src/postgres.ts',
      'src/sqlite.ts',
      'src/testing.ts',
      'src/views.ts',
      'src/provider/deadline.ts',
      'src/provider/system-clock.ts',
      // The version of a file that is not open.
      'src/provider/sqlite/migrations.ts',
    ],
    node: true,
    packages: ['better-sqlite3', 'cli-progress', 'commander', 'string-width'],
  },
  'src/surfaces/metrics': { folders: ['src/types', 'src/main', 'src/provider'], node: true, packages: ['prom-client'] },
  'src/conformance': { folders: ['src/types', 'src/provider'], node: true, packages: [] },
  'src/testing': {
    folders: ['src/types', 'src/replay', 'src/provider', 'src/provider/memory', 'src/client', 'src/threads', 'src/main'],
    node: true,
    packages: [],
  },
  // By the API alone, never by an SDK: which one a host has is its own choice.
  'src/surfaces/otel': { folders: ['src/types', 'src/main'], node: true, packages: ['@opentelemetry/api'] },
};

/** Driver packages of the folders `src/provider/<name>`. */
const PROVIDER_DRIVERS: Readonly<Record<string, readonly string[]>> = { sqlite: ['better-sqlite3'], postgres: ['pg'] };

type Ban = {
  readonly pattern: RegExp;
  /** Where it holds: `code` leaves comments and literals alone, `text` does not. */
  readonly within: 'code' | 'text';
  readonly applies: (path: string) => boolean;
  readonly message: string;
  /** True when a comment on the line above lifts the ban. */
  readonly liftedByReason?: boolean;
};

const everywhere = (): boolean => true;
const inSource = (path: string): boolean => path.startsWith('src/');
const inTests = (path: string): boolean => path.startsWith('tests/');
const isTypeScript = (path: string): boolean => path.endsWith('.ts');

// The patterns are written so that they do not match themselves.
const BANS: readonly Ban[] = [
  {
    pattern: /\bthrow\s+new\s+Error\s*\(/g,
    within: 'code',
    applies: inSource,
    message: 'throw new Error() has no code: throw a class of types/errors.ts',
  },
  {
    pattern: /\bJSON\s*\.\s*(?:parse|stringify)\b/g,
    within: 'code',
    applies: (path) => inSource(path) && path !== 'src/types/codec.ts',
    message: 'JSON.parse and JSON.stringify belong to types/codec.ts: call its functions',
  },
  {
    pattern: /\.(?:only|skip|todo|skipIf|runIf)\s*[(.]/g,
    within: 'code',
    applies: inTests,
    message: 'a test that does not run needs its reason in a comment on the line above',
    liftedByReason: true,
  },
  {
    pattern: /:\s*any\b(?!\s*[(:])|\bas\s+any\b/g,
    within: 'code',
    applies: isTypeScript,
    message: 'any switches the compiler off: use unknown and check',
  },
  {
    pattern: /@ts-(?:ignore|nocheck)/g,
    within: 'text',
    applies: isTypeScript,
    message: 'suppressed type errors hide others: fix the type, or use @ts-expect-error in a test',
  },
  { pattern: /\bcancel(?:ed|ing)\b/gi, within: 'text', applies: everywhere, message: 'write cancelled and cancelling, with two l' },
  { pattern: /\b(?:TOD[O]|FIXM[E])\b/g, within: 'text', applies: everywhere, message: 'finish it, or write an issue' },
];

/**
 * Checks a tree against all rules.
 *
 * @param tree - the files
 * @returns what breaks a rule, in the order of the files; empty when all is well
 */
export function checkTidy(tree: SourceTree): readonly Violation[] {
  const files = [...tree].map(([path, text]): SourceFile => ({ path, text, code: isTypeScript(path) ? maskSource(text) : text }));
  const scripts = files.filter((file) => isTypeScript(file.path));
  return [
    ...files.flatMap(checkBans),
    ...scripts.flatMap(checkDirection),
    ...scripts.filter((file) => inSource(file.path)).flatMap(checkHeader),
    ...scripts.filter((file) => folderOf(file.path) === 'src').flatMap(checkEntry),
    ...checkCycles(scripts.filter((file) => inSource(file.path))),
  ];
}

/**
 * Reads the files that the rules are about.
 *
 * @param root - path of the repository
 * @returns TypeScript and Markdown files of the root and the known folders
 */
export function readTree(root: string): SourceTree {
  const names = readdirSync(root, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isFile()) return [entry.name];
    if (!CHECKED_FOLDERS.has(entry.name)) return [];
    return readdirSync(join(root, entry.name), { recursive: true, encoding: 'utf8' }).map((name) => join(entry.name, name));
  });
  const paths = names.filter((name) => /\.(?:ts|md)$/.test(name) && !name.split(sep).includes('node_modules')).toSorted();
  return new Map(paths.map((path) => [path.replaceAll(sep, '/'), readFileSync(join(root, path), 'utf8')]));
}

function checkBans(file: SourceFile): readonly Violation[] {
  return BANS.filter((ban) => ban.applies(file.path)).flatMap((ban) =>
    [...file[ban.within].matchAll(ban.pattern)]
      .filter((match) => ban.liftedByReason !== true || !hasCommentAbove(file, match.index))
      .map((match) => violation(file, match.index, 'banned', ban.message)),
  );
}

function hasCommentAbove(file: SourceFile, offset: number): boolean {
  const index = lineOf(file, offset) - 2;
  // A line with text of which no code is left is a comment.
  return (file.text.split('\n')[index]?.trim() ?? '') !== '' && file.code.split('\n')[index]?.trim() === '';
}

function checkDirection(file: SourceFile): readonly Violation[] {
  const folder = folderOf(file.path);
  if (folder === null) return [];
  return importsOf(file).flatMap(({ specifier, offset }) => {
    const reason = refusal(file.path, folder, specifier);
    return reason === null ? [] : [violation(file, offset, 'direction', reason)];
  });
}

/** Why an import is not allowed; null when it is. */
function refusal(path: string, folder: string, specifier: string): string | null {
  const target = resolveRelative(path, specifier);
  if (folder === 'examples') {
    const isAllowed = target === null ? /^(?:duraloom(?:\/|$)|node:)/.test(specifier) : target.startsWith('examples/');
    return isAllowed ? null : `examples import duraloom by name, Node and their own files, not '${specifier}'`;
  }
  if (folder === 'src') return target?.startsWith('src/') === true ? null : `entry files re-export from src only, not from '${specifier}'`;
  const row = rowOf(folder);
  if (row === null) return `${folder} has no row in the import table of tests/support/tidy.ts`;
  if (target !== null) {
    const targetFolder = folderOf(target);
    const isAllowed =
      targetFolder === folder || (targetFolder !== null && row.folders.includes(targetFolder)) || row.files?.includes(target) === true;
    return isAllowed ? null : `${folder} must not import '${specifier}'; allowed: ${['itself', ...row.folders].join(', ')}`;
  }
  if (specifier.startsWith('node:')) return row.node ? null : `${folder} must not import Node: it must run anywhere`;
  const allowed = row.packages.length === 0 ? 'none' : row.packages.join(', ');
  return row.packages.includes(packageName(specifier)) ? null : `${folder} must not import '${specifier}'; allowed packages: ${allowed}`;
}

function rowOf(folder: string): ImportRow | null {
  const provider = /^src\/provider\/([^/]+)$/.exec(folder)?.[1];
  if (provider === undefined) return IMPORT_TABLE[folder] ?? null;
  return { folders: ['src/types', 'src/provider'], node: true, packages: PROVIDER_DRIVERS[provider] ?? [] };
}

/** Folders whose own folders are units by themselves. */
const NESTED: ReadonlySet<string> = new Set(['provider', 'surfaces']);

/** The unit to which the import table applies: `src`, `src/<folder>`, `src/provider/<name>`, `src/surfaces/<name>` or `examples`; null: no rule. */
function folderOf(path: string): string | null {
  const [top, first, second, third] = path.split('/');
  if (top === 'examples') return 'examples';
  if (top !== 'src' || first === undefined) return null;
  if (second === undefined) return 'src';
  return NESTED.has(first) && third !== undefined ? `src/${first}/${second}` : `src/${first}`;
}

function checkHeader(file: SourceFile): readonly Violation[] {
  return file.text.startsWith('// ')
    ? []
    : [violation(file, 0, 'header', 'begin the file with a // comment: its one job and its neighbours')];
}

function checkEntry(file: SourceFile): readonly Violation[] {
  const reExport = /\bexport\s+(?:type\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^{}]*\})\s+from\s*(['"]) *\1\s*;?/g;
  const rest = file.code.replaceAll(reExport, (statement) => statement.replaceAll(/[^\n]/g, ' '));
  const offset = rest.search(/\S/);
  return offset < 0 ? [] : [violation(file, offset, 'entry', 'entry files hold re-exports only: move the code into a folder')];
}

/** Only imports that run at load time can form a harmful cycle; types are gone by then. */
function checkCycles(files: readonly SourceFile[]): readonly Violation[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const finished = new Set<string>();
  const violations: Violation[] = [];
  const visit = (file: SourceFile, trail: readonly string[]): void => {
    if (finished.has(file.path)) return;
    const path = [...trail, file.path];
    for (const { specifier, offset, isEager } of importsOf(file)) {
      const target = byPath.get(resolveRelative(file.path, specifier) ?? '');
      if (target === undefined || !isEager) continue;
      if (path.includes(target.path)) {
        const cycle = [...path.slice(path.indexOf(target.path)), target.path].join(' → ');
        violations.push(violation(file, offset, 'cycle', `import cycle: ${cycle}`));
      } else visit(target, path);
    }
    finished.add(file.path);
  };
  for (const file of files) visit(file, []);
  return violations;
}

function importsOf(file: SourceFile): readonly Import[] {
  const declarations = file.code.matchAll(/\b(?:import|export)\s+(type\s+)?(?:[\w$*{},\s]*?\bfrom\s*)?(['"])( *)\2/g);
  const calls = file.code.matchAll(/\b(?:import|require)\s*\(\s*(['"`])( *)\1/g);
  return [
    ...[...declarations].map((match) => toImport(file, match, match[1] === undefined)),
    ...[...calls].map((match) => toImport(file, match, false)),
  ];
}

/** The match ends with the quoted specifier, which is blank in the code but still there in the text. */
function toImport(file: SourceFile, match: RegExpExecArray, isEager: boolean): Import {
  const end = match.index + match[0].length - 1;
  const length = match.at(-1)?.length ?? 0;
  return { specifier: file.text.slice(end - length, end), offset: end - length, isEager };
}

function resolveRelative(path: string, specifier: string): string | null {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : null;
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function violation(file: SourceFile, offset: number, rule: Violation['rule'], message: string): Violation {
  return { file: file.path, line: lineOf(file, offset), rule, message };
}

function lineOf(file: SourceFile, offset: number): number {
  return file.text.slice(0, offset).split('\n').length;
}
