import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { maskSource } from './support/mask-source.ts';
import { checkTidy, readTree, type Violation } from './support/tidy.ts';

// Split, so that this file does not break the rules that it tests.
const ONE_L = ['cance', 'led'].join('');
const UNFINISHED = ['TO', 'DO'].join('');
const IGNORE = ['@ts-', 'ignore'].join('');

/** A file with its header: what is planted begins on line 3. */
function planted(path: string, code: string): readonly Violation[] {
  return checkTidy(new Map([[path, `// A planted file.\n\n${code}\n`]]));
}

describe('the repository', () => {
  const tree = readTree(dirname(import.meta.dirname));

  test('is read: sources, tests and documents', () => {
    expect([...tree.keys()]).toEqual(
      expect.arrayContaining(['src/types/errors.ts', 'tests/support/tidy.ts', 'docs/errors.md', 'CHANGELOG.md']),
    );
  });

  test('breaks no rule', () => {
    expect(checkTidy(tree).map(({ file, line, message }) => `${file}:${line} ${message}`)).toEqual([]);
  });
});

describe('import direction', () => {
  test.each([
    ['src/types/a.ts', './b.ts'],
    ['src/replay/a.ts', '../types/b.ts'],
    ['src/replay/a.ts', './b.ts'],
    ['src/provider/a.ts', '../types/b.ts'],
    ['src/provider/a.ts', 'node:crypto'],
    ['src/provider/sqlite/a.ts', './b.ts'],
    ['src/provider/sqlite/a.ts', '../provider.ts'],
    ['src/provider/sqlite/a.ts', '../../types/b.ts'],
    ['src/provider/sqlite/a.ts', 'better-sqlite3'],
    ['src/provider/sqlite/deep/a.ts', '../b.ts'],
    ['src/provider/conformance/a.ts', 'node:assert'],
    ['src/client/a.ts', '../types/b.ts'],
    ['src/client/a.ts', '../provider/provider.ts'],
    ['src/threads/a.ts', '../replay/b.ts'],
    ['src/threads/a.ts', '../client/b.ts'],
    ['src/threads/a.ts', 'piscina'],
    ['src/threads/a.ts', 'comlink/dist/esm/node-adapter.mjs'],
    ['src/threads/a.ts', 'node:worker_threads'],
    ['src/main/a.ts', '../provider/provider.ts'],
    ['src/main/a.ts', '../threads/b.ts'],
    ['src/main/a.ts', '../client/b.ts'],
    ['src/main/a.ts', 'node:events'],
    ['src/surfaces/views/a.ts', '../../replay/b.ts'],
    ['examples/hello/main.ts', 'duraloom'],
    ['examples/hello/main.ts', 'duraloom/sqlite'],
    ['examples/hello/main.ts', './activities.ts'],
    ['examples/hello/main.ts', 'node:fs'],
    ['tests/a.test.ts', '../src/provider/sqlite/b.ts'],
    ['bench/a.ts', 'tinybench'],
    ['stress/a.ts', '../src/main/b.ts'],
    ['scripts/a.ts', 'typescript'],
  ])('%s may import %s', (path, specifier) => {
    expect(planted(path, `import { x } from '${specifier}';`)).toEqual([]);
  });

  test.each([
    ['src/types/a.ts', '../replay/b.ts'],
    ['src/types/a.ts', 'node:fs'],
    ['src/types/a.ts', 'comlink'],
    ['src/replay/a.ts', 'node:async_hooks'],
    ['src/replay/a.ts', '../threads/b.ts'],
    ['src/provider/a.ts', '../replay/b.ts'],
    ['src/provider/a.ts', './sqlite/b.ts'],
    ['src/provider/a.ts', 'better-sqlite3'],
    ['src/provider/sqlite/a.ts', '../memory/b.ts'],
    ['src/provider/sqlite/a.ts', '../../main/b.ts'],
    ['src/provider/memory/a.ts', 'better-sqlite3'],
    ['src/client/a.ts', '../provider/sqlite/b.ts'],
    ['src/client/a.ts', '../threads/b.ts'],
    ['src/client/a.ts', '../main/b.ts'],
    ['src/client/a.ts', 'node:timers'],
    ['src/threads/a.ts', '../provider/provider.ts'],
    ['src/threads/a.ts', '../main/b.ts'],
    ['src/threads/a.ts', 'better-sqlite3'],
    ['src/main/a.ts', '../provider/sqlite/b.ts'],
    ['src/main/a.ts', '../replay/b.ts'],
    ['src/main/a.ts', 'piscina'],
    ['src/main/a.ts', 'fs'],
    ['src/main/a.ts', 'duraloom'],
    ['src/main/a.ts', '../index.ts'],
    ['src/main/a.ts', '../../tests/support/seed.ts'],
    ['src/surfaces/views/a.ts', '../../client/b.ts'],
    ['src/surfaces/views/a.ts', '../cli/b.ts'],
    ['src/surfaces/views/a.ts', 'node:fs'],
    ['src/surfaces/a.ts', './views/b.ts'],
    ['src/surprise/a.ts', './b.ts'],
    ['examples/hello/main.ts', '../../src/index.ts'],
    ['examples/hello/main.ts', 'piscina'],
    ['examples/hello/main.ts', 'duraloom-other'],
  ])('%s must not import %s', (path, specifier) => {
    expect(planted(path, `import { x } from '${specifier}';`)).toMatchObject([{ file: path, line: 3, rule: 'direction' }]);
  });

  test.each([
    `import '../main/b.ts';`,
    `import type { X } from '../main/b.ts';`,
    `import {\n  x,\n  type Y,\n} from "../main/b.ts";`,
    `import * as all from '../main/b.ts';`,
    `export { x } from '../main/b.ts';`,
    `export * from '../main/b.ts';`,
    `export type { X } from '../main/b.ts';`,
    `const x = await import('../main/b.ts');`,
    `type X = import('../main/b.ts').X;`,
  ])('every form of import counts: %s', (code) => {
    expect(planted('src/threads/a.ts', code)).toMatchObject([{ rule: 'direction' }]);
  });

  test('text that looks like an import does not count', () => {
    const code = `// import x from 'piscina';\nconst x = "import y from 'piscina'";\nconst z = Array.from('piscina');`;
    expect(planted('src/main/a.ts', code)).toEqual([]);
  });
});

