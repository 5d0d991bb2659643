// Holds docs/traps.md to the tests: every trap has its row, every row its tests or its reason. Neighbour: tests/traps/ has most of the tests.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

/** A row of the table. */
type Row = { readonly trap: number; readonly what: string; readonly answer: string; readonly heldBy: string };

/** A test that a row names; the name is as it stands in the source, so `%s` stands for the cases of a table. */
type Named = { readonly trap: number; readonly file: string; readonly name: string };

const TRAPS = 63;
const CANNOT_HAPPEN = 'Cannot happen: ';

const readText = (path: string): string => readFileSync(join(import.meta.dirname, path), 'utf8');
/** Tests are named from this folder on, conformance cases from the root on. */
const readTest = (path: string): string => readText(path.startsWith('src/') ? `../${path}` : path);
const rows = readRows(readText('../docs/traps.md'));
const named = rows.flatMap(readTests);

function readRows(text: string): readonly Row[] {
  return [...text.matchAll(/^\| T(\d+) +\|(.*)\|$/gm)].map(([, trap, cells = '']) => {
    const [what = '', answer = '', heldBy = '', ...more] = cells.split('|').map((cell) => cell.trim());
    if (more.length > 0) throw new TypeError(`the row of T${String(trap)} has too many cells`);
    return { trap: Number(trap), what, answer, heldBy };
  });
}

function readTests({ trap, heldBy }: Row): readonly Named[] {
  if (heldBy.startsWith(CANNOT_HAPPEN)) return [];
  return heldBy.split('<br>').map((part) => {
    const [, file = '', name = ''] = /^`([^`]+)`: (.+)$/.exec(part) ?? [];
    return { trap, file, name };
  });
}

/** The names of the tests in a source: all of its string literals, which is more, and none that a comment holds. */
function namesIn(source: string): ReadonlySet<string> {
  const code = source.replaceAll(/^\s*(?:\/\/|\*|\/\*).*$/gm, '');
  return new Set([...code.matchAll(/'((?:[^'\\\n]|\\.)*)'/g)].map(([, text = '']) => text));
}

describe('docs/traps.md', () => {
  test('has every trap once, in order', () => {
    expect(rows.map(({ trap }) => trap)).toEqual(Array.from({ length: TRAPS }, (_, index) => index + 1));
  });

  test.each(rows)('tells of T$trap what went wrong and what is done', ({ what, answer }) => {
    expect([what, answer].map((cell) => /^\S.{2,}\.$/.test(cell))).toEqual([true, true]);
  });

  test.each(rows)('names tests for T$trap, or says why it cannot happen', ({ heldBy, ...row }) => {
    if (heldBy.startsWith(CANNOT_HAPPEN)) expect(heldBy.length).toBeGreaterThan(CANNOT_HAPPEN.length + 20);
    else expect(readTests({ heldBy, ...row }).every(({ file, name }) => file !== '' && name !== '')).toBe(true);
  });

  test.each(named)('T$trap: $file has $name', ({ trap, file, name }) => {
    expect(file).toMatch(/^(?:traps|integration|provider|replay|property|types|src\/conformance)\/[\w-]+(?:\.test)?\.ts$/);
    expect([...namesIn(readTest(file))]).toContain(name);
    expect(name).toMatch(new RegExp(`\\bT${trap}\\b`));
  });

  test('names no test of this folder in vain: each of them is for a trap of the table', () => {
    for (const file of ['replay', 'runtime', 'stores', 'house']) {
      const names = [...namesIn(readText(`traps/${file}.test.ts`))].filter((text) => /^T\d+[:,]/.test(text));
      const traps = names.flatMap((name) => [...(name.split(':')[0] ?? '').matchAll(/\d+/g)].map(Number));
      expect(traps.filter((trap) => trap < 1 || trap > TRAPS)).toEqual([]);
    }
  });
});
