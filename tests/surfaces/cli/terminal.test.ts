// The program on a pseudo terminal: questions, colours, progress, stepping through a history. Machines without `script` cannot show it.
import { Client } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { exportHistory } from 'duraloom/testing';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makePlace, runInTerminal, startHost, terminalProgram, type CliPlace } from '../../support/cli.ts';

const code = new URL('code.ts', import.meta.url).pathname;

// Needs the program `script` of util-linux for a pseudo terminal.
describe.skipIf(terminalProgram === null)('on a terminal', { timeout: 120_000 }, () => {
  let place: CliPlace;

  beforeAll(async () => {
    place = await makePlace();
    const host = await startHost(place.folder);
    const provider = await SqliteProvider.open(join(place.folder, 'duraloom.db'));
    const client = new Client(provider);
    for (const id of ['t1', 't2', 't3', 't4']) await client.startOrchestration(id, 'greet', 'T', { attributes: { many: true } });
    await client.startOrchestration('done', 'answer', 5);
    await client.waitForResult('done');
    await client.waitForCustomStatus('t1', { afterVersion: 0 });
    await host.stop();
    await writeFile(join(place.folder, 't1.json'), JSON.stringify(await exportHistory(client, 't1')));
    await provider.close();
  });

  afterAll(() => place.remove());

  test('a destructive command asks: no, the end of the input and Ctrl-C change nothing, yes does it', async () => {
    const sees = "This will terminate 't2'. Go on? [y/N] ";
    const [no, end, interrupt] = await Promise.all(
      ['n\n', '\u0004', '\u0003'].map((types) => runInTerminal(place, ['terminate', 't2'], [{ sees, types }])),
    );
    expect([no?.code, end?.code, interrupt?.code]).toEqual([6, 6, 130]);
    expect(no?.screen).toContain('Nothing was changed (DECLINED)');
    expect(await place.json(['list', '--status', 'Terminated', '--count'])).toMatchObject({ count: 0 });
    const yes = await runInTerminal(place, ['terminate', 't2'], [{ sees, types: 'y\n' }]);
    expect(yes.code).toBe(0);
    expect(yes.screen).toContain('t2: terminated');
    const bulk = await runInTerminal(
      place,
      ['suspend', '--all-matching', '--tag', 'many', '--status', 'Running,Pending'],
      [{ sees: 'This will suspend 3 instance(s)', types: 'yes\n' }],
    );
    expect(bulk.code).toBe(0);
    expect(bulk.screen).toContain('suspend: 3 matched, 3 done');
  });

  test('there are colours, unless NO_COLOR is set; a pipe has none, unless FORCE_COLOR is set', async () => {
    const [plain, coloured, forced, piped] = await Promise.all([
      runInTerminal(place, ['list'], [], { NO_COLOR: '1' }),
      runInTerminal(place, ['list']),
      place.run(['list'], { env: { FORCE_COLOR: '1', NO_COLOR: '' } }),
      place.run(['list'], { env: { FORCE_COLOR: undefined } }),
    ]);
    const colour = '\u001B[32mCompleted\u001B[39m';
    expect(coloured.screen).toContain(colour);
    expect(plain.screen).not.toContain('\u001B[3');
    expect(forced.stdout).toContain(colour);
    expect(piped.stdout).not.toContain('\u001B');
  });

  test('an export and an import show their progress, on standard error', async () => {
    const exported = await runInTerminal(place, ['export', 'all.jsonl']);
    expect(exported.code).toBe(0);
    expect(exported.screen).toMatch(/exported \[[= ]+\] \d+% \d\/5/);
    expect(exported.screen).toContain('Exported 5 instance(s) to all.jsonl');
    const imported = await runInTerminal(place, ['import', 'all.jsonl', '--store', 'copy.db', '--create']);
    expect(imported.screen).toMatch(/imported \[[= ]+\] \d+%/);
    expect(imported.screen).toContain('Imported 5 instance(s)');
  });

  test('a replay goes step by step: next, back, to an event, and out', async () => {
    const prompt = 'q quit: ';
    const { code: exitCode, screen } = await runInTerminal(place, ['replay', 't1.json', '--code', code], [{ sees: prompt, types: 'q\n' }]);
    // One step: it waits for its first event.
    expect(exitCode).toBe(0);
    expect(screen).toMatch(/step 1 of 1[^]*OrchestrationStarted[^]*waits for event 'approved'[^]*the code follows/);
    await writeFile(join(place.folder, 'long.json'), JSON.stringify(longHistory()));
    const stepped = await runInTerminal(
      place,
      ['replay', 'long.json', '--code', code],
      [
        { sees: prompt, types: '\n' },
        { sees: prompt, types: 'p\n' },
        { sees: prompt, types: '7\n' },
        { sees: prompt, types: 'a\n' },
      ],
    );
    expect(stepped.code).toBe(0);
    expect([...stepped.screen.matchAll(/step (\d) of (\d)/g)].map(([, at]) => at)).toEqual(['1', '2', '1', '3', '4']);
    expect(stepped.screen).toContain('completed with "Hello, T by B"');
  });
});

/** What `greet` writes when all goes well. */
function longHistory(): readonly object[] {
  const bodies = [
    { kind: 'OrchestrationStarted', executionId: 1, name: 'greet', version: '1.0.0', engine: 1, input: 'T' },
    { kind: 'CustomStatusSet', status: { phase: 'waits' } },
    { kind: 'EventAwaited', name: 'approved' },
    { kind: 'EventRaised', name: 'approved', data: { by: 'B' } },
    { kind: 'ValueSet', key: 'by', value: 'B' },
    { kind: 'ActivityScheduled', name: 'hello', input: 'T by B' },
    { kind: 'ActivityCompleted', executionId: 1, sourceId: 6, result: 'Hello, T by B' },
    { kind: 'EventAwaited', name: 'thanked' },
    { kind: 'EventRaised', name: 'thanked' },
    { kind: 'OrchestrationCompleted', result: 'Hello, T by B' },
  ];
  return bodies.map((body, index) => ({ id: index + 1, atMs: 1_000 + index, ...body }));
}
