// The thread pools as a host meets them: threads and inline give the same, loading errors name file and export, nothing keeps running.
import { Client, defineActivity, defineOrchestration, Runtime, type HistoryEvent, type RuntimeOptions } from 'duraloom';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Child } from '../support/integration-child.ts';
import { DURALOOM_URL, fixture, modules, PATIENCE, quick, rejection, stage, type Stage } from '../support/integration-stage.ts';
import type { Place } from './fixtures/activities.ts';

const inline = { replayThreads: 0, activityThreads: 0 };

/** What must be the same wherever an instance runs: everything but times. */
function timeless(history: readonly HistoryEvent[]): readonly unknown[] {
  return history.map((event) => ({ ...event, atMs: 0, ...('fireAtMs' in event ? { fireAtMs: 0 } : {}) }));
}

describe('a runtime', () => {
  test('gives the same result and history over threads, inline and mixed', async () => {
    const run = async (options: Partial<RuntimeOptions>): Promise<unknown> => {
      const { client } = await stage().open(options);
      const handle = await client.startOrchestration('hello', 'hello', 'world');
      const result = await handle.result({ timeout: PATIENCE });
      return { result, history: timeless(await client.readHistory('hello')) };
    };
    const overThreads = await run({});
    expect(overThreads).toMatchObject({ result: 'Hello, world!' });
    expect(await run(inline)).toEqual(overThreads);
    expect(await run({ replayThreads: 0 })).toEqual(overThreads);
    expect(await run({ activityThreads: 0 })).toEqual(overThreads);
  });

  test('shares the work among several replay and activity threads', async () => {
    const { client, runtime } = await stage().open({ replayThreads: 2, activityThreads: 2, activitiesPerThread: 4 });
    const handles = await Promise.all(
      Array.from({ length: 40 }, (_, index) => client.startOrchestration<Place[]>(`w${index}`, 'fan', { activity: 'locate', count: 5 })),
    );
    const places = (await Promise.all(handles.map((handle) => handle.result({ timeout: PATIENCE })))).flat();
    expect(places).toHaveLength(200);
    expect(new Set(places.map(({ threadId }) => threadId)).size).toBe(2);
    expect(new Set(places.map(({ pid }) => pid))).toEqual(new Set([process.pid]));
    expect(runtime.stats()).toMatchObject({ activitiesCompleted: 200, turnsInFlight: 0, activitiesInFlight: 0, stickyInstances: 0 });
  });

  test('lists what its threads have registered', async () => {
    const stand = stage();
    const second = stand.writeModule(
      'second.ts',
      `import { defineOrchestration } from '${DURALOOM_URL}';
       export const b = defineOrchestration('hello', () => 'two', { version: '1.10.0' });
       export const a = defineOrchestration('hello', () => 'three', { version: '1.9.0' });`,
    );
    const { runtime, client } = await stand.open({ orchestrations: [modules.orchestrations, second] });
    const versions = runtime.orchestrations.filter(({ name }) => name === 'hello').map(({ version }) => version);
    expect(versions).toEqual(['1.10.0', '1.9.0', '1.0.0']);
    expect(runtime.activities.map(({ name }) => name)).toContain('echo');
    // The highest by number, not by text.
    expect(await (await client.startOrchestration('v', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('two');
    const old = await client.startOrchestration('v1', 'hello', 'x', { version: '1.0.0' });
    expect(await old.result({ timeout: PATIENCE })).toBe('Hello, x!');
  });

  test('loads modules given as URL, as text and as path, of TypeScript and JavaScript, one for both kinds', async () => {
    const stand = stage();
    const both = stand.writeModule(
      'both.mjs',
      `import { defineActivity, defineOrchestration } from '${DURALOOM_URL}';
       export const shout = defineActivity('shout', (_ctx, text) => text.toUpperCase());
       export const run = defineOrchestration('run', (ctx, text) => ctx.scheduleActivity('shout', text));`,
    );
    const { client } = await stand.open({
      orchestrations: [fileURLToPath(modules.orchestrations), both.href],
      activities: [modules.activities.href, fileURLToPath(both)],
    });
    expect(await (await client.startOrchestration('1', 'run', 'loud')).result({ timeout: PATIENCE })).toBe('LOUD');
    expect(await (await client.startOrchestration('2', 'hello', 'x')).result({ timeout: PATIENCE })).toBe('Hello, x!');
  });

  test('runs closures inline', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const seen: unknown[] = [];
    const note = defineActivity('note', (_ctx, value: number) => seen.push(value));
    const runs = defineOrchestration('runs', async (ctx) => [await ctx.scheduleActivity(note, 7), await ctx.scheduleActivity(note, 8)]);
    await stand.startRuntime({ provider, orchestrations: runs, activities: note, ...inline });
    const handle = await new Client(provider).startOrchestration('c', runs);
    expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2]);
    expect(seen).toEqual([7, 8]);
  });
});