describe('import cycles', () => {
  const cycle = (first: string, second: string): readonly Violation[] =>
    checkTidy(
      new Map([
        ['src/types/a.ts', `// A.\n${first}\n`],
        ['src/types/b.ts', `// B.\nimport { c } from './c.ts';\n`],
        ['src/types/c.ts', `// C.\n\n${second}\n`],
      ]),
    );

  test('a cycle of three files is found once', () => {
    expect(cycle(`import { b } from './b.ts';`, `export { a } from './a.ts';`)).toEqual([
      {
        file: 'src/types/c.ts',
        line: 3,
        rule: 'cycle',
        message: 'import cycle: src/types/a.ts → src/types/b.ts → src/types/c.ts → src/types/a.ts',
      },
    ]);
  });

  test('types and imports at run time close no cycle', () => {
    expect(cycle(`import { b } from './b.ts';`, `import type { A } from './a.ts';`)).toEqual([]);
    expect(cycle(`import { b } from './b.ts';`, `const a = () => import('./a.ts');`)).toEqual([]);
  });
});

describe('files', () => {
  test('an entry file holds re-exports only', () => {
    const good = `export * from './types/a.ts';\nexport { a, type B } from './main/b.ts';\nexport type { C } from './types/c.ts'; // c`;
    expect(planted('src/index.ts', good)).toEqual([]);
    expect(planted('src/index.ts', `${good}\nexport const x = 1;`)).toMatchObject([{ line: 6, rule: 'entry' }]);
    expect(planted('src/index.ts', `export { x } from 'piscina';`)).toMatchObject([{ rule: 'direction' }]);
  });

  test('a source file begins with a comment; a test need not', () => {
    expect(checkTidy(new Map([['src/types/a.ts', `export const x = 1;\n`]]))).toMatchObject([{ line: 1, rule: 'header' }]);
    expect(checkTidy(new Map([['tests/a.test.ts', `export const x = 1;\n`]]))).toEqual([]);
  });
});

describe('bans', () => {
  test.each([
    ['src/types/a.ts', `throw new Error('x');`],
    ['src/types/a.ts', `const x = JSON.parse(y);`],
    ['src/types/a.ts', `const x = JSON\n  .stringify(y);`],
    ['src/types/a.ts', `const x: any = 1;`],
    ['src/types/a.ts', `function f(x: any[], y: number): void {}`],
    ['tests/a.test.ts', `const x = y as any;`],
    ['tests/a.test.ts', `test.only('x', () => {});`],
    ['tests/a.test.ts', `describe.skip('x', () => {});`],
    ['tests/a.test.ts', `test.todo('x');`],
    ['tests/a.test.ts', `test.skipIf(slow)('x', () => {});`],
    ['tests/a.test.ts', `test.only.each([1])('x', () => {});`],
    ['src/types/a.ts', `// ${IGNORE}`],
    ['src/types/a.ts', `const ${ONE_L} = 1;`],
    ['docs/a.md', `The activity was ${ONE_L.toUpperCase()}.`],
    ['bench/a.ts', `// ${UNFINISHED}: faster`],
    ['README.md', UNFINISHED],
  ])('%s must not hold %s', (path, code) => {
    expect(planted(path, code)).toMatchObject([{ file: path, line: 3, rule: 'banned' }]);
  });

  test.each([
    ['src/types/codec.ts', `const x = JSON.parse(y);`],
    ['tests/a.test.ts', `throw new Error(JSON.stringify(x));`],
    ['src/types/a.ts', `const x = 'throw new Error(';`],
    ['src/types/a.ts', `const x = \`JSON.parse \${y} as any\`;`],
    ['src/types/a.ts', `// once as any, JSON.parse(x)`],
    ['src/types/a.ts', `const x = { all, any: any(y), company: anyone };`],
    ['src/types/a.ts', `throw new ArgumentError('cancelled, cancelling, cancellation');`],
    ['tests/a.test.ts', `// Needs a drive of 1 TB.\ntest.skip('x', () => {});`],
    ['docs/a.md', `Never call JSON.parse yourself, and \`.only(\` leave alone.`],
    ['src/replay/a.ts', `const x = ctx.any([a, b]);`],
  ])('%s may hold %s', (path, code) => {
    expect(planted(path, code)).toEqual([]);
  });

  test('code on the line above is no reason', () => {
    expect(planted('tests/a.test.ts', `const x = 1;\ntest.skip('x', () => {});`)).toMatchObject([{ line: 4, rule: 'banned' }]);
  });
});

describe('maskSource', () => {
  test.each([
    [`a('b\\'c', "d") // e`, `a('    ', " ")     `],
    ['`a${b + `c${{ d: "e" }.d}f`}g` + h', '` ${b + ` ${{ d: " " }.d} `} ` + h'],
    ['a /* b\nc */ d', 'a     \n     d'],
    [`a = /b'[/]"/g; c = "'"`, `a =          ; c = " "`],
    [`a / b / "c"`, `a / b / " "`],
    [`return /"/.test(a)`, `return    .test(a)`],
  ])('%j keeps its code only', (source, masked) => {
    expect(maskSource(source).length).toBe(source.length);
    expect(maskSource(source)).toBe(masked);
  });
});
