// Named regression tests for the traps of the reference system that are held by rules of this repository. docs/traps.md lists all traps.
import { describe, expect, test } from 'vitest';
import { globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { conformanceCases } from '../../src/conformance/conformance-cases.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const files = (pattern: string): readonly string[] => globSync(join(ROOT, pattern)).map((path) => relative(ROOT, path));

describe('T9: a promise that nobody awaits', () => {
  type Override = { readonly files: readonly string[]; readonly rules: Readonly<Record<string, unknown>> };
  type Config = { readonly options: object; readonly rules: Readonly<Record<string, unknown>>; readonly overrides: readonly Override[] };
  const config = JSON.parse(read('.oxlintrc.json')) as Config;
  const rules = ['typescript/no-floating-promises', 'typescript/no-misused-promises'];

  test('T9: is an error of the linter, in every folder', () => {
    expect(config.options).toMatchObject({ typeAware: true });
    expect(rules.map((rule) => config.rules[rule])).toEqual(['error', 'error']);
    expect(config.overrides.flatMap((override) => Object.keys(override.rules)).filter((rule) => rules.includes(rule))).toEqual([]);
  });

  test('T9: is allowed nowhere by a comment', () => {
    const allowing = files('src/**/*.ts').filter((path) => /lint-disable[^\n]*(?:no-floating|no-misused)-promises/.test(read(path)));
    expect(allowing).toEqual([]);
  });
});

test('T41: no test waits for a fixed time', () => {
  // Activities of fixtures may take their time: tests wait for what they do.
  const tests = files('tests/**/*.ts').filter((path) => !path.includes('fixtures'));
  // One millisecond is the shortest real timer; a test that shows that real timers work needs one.
  const sleeping = tests.filter((path) =>
    /setTimeout\(\s*\w+,\s*(?!1\))[\d_]+\s*\)|(?:sleep|delay|setTimeout)\(\s*[\d_]+\s*\)/.test(read(path)),
  );
  expect(tests.length).toBeGreaterThan(30);
  expect(sleeping).toEqual([]);
});

test('T63: contract cases are named after behaviour: sentences of words, and of nothing that the contract does not have', () => {
  const vocabulary = ['src/provider/provider.ts', 'src/provider/management.ts', 'src/types/history-event.ts'].map(read).join('\n');
  const foreign = conformanceCases.flatMap(({ name }) => {
    const identifiers = name.match(/\b[a-z]+(?:[A-Z][a-z]*)+\b|\b\w+_\w+\b|\w+\(\)/g) ?? [];
    return identifiers.filter((identifier) => !new RegExp(`\\b${identifier}\\b`).test(vocabulary));
  });
  expect(foreign).toEqual([]);
  expect(conformanceCases.filter(({ name }) => name.split(' ').length < 3).map(({ name }) => name)).toEqual([]);
});
