import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

/** Codes of the union in errors.ts. They exist as types only, so they are read from the source text. */
function codesInSource(): readonly string[] {
  const union = /export type ErrorCode =([^;]+);/.exec(read('../src/types/errors.ts'))?.[1] ?? '';
  return [...union.matchAll(/'([A-Z_]+)'/g)].map((match) => match[1] ?? '');
}

describe('docs/errors.md', () => {
  const sections = read('../docs/errors.md').split(/^## /m).slice(1);
  const headings = sections.map((section) => section.split('\n', 1)[0] ?? '');

  test('has one entry for every error code and no other', () => {
    expect(codesInSource().length).toBeGreaterThan(30);
    expect(headings.toSorted()).toEqual(codesInSource().toSorted());
  });

  test('is in alphabetical order', () => {
    expect(headings).toEqual(headings.toSorted());
  });

  test.each(sections.map((section, index) => [headings[index], section]))(
    '%s says what it means, when it happens and what to do',
    (_, section) => {
      expect(section).toMatch(/^\*\*Meaning\.\*\* \S[^]*^\*\*When\.\*\* \S[^]*^\*\*What to do\.\*\* \S/m);
    },
  );
});
