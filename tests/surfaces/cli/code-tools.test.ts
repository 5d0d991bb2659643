// Histories and their pictures. No host is needed.
import { Client, Runtime } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makePlace, type CliPlace } from '../../support/cli.ts';

let place: CliPlace;

beforeAll(async () => {
  place = await makePlace();
  const provider = await SqliteProvider.open(join(place.folder, 'duraloom.db'));
  const code = new URL('code.ts', import.meta.url);
  const runtime = await Runtime.start({ provider, orchestrations: code, activities: code, activityThreads: 1 });
  const client = new Client(provider);
  await client.startOrchestration('drawn', 'greet', 'D');
  await client.raiseEvent('drawn', 'approved', { by: 'B<script>' });
  await client.raiseEvent('drawn', 'thanked');
  await client.waitForResult('drawn');
  await client.startOrchestration('again', 'fails');
  await expect(client.waitForResult('again')).rejects.toThrow('out of stock');
  await runtime.shutdown();
  await client.retry('again');
  await client.startOrchestration('pending', 'greet', 'P');
  await provider.close();
});

afterAll(() => place.remove());

describe('diagram', { timeout: 120_000 }, () => {
  test('draws Mermaid of an instance or a file, and a report', async () => {
    const recorded = await place.run(['history', 'drawn', '--recorded']);
    await writeFile(join(place.folder, 'drawn.json'), recorded.stdout);
    const [sequence, gantt, report] = await Promise.all([
      place.run(['diagram', 'drawn']),
      place.run(['diagram', '--file', 'drawn.json', '--kind', 'gantt']),
      place.run(['diagram', 'drawn', '--html', '-o', 'drawn.html']),
    ]);
    expect(sequence).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('sequenceDiagram') as unknown });
    expect(gantt).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('gantt') as unknown });
    expect(report).toMatchObject({ code: 0, stdout: '', stderr: 'Wrote drawn.html\n' });
    const html = await readFile(join(place.folder, 'drawn.html'), 'utf8');
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toContain('<script>');
    const [there, both, nothing, early, unknown] = await Promise.all([
      place.run(['diagram', 'drawn', '--html', '-o', 'drawn.html']),
      place.run(['diagram', 'drawn', '--html', '--kind', 'gantt']),
      place.run(['diagram']),
      place.run(['diagram', 'pending', '--html']),
      place.run(['diagram', 'nobody']),
    ]);
    expect([there, both, nothing, early, unknown].map(({ code }) => code)).toEqual([4, 2, 2, 1, 3]);
  });
});

test('a retried instance that has not begun has no history yet', { timeout: 120_000 }, async () => {
  const lines = [
    ['history', 'again', '--recorded'],
    ['validate', '--instance', 'again'],
    ['diagram', 'again'],
  ];
  const runs = await Promise.all(lines.map((words) => place.run(words)));
  expect(await place.json(['show', 'again'])).toMatchObject({ instance: { status: 'Pending', executionId: 2 } });
  for (const run of runs)
    expect(run).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('has no history yet') as unknown });
});