type Loading = {
  readonly code: string;
  /** Texts that the message must hold. */
  readonly names: readonly string[];
  readonly options: (stand: Stage) => Partial<RuntimeOptions>;
  /** Name of the error in `cause`. */
  readonly cause?: string;
};

const define = `import { defineActivity, defineOrchestration } from '${DURALOOM_URL}';\n`;

const loading: Readonly<Record<string, Loading>> = {
  'a missing module': {
    code: 'MODULE_NOT_LOADED',
    names: ['nowhere.ts'],
    options: (stand) => ({ orchestrations: stand.file('nowhere.ts') }),
    cause: 'Error',
  },
  'a missing module of activities': {
    code: 'MODULE_NOT_LOADED',
    names: ['nowhere.ts'],
    options: (stand) => ({ activities: stand.file('nowhere.ts') }),
    cause: 'Error',
  },
  'a module that throws': {
    code: 'MODULE_NOT_LOADED',
    names: ['throws.ts', 'at load time'],
    options: (stand) => ({ orchestrations: stand.writeModule('throws.ts', `throw new RangeError('at load time');`) }),
    cause: 'RangeError',
  },
  'a module that throws what is no error': {
    code: 'MODULE_NOT_LOADED',
    names: ['odd.ts', 'just text'],
    options: (stand) => ({ activities: stand.writeModule('odd.ts', `throw 'just text';`) }),
  },
  'a syntax error': {
    code: 'MODULE_NOT_LOADED',
    names: ['syntax.mjs'],
    options: (stand) => ({ orchestrations: stand.writeModule('syntax.mjs', `export const x = ;`) }),
    cause: 'SyntaxError',
  },
  'TypeScript that cannot be stripped': {
    code: 'MODULE_NOT_LOADED',
    names: ['enum.ts'],
    options: (stand) => ({ orchestrations: stand.writeModule('enum.ts', `export enum Colour { Red }`) }),
    cause: 'SyntaxError',
  },
  'a missing import': {
    code: 'MODULE_NOT_LOADED',
    names: ['importer.ts', 'no-such-package'],
    options: (stand) => ({ activities: stand.writeModule('importer.ts', `import 'no-such-package';`) }),
    cause: 'Error',
  },
  'a folder': {
    code: 'MODULE_NOT_LOADED',
    names: ['folder'],
    options: (stand) => {
      mkdirSync(stand.file('folder'));
      return { orchestrations: stand.file('folder') };
    },
  },
  'a URL that is no file': {
    code: 'MODULE_NOT_LOADED',
    names: ['https://example.invalid/x.js'],
    options: () => ({ orchestrations: 'https://example.invalid/x.js' }),
  },
  'a name that two files define': {
    code: 'DEFINITION_DUPLICATE',
    names: ["orchestration 'same' version 1.0.0", "'first' of", 'one.ts', "'second' of", 'two.ts'],
    options: (stand) => ({
      orchestrations: [
        stand.writeModule('one.ts', `${define}export const first = defineOrchestration('same', () => 1);`),
        stand.writeModule('two.ts', `${define}export const second = defineOrchestration('same', () => 2);`),
      ],
    }),
  },
  'a name that one file defines twice': {
    code: 'DEFINITION_DUPLICATE',
    names: ["activity 'same'", "'first' of", "'second' of", 'twice.ts'],
    options: (stand) => ({
      activities: stand.writeModule(
        'twice.ts',
        `${define}export const first = defineActivity('same', () => 1); export const second = defineActivity('same', () => 2);`,
      ),
    }),
  },
  'an export that is no definition': {
    code: 'DEFINITION_INVALID',
    names: ["export 'answer'", 'number.ts', '42'],
    options: (stand) => ({
      activities: stand.writeModule('number.ts', `${define}export const a = defineActivity('a', () => 1); export const answer = 42;`),
    }),
  },
  'a function that was not defined': {
    code: 'DEFINITION_INVALID',
    names: ["export 'helper'", 'helper.ts', 'a function'],
    options: (stand) => ({ orchestrations: stand.writeModule('helper.ts', `export async function helper() {}`) }),
  },
  'an empty module': {
    code: 'DEFINITION_INVALID',
    names: ['empty.ts', 'orchestration'],
    options: (stand) => ({ orchestrations: stand.writeModule('empty.ts', `export {};`) }),
  },
  'a CommonJS module': {
    code: 'DEFINITION_INVALID',
    names: ["export 'default'", 'common.cjs'],
    options: (stand) => ({ orchestrations: stand.writeModule('common.cjs', `module.exports = {};`) }),
  },
  'a module of the other kind': {
    code: 'DEFINITION_INVALID',
    names: ['activities.ts', 'orchestration'],
    options: () => ({ orchestrations: modules.activities }),
  },
  'a definition with a bad name': {
    code: 'MODULE_NOT_LOADED',
    names: ['bad-name.ts', 'activity name', '1 to 256'],
    options: (stand) => ({ activities: stand.writeModule('bad-name.ts', `${define}export const a = defineActivity('', () => 1);`) }),
    cause: 'ArgumentError',
  },
  'a module that ends its thread': {
    code: 'THREAD_DIED',
    names: ['activity', 'process.exit'],
    options: (stand) => ({ activities: stand.writeModule('exit.ts', `process.exit(0);`) }),
  },
  'a relative path': {
    code: 'ARGUMENT_INVALID',
    names: ["'./orchestrations.ts'", 'import.meta.url'],
    options: () => ({ orchestrations: './orchestrations.ts' }),
  },
  'a definition for threads': {
    code: 'ARGUMENT_INVALID',
    names: ["activity 'closure'", 'activityThreads: 0'],
    options: () => ({ activities: defineActivity('closure', () => 1) }),
  },
};

