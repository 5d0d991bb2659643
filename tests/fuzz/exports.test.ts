// Modules of orchestrations and activities whose exports are anything: they are taken, or refused with an error that names file and export.
// In real threads and inline; a refusal leaves nothing behind.
import { Client, defineOrchestration, DefinitionError, Runtime } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import fc from 'fast-check';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { seeded } from '../support/seed.ts';
import { fuzz, LIMIT_MS, PATIENCE } from './kit.ts';

const source = new URL('../../src/', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'duraloom-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true }));

// Another copy of the library, as a second version in node_modules would be.
cpSync(fileURLToPath(new URL('types', source)), join(folder, 'copy', 'types'), {
  recursive: true,
  filter: (path) => !path.endsWith('.json'),
});
writeFileSync(join(folder, 'package.json'), '{"type":"module"}');

/** What every module begins with. */
const HEAD = `
import { defineActivity, defineOrchestration } from ${JSON.stringify(new URL('index.ts', source).href)};
import * as copy from './copy/types/definition.ts';
const fail = () => { throw new RangeError('a trap of the test'); };
const revoked = () => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy; };
const traps = { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail, getOwnPropertyDescriptor: fail };
const handler = () => 7;
const trapped = (object, name) => Object.defineProperty(object, name, { get: fail, enumerable: true });
const activity = (more) => ({ ...defineActivity('a', handler), ...more });
const orchestration = (more) => ({ ...defineOrchestration('o', handler), ...more });
const standard = (more) => ({ version: 1, vendor: 'test', validate: (value) => ({ value }), ...more });
const schema = (more) => ({ '~standard': standard(more) });
`;

/** Exports that are taken. */
const SOUND: readonly string[] = [
  `defineActivity('x', handler)`,
  `defineOrchestration('x', handler, { version: '2.0.0' })`,
  `copy.defineActivity('x', handler)`,
  `copy.defineOrchestration('x', handler)`,
  `{ kind: 'activity', name: 'x', handler }`,
  `{ kind: 'orchestration', name: 'x', handler }`,
  `Object.freeze(defineActivity('x', handler))`,
  `new Proxy(defineActivity('x', handler), {})`,
  `Object.create(defineActivity('x', handler))`,
  `activity({ name: 'x', more: Symbol('more') })`,
  `defineActivity('x', handler, { input: schema({ vendor: Symbol('vendor') }) })`,
  `defineActivity('x', handler, { input: { '~standard': trapped(standard({}), 'vendor') } })`,
  `defineActivity('x', handler, { input: schema({ jsonSchema: { input: () => ({ f: handler }) } }) })`,
  `defineActivity('x', handler, { input: schema({ jsonSchema: { input: () => 1n } }) })`,
  `defineActivity('x', handler, { input: schema({ jsonSchema: { input: fail } }) })`,
  `defineActivity('x', handler, { input: { '~standard': trapped(standard({}), 'jsonSchema') } })`,
];

/** Exports that are refused. */
const WRONG: readonly string[] = [
  'undefined',
  'null',
  '42',
  '10n',
  `'text'`,
  `'x'.repeat(5_000_000)`,
  `Symbol('wild')`,
  'handler',
  'class Wild {}',
  '[]',
  '{}',
  'Object.create(null)',
  'new Map()',
  'Promise.resolve(activity({}))',
  'revoked()',
  'new Proxy({}, traps)',
  'new Proxy({}, { get: () => 1, has: () => true })',
  'new Proxy(activity({}), traps)',
  '{ get kind() { return fail(); } }',
  `trapped(activity({}), 'kind')`,
  `trapped(activity({}), 'name')`,
  `trapped(activity({}), 'handler')`,
  `trapped(orchestration({}), 'version')`,
  `trapped(orchestration({}), 'schemas')`,
  `activity({ kind: 'other' })`,
  `activity({ kind: Symbol('kind') })`,
  'activity({ name: undefined })',
  `activity({ name: '' })`,
  `activity({ name: 'x'.repeat(1_000) })`,
  `activity({ name: '\\uD800' })`,
  `activity({ name: 'duraloom:x' })`,
  'activity({ name: { toString: fail } })',
  'activity({ handler: 7 })',
  'activity({ handler: undefined })',
  'activity({ schemas: null })',
  'activity({ schemas: 7 })',
  'activity({ schemas: { input: 7 } })',
  'activity({ schemas: { output: revoked() } })',
  'activity({ schemas: new Proxy({}, traps) })',
  `orchestration({ version: 'latest' })`,
  'orchestration({ version: 7 })',
  'orchestration({ schemas: { events: 7 } })',
  'orchestration({ schemas: { events: { e: fail } } })',
  'orchestration({ schemas: { events: new Proxy({}, traps) } })',
];

/** Bodies of modules that cannot be loaded. */
const BROKEN: readonly string[] = [
  'throw new RangeError("wild");',
  'throw undefined;',
  'throw null;',
  'throw Symbol("wild");',
  'throw Object.create(null);',
  'throw { toString: fail };',
  'throw new Proxy({}, traps);',
  'throw revoked();',
  'throw Object.defineProperty(new Error("wild"), "message", { get: fail });',
  'await Promise.reject(new RangeError("wild"));',
  'export const y = later; const later = 1;',
  'import "./nowhere.ts";',
  'export const = 1;',
  '\u0000\u0001',
];

let count = 0;

function write(text: string): URL {
  const file = join(folder, `module-${(count += 1)}.ts`);
  writeFileSync(file, text);
  return pathToFileURL(file);
}

/** A module that has a sound definition of each kind, and these exports. */
function moduleOf(exports: readonly string[]): URL {
  const lines = exports.map((value, index) => `export const wild${index} = ${value};`);
  const sound = `export const fineActivity = defineActivity('fine', handler); export const fineOrchestration = defineOrchestration('fine', handler);`;
  return write(`${HEAD}${sound}\n${lines.join('\n')}`);
}

const inline = { replayThreads: 0, activityThreads: 0 };

/** Starts a runtime inline on a module of both kinds; gives what it was refused with. */
async function start(module: URL): Promise<unknown> {
  const provider = new MemoryProvider();
  const [listeners, originalDate] = [process.listenerCount('unhandledRejection'), Date];
  try {
    const runtime = await Runtime.start({ provider, orchestrations: module, activities: module, ...inline });
    try {
      const handle = await new Client(provider).startOrchestration('fine', 'fine');
      expect(await handle.result({ timeout: PATIENCE })).toBe(7);
    } finally {
      await runtime.shutdown({ timeoutMs: 0 });
    }
    return null;
  } catch (error) {
    return error;
  } finally {
    // Whatever became of it, this process is as before.
    expect(await provider.listRuntimes()).toEqual([]);
    expect(process.listenerCount('unhandledRejection')).toBe(listeners);
    expect(Date).toBe(originalDate);
  }
}

/** Starts an activity thread on a module; gives what it was refused with. */
async function startThread(module: URL): Promise<unknown> {
  const provider = new MemoryProvider();
  try {
    const runtime = await Runtime.start({ provider, activities: module, activityThreads: 1 });
    await runtime.shutdown({ timeoutMs: 0 });
    return null;
  } catch (error) {
    return error;
  } finally {
    expect(await provider.listRuntimes()).toEqual([]);
  }
}

function expectRefusal(error: unknown, code: DefinitionError['code'], names: readonly string[]): void {
  expect(error).toBeInstanceOf(DefinitionError);
  expect(error).toMatchObject({ code });
  const { message } = error as DefinitionError;
  for (const name of names) expect(message).toContain(name);
  expect(message.length).toBeLessThan(3_000);
}

describe('inline', () => {
  test.each(SOUND)('the export %s is taken', async (value) => {
    expect(await start(moduleOf([value]))).toBeNull();
  });

  test.each(WRONG)('the export %s is refused by name', async (value) => {
    const module = moduleOf([`defineActivity('before', handler)`, value]);
    expectRefusal(await start(module), 'DEFINITION_INVALID', ["export 'wild1'", module.href]);
  });

  test.each(BROKEN)('the module %j is refused by name', async (body) => {
    const module = write(`${HEAD}${body}`);
    expectRefusal(await start(module), 'MODULE_NOT_LOADED', [module.href]);
  });

  test('a CommonJS module whose getter throws, or gives anything, is refused by name', async () => {
    for (const getter of ['() => { throw new RangeError("wild"); }', '() => 7']) {
      const file = join(folder, `common-${(count += 1)}.cjs`);
      writeFileSync(file, `Object.defineProperty(module.exports, 'wild', { enumerable: true, get: ${getter} });`);
      const error = await start(pathToFileURL(file));
      expect(error).toBeInstanceOf(DefinitionError);
      expect((error as Error).message).toContain(file);
    }
  });

  test('a module that is a promise itself is refused by name, or taken for what it gives', async () => {
    for (const body of ['resolve(7)', 'reject(new RangeError("wild"))', 'throw new RangeError("wild")']) {
      const module = write(`export function then(resolve: any, reject: any) { ${body}; }`);
      const error = await start(module);
      expect(error).toBeInstanceOf(DefinitionError);
      expect((error as Error).message).toContain(module.href);
    }
  });

  test('the same name twice is refused with both exports, the same definition twice is taken', async () => {
    const twice = moduleOf([`defineActivity('fine', () => 8)`]);
    expectRefusal(await start(twice), 'DEFINITION_DUPLICATE', ["'fine'", "'fineActivity'", "'wild0'", twice.href]);
    expect(await start(moduleOf([`activity({ name: 'fine', handler })`, `fineActivity`]))).toBeNull();
  });

  test('a thousand definitions are taken', async () => {
    const many =
      write(`${HEAD}${Array.from({ length: 1_000 }, (_, index) => `export const a${index} = defineActivity('a${index}', handler);`).join('\n')}
      export const fine = defineOrchestration('fine', handler);`);
    expect(await start(many)).toBeNull();
  });

  test('a prefix that makes a name too long is refused', async () => {
    const provider = new MemoryProvider();
    const nothing = defineOrchestration('x'.repeat(200), () => null);
    const starting = Runtime.start({ provider, orchestrations: { prefix: 'p'.repeat(100), source: nothing }, ...inline });
    expectRefusal(await starting.catch((error: unknown) => error), 'DEFINITION_INVALID', ['orchestration name', '1 to 256']);
  });
});

describe(seeded('in threads'), () => {
  const wild = fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...SOUND).map((value) => ({ value, isSound: true })) },
    { weight: 3, arbitrary: fc.constantFrom(...WRONG).map((value) => ({ value, isSound: false })) },
  );

  test(
    'an export is taken, or refused by name',
    async () => {
      await fc.assert(
        fc.asyncProperty(wild, async ({ value, isSound }) => {
          const module = moduleOf([value]);
          const error = await startThread(module);
          if (isSound) expect(error).toBeNull();
          else expectRefusal(error, 'DEFINITION_INVALID', ["export 'wild0'", module.href]);
        }),
        fuzz(2),
      );
    },
    LIMIT_MS,
  );

  test(
    'a module that cannot be loaded is refused by name, and another start succeeds',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...BROKEN, 'import { none } from "./copy/types/names.ts";'), async (body) => {
          const module = write(`${HEAD}${body}`);
          expectRefusal(await startThread(module), 'MODULE_NOT_LOADED', [module.href]);
        }),
        fuzz(1),
      );
      expect(await startThread(moduleOf([]))).toBeNull();
    },
    LIMIT_MS,
  );

  test(
    'schemas that cannot leave their thread do not keep it from starting',
    async () => {
      const provider = new MemoryProvider();
      const named = SOUND.map((value, index) => value.replace("'x'", `'x${index}'`));
      const module = moduleOf(named);
      const runtime = await Runtime.start({ provider, activities: module, activityThreads: 1 });
      onTestFinished(() => runtime.shutdown({ timeoutMs: 0 }));
      expect(runtime.activities.length).toBe(SOUND.filter((value) => /activity/i.test(value)).length + 1);
    },
    LIMIT_MS,
  );
});
