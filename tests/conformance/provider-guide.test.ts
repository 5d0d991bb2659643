// docs/provider-guide.md: its code is the example, what it says of the cases is true, and its checks pass in the runners that it names. That its
// code compiles and prints what it says is checked with the other guides, in tests/guides.test.ts.
import { conformanceCases, runConformance, type ConformanceTarget } from 'duraloom/conformance';
import { MemoryProvider } from 'duraloom/memory';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readGuide } from '../support/guide-files.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = join(ROOT, 'examples/own-provider');
const guide = readGuide('provider-guide', readFileSync(join(ROOT, 'docs/provider-guide.md'), 'utf8'));
const contracts = [...new Set(conformanceCases.map(({ contract }) => contract))];

/** A row of the table of steps: names in backticks. */
const steps = [...guide.text.matchAll(/^\| \d+\. [^|]+\|([^|]+)\|([^|]+)\|$/gm)].map(([, methods = '', cases = '']) => ({
  methods: namesIn(methods),
  contracts: namesIn(cases),
}));

function namesIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}

/** Which methods the cases of a part of the contract call. */
async function methodsOf(contract: string): Promise<ReadonlySet<string>> {
  const called = new Set<string>();
  const target: ConformanceTarget = {
    name: 'noting',
    open: async (clock) => {
      const provider = new MemoryProvider({ clock });
      const note = (method: string | symbol): unknown => {
        const value: unknown = Reflect.get(provider, method);
        if (typeof value !== 'function') return value;
        // The kit itself closes every provider.
        if (method !== 'close') called.add(String(method));
        return value.bind(provider) as unknown;
      };
      return { provider: new Proxy(provider, { get: (_, method) => note(method) }) };
    },
  };
  await runConformance(target, { cases: conformanceCases.filter((conformanceCase) => conformanceCase.contract === contract) });
  return called;
}

describe('the provider guide', { timeout: 120_000 }, () => {
  test('shows the files of the example, whole', () => {
    const files = readdirSync(EXAMPLE);
    expect(files.toSorted()).toEqual(['journal-provider.ts', 'journal.ts', 'main.ts', 'target.ts']);
    for (const file of files) expect(guide.files.get(file)).toBe(readFileSync(join(EXAMPLE, file), 'utf8'));
  });

  test('tells of every part of the contract', () => {
    expect(contracts.filter((contract) => !guide.text.includes(`\`${contract}\``))).toEqual([]);
    const named = steps.flatMap((step) => step.contracts);
    expect(named.filter((name) => !contracts.includes(name))).toEqual([]);
    expect(steps.length).toBe(12);
  });

  test('has the cases of a step use methods of this step and of those before it', async () => {
    const known = new Set<string>();
    for (const step of steps) {
      for (const method of step.methods) known.add(method);
      for (const contract of step.contracts) {
        expect({ contract, missing: [...(await methodsOf(contract))].filter((method) => !known.has(method)) }).toEqual({
          contract,
          missing: [],
        });
      }
    }
  });
});

describe('the checks of the provider guide', { timeout: 120_000 }, () => {
  // Not below node_modules: Node strips no types there.
  const project = mkdtempSync(join(tmpdir(), 'duraloom-provider-guide-'));

  beforeAll(() => {
    const modules = join(project, 'node_modules');
    mkdirSync(modules);
    symlinkSync(ROOT, join(modules, 'duraloom'), 'junction');
    symlinkSync(join(ROOT, 'node_modules/vitest'), join(modules, 'vitest'), 'junction');
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    // Only because the package is its source here; see CONTRIBUTING.md.
    const config = { ssr: { resolve: { conditions: ['duraloom-source'] } }, test: { include: ['vitest.test.ts'] } };
    writeFileSync(join(project, 'vitest.config.ts'), `export default ${JSON.stringify(config)};`);
    for (const [file, text] of guide.files) writeFileSync(join(project, file), text);
  });
  afterAll(() => rmSync(project, { recursive: true }));

  function run(...args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, ['--conditions=duraloom-source', ...args], { cwd: project, maxBuffer: 1 << 26 }, (error, stdout) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout });
      });
    });
  }

  // A part is enough: tests/provider/own-provider.test.ts runs all.
  const part = conformanceCases.filter(({ contract }) => contract === 'restarts' || contract === 'work items').length;

  test('pass in vitest', async () => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const { code } = await run(vitest, 'run', '--reporter=json', '--outputFile=report.json', '-t', 'restarts:|work items:');
    const report = JSON.parse(readFileSync(join(project, 'report.json'), 'utf8')) as Readonly<Record<string, number>>;
    const { numPassedTests, numFailedTests, numTotalTests } = report;
    expect({ code, numPassedTests, numFailedTests, numTotalTests }).toEqual({
      code: 0,
      numPassedTests: part,
      numFailedTests: 0,
      numTotalTests: conformanceCases.length,
    });
  });

  test('pass in node:test', async () => {
    const { code, stdout } = await run('--test', '--test-reporter=tap', '--test-name-pattern=/^(restarts|work items):/', 'node.test.ts');
    const figures = new Map([...stdout.matchAll(/^# (\w+) (\d+)$/gm)].map(([, name = '', count]) => [name, Number(count)]));
    expect([code, figures.get('pass'), figures.get('fail')]).toEqual([0, part, 0]);
  });
});