describe('a start that fails', () => {
  test.each(Object.entries(loading))('names what is wrong: %s', async (_, { code, names, options, cause }) => {
    const stand = stage();
    const provider = await stand.openProvider();
    const error = await rejection(Runtime.start({ provider, ...quick, ...options(stand) }));
    expect(error.code, error.message).toBe(code);
    for (const name of names) expect(error.message).toContain(name);
    if (cause !== undefined) expect(error.cause).toMatchObject({ name: cause });
  });

  test.each(['a missing module', 'an export that is no definition', 'a name that one file defines twice', 'a module that throws'])(
    'names the same inline: %s',
    async (kind) => {
      const stand = stage();
      const provider = await stand.openProvider();
      const { code, names, options } = loading[kind] ?? { code: '', names: [], options: () => ({}) };
      const originalDate = Date;
      const error = await rejection(Runtime.start({ provider, ...options(stand), ...inline }));
      expect(error.code, error.message).toBe(code);
      for (const name of names) expect(error.message).toContain(name);
      // The guards of the inline loop go with it.
      expect(Date).toBe(originalDate);
    },
  );

  test('leaves the store as it was, and a second start succeeds', async () => {
    const stand = stage();
    const provider = await stand.openProvider();
    const client = new Client(provider);
    const handle = await client.startOrchestration('waiting', 'hello', 'x');
    await rejection(Runtime.start({ provider, ...modules, ...quick, activities: stand.file('nowhere.ts') }));
    expect(await handle.state()).toMatchObject({ status: 'Pending' });
    await stand.startRuntime({ provider, ...modules, ...quick });
    expect(await handle.result({ timeout: PATIENCE })).toBe('Hello, x!');
  });
});

describe('a process', () => {
  const script = fileURLToPath(fixture('lonely-script.ts'));
  const texts = { orchestrations: modules.orchestrations.href, activities: modules.activities.href };

  test.each([
    ['after a run over threads', {}, 'Hello, nobody!'],
    ['after a run inline', inline, 'Hello, nobody!'],
    [
      'after a start that failed in one of several threads',
      { activities: 'file:///nowhere.ts', replayThreads: 2, activityThreads: 2 },
      'MODULE_NOT_LOADED',
    ],
    ['after a start that failed inline', { ...inline, activities: 'file:///nowhere.ts' }, 'MODULE_NOT_LOADED'],
  ])('ends by itself %s', async (_, options, output) => {
    const stand = stage();
    const child = new Child(stand, script, [stand.file(), JSON.stringify({ ...texts, activityThreads: 1, ...options })]);
    expect(await child.ended).toEqual({ code: 0, signal: null, stdout: `${output}\n`, stderr: '' });
  });

  test('with an inline runtime dies of its own unhandled rejections as without', async () => {
    const child = new Child(stage(), fileURLToPath(fixture('host-rejection.ts')), []);
    const { code, stdout, stderr } = await child.ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'done running\n' });
    expect(stderr).toContain('RangeError: of the host');
  });
});
