// The program against a real store while a real host process runs on the same file: what people do, and what programs read.
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makePlace, startHost, type CliHost, type CliPlace } from '../../support/cli.ts';

type State = {
  readonly instance: { readonly status: string; readonly result?: unknown; readonly executionId: number; readonly customStatus: unknown };
};

let place: CliPlace;
let host: CliHost;

beforeAll(async () => {
  place = await makePlace();
  host = await startHost(place.folder);
});

afterAll(async () => {
  await host.stop();
  await place.remove();
});

/** Runs lines at once: most of the time of each is its start. */
async function all(...lines: readonly (readonly string[])[]): Promise<readonly string[]> {
  const runs = await Promise.all(lines.map((words) => place.run(words)));
  for (const [index, { code, stderr }] of runs.entries())
    expect([lines[index], code, stderr]).toEqual([lines[index], 0, expect.anything()]);
  return runs.map(({ stdout }) => stdout);
}

/** Waits by looking: the program has no call that waits for a status. */
async function until(id: string, isThere: (state: State) => boolean): Promise<State> {
  for (;;) {
    const state = (await place.json(['show', id])) as State;
    if (isThere(state)) return state;
  }
}

describe('the life of an instance', { timeout: 120_000 }, () => {
  test('is started, looked at, explained, raised and watched to its end', async () => {
    expect(await place.json(['start', 'greet', '--id', 'ada', '--input', '"Ada"', '--attribute', 'region=eu', '--tag', 'vip'])).toEqual({
      instanceId: 'ada',
      name: 'greet',
    });
    await until('ada', ({ instance }) => instance.customStatus !== undefined && instance.customStatus !== null);
    const [list, show, history, why, tree] = await all(
      ['list', '--tag', 'vip', '--attribute', 'region=eu'],
      ['show', 'ada'],
      ['history', 'ada'],
      ['why', 'ada'],
      ['tree', 'ada'],
    );
    expect(list).toMatch(/^ID +NAME +VERSION +STATUS +EVENTS +CREATED +WAITS FOR\nada +greet +1\.0\.0 +Running .* an event\n/);
    expect(show).toMatch(/^status +Running$/m);
    expect(show).toMatch(/^attributes +region=eu vip=true$/m);
    expect(show).toMatch(/^custom status +\{"phase":"waits"\}$/m);
    expect(history).toMatch(/^1 +\S+Z +OrchestrationStarted +name="greet" input="Ada"/m);
    expect(history).toMatch(/EventAwaited +name="approved"$/m);
    expect(why).toMatch(/event 'approved'.*, for \d/);
    expect(tree).toBe('ada  greet  Running\n');

    const watching = place.run(['watch', 'ada', '--json']);
    const [raised] = await all(['raise', 'ada', 'approved', '--data', '{"by":"Bob"}', '--key', 'k', '--wait', '20s']);
    expect(raised).toBe("Raised and taken: 'approved' of instance 'ada'\n");
    expect(await place.json(['raise', 'ada', 'thanked'])).toMatchObject({ delivered: true });
    const { code, stdout } = await watching;
    expect(code).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as {
            readonly kind: string;
            readonly event?: { readonly id: number; readonly kind: string };
            readonly instance?: unknown;
          },
      );
    const events = lines.flatMap(({ event }) => (event === undefined ? [] : [event]));
    expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-1)?.kind).toBe('OrchestrationCompleted');
    expect(lines.at(-1)).toMatchObject({ kind: 'ended', instance: { status: 'Completed', result: 'Hello, Ada by Bob' } });

    expect(await place.json(['show', 'ada'])).toMatchObject({
      instance: {
        instanceId: 'ada',
        status: 'Completed',
        result: 'Hello, Ada by Bob',
        attributes: { region: 'eu', vip: true },
        executionId: 1,
      },
      values: { by: 'Bob' },
      activities: [],
      executions: [{ executionId: 1, status: 'Completed' }],
    });
    const page = (await place.json(['list', '--search', 'ad', '--limit', '1'])) as {
      readonly instances: readonly object[];
      readonly cursor: unknown;
    };
    expect(page).toMatchObject({ instances: [{ instanceId: 'ada', waitingFor: null }] });
    expect(await place.json(['list', '--name', 'greet', '--count'])).toEqual({ count: 1, isExact: true });
  });

  test('is started and waited for in one line, with its result or its failure', async () => {
    const [good, bad, slow, textInput, fileInput] = await Promise.all([
      place.run(['start', 'answer', '--input', '{"n":7}', '--wait']),
      place.run(['start', 'fails', '--id', 'bad', '--wait', '--json']),
      place.run(['start', 'greet', '--id', 'slow', '--input', '"S"', '--timeout', '50ms']),
      place.run(['start', 'answer', '--id', 'piped', '--input', '-', '--wait'], { input: '[1,2]' }),
      writeFile(join(place.folder, 'input.json'), '"from a file"').then(() =>
        place.run(['start', 'answer', '--input', '@input.json', '--wait']),
      ),
    ]);
    expect(good).toMatchObject({ code: 0, stdout: '{"n":7}\n' });
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.stderr)).toMatchObject({
      error: { code: 'ORCHESTRATION_FAILED', exitCode: 1, message: expect.stringContaining('out of stock') as unknown },
    });
    expect(slow).toMatchObject({ code: 7, stderr: expect.stringContaining('(WAIT_TIMEOUT)') as unknown });
    expect(textInput).toMatchObject({ code: 0, stdout: '[1,2]\n' });
    expect(fileInput).toMatchObject({ code: 0, stdout: '"from a file"\n' });
    const again = await place.run(['start', 'answer', '--id', 'piped']);
    expect(again).toMatchObject({ code: 4, stderr: expect.stringContaining('(INSTANCE_EXISTS)') as unknown });
    const replaced = await place.run(['start', 'answer', '--id', 'piped', '--input', '3', '--on-existing', 'replaceTerminal', '--wait']);
    expect(replaced).toMatchObject({ code: 0, stdout: '3\n' });
    const [failed] = await all(['show', 'bad']);
    expect(failed).toMatch(/^error +RangeError: out of stock/m);
    expect(await place.run(['watch', 'bad'])).toMatchObject({ code: 1, stdout: expect.stringContaining('OrchestrationFailed') as unknown });
  });

  test('is suspended, resumed, cancelled, retried, terminated and deleted', async () => {
    await all(['start', 'greet', '--id', 'c1', '--input', '"C"'], ['start', 'greet', '--id', 'c2', '--input', '"C"']);
    await until('c2', ({ instance }) => instance.status === 'Running');
    await until('c1', ({ instance }) => instance.status === 'Running');
    const suspended = await place.run(['suspend', 'c1', 'nobody', 'c2', '--json']);
    expect(suspended.code).toBe(3);
    expect(JSON.parse(suspended.stdout)).toMatchObject({
      action: 'suspend',
      dryRun: false,
      results: [
        { instanceId: 'c1', outcome: 'suspended' },
        { instanceId: 'nobody', error: { code: 'INSTANCE_NOT_FOUND' } },
        { instanceId: 'c2', outcome: 'suspended' },
      ],
    });
    expect((await all(['suspend', 'c1']))[0]).toBe('c1: was suspended already\n');
    expect((await all(['resume', 'c1', 'c2']))[0]).toBe('c1: resumed\nc2: resumed\n');
    expect((await all(['cancel', 'c1', '--dry-run']))[0]).toBe("c1: would cancel it ('greet', Running)\n");
    const unasked = await place.run(['cancel', 'c1']);
    expect(unasked).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringMatching(/no terminal to ask.*--yes.*\(NOT_CONFIRMED\)/) as unknown,
    });
    await all(['cancel', 'c1', '--reason', 'changed my mind', '--yes'], ['terminate', 'c2', '--yes']);
    const { instance } = await until('c1', (state) => state.instance.status === 'Cancelled');
    expect(instance).toMatchObject({ error: { message: expect.stringContaining('changed my mind') as unknown } });
    expect(await place.run(['terminate', 'c2', '--yes'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('(INSTANCE_ENDED)') as unknown,
    });
    expect(await place.run(['raise', 'c2', 'approved'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('(NOT_DELIVERED)') as unknown,
    });
    expect((await all(['retry', 'c2']))[0]).toBe('c2: started anew\n');
    expect(await place.run(['delete', 'c2', '--yes'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('(INSTANCE_ALIVE)') as unknown,
    });
    expect((await all(['delete', 'c2', '--force', '--yes'], ['delete', 'c1', '--yes'])).join('')).toBe('c2: deleted\nc1: deleted\n');
    expect(await place.run(['show', 'c1'])).toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringContaining('(INSTANCE_NOT_FOUND)') as unknown,
    });
  });

  test('goes through executions, which are listed, watched and pruned', async () => {
    await all(['start', 'counts', '--id', 'counter', '--input', '2']);
    await until('counter', ({ instance }) => instance.executionId === 3);
    const [dry] = await all(['prune', 'counter', '--keep-last', '2', '--dry-run']);
    expect(dry).toBe("Would remove 1 of 3 execution(s) of 'counter'\n");
    expect(await place.json(['prune', 'counter', '--keep-last', '2', '--yes'])).toEqual({ instanceId: 'counter', executions: 1 });
    const watching = place.run(['watch', 'counter']);
    await all(['raise', 'counter', 'end']);
    const { code, stdout } = await watching;
    expect(code).toBe(0);
    expect(stdout).toMatch(/OrchestrationContinuedAsNew[^]*OrchestrationStarted[^]*OrchestrationCompleted[^]*"counted"/);
    expect((await place.run(['history', 'counter', '--execution', '9'])).stderr).toContain('Expected --execution to be at most 3, got 9');
    expect(await place.json(['history', 'counter', '--execution', '2', '--limit', '1'])).toMatchObject({
      instanceId: 'counter',
      executionId: 2,
      events: [{ id: 1 }],
    });
  });

  test('has children, and hears what is published', async () => {
    await all(['start', 'parent', '--id', 'family'], ['start', 'listens', '--id', 'ears']);
    const waits = async (id: string, text: string): Promise<void> => {
      for (;;) if ((await place.run(['history', id])).stdout.includes(text)) return;
    };
    await Promise.all([waits('ears', 'TopicSubscribed'), waits('family-child', 'EventAwaited')]);
    const [tree] = await all(['tree', 'family']);
    expect(tree).toBe('family  parent  Running\n└─ family-child  greet  Running\n');
    expect(await place.json(['tree', 'family'])).toMatchObject({
      instance: { instanceId: 'family' },
      children: [{ instance: { instanceId: 'family-child' } }],
    });
    const [dry] = await all(['publish', 'orders/created', '--dry-run']);
    expect(dry).toContain('Would publish');
    expect(await place.json(['publish', 'orders/created', '--data', '{"id":1}'])).toEqual({ topic: 'orders/created', subscribers: 1 });
    await until('ears', ({ instance }) => instance.status === 'Completed');
    expect(await place.json(['terminate', 'family', '--yes'])).toMatchObject({ results: [{ outcome: 'terminated' }] });
  });
});

describe('the bulk forms', { timeout: 120_000 }, () => {
  test('count, ask, and act on what matches', async () => {
    await all(...['b1', 'b2', 'b3'].map((id) => ['start', 'greet', '--id', id, '--input', '"B"', '--attribute', 'batch=7']));
    const some = ['--all-matching', '--attribute', 'batch=7'];
    const [dry] = await all(['terminate', ...some, '--dry-run']);
    expect(dry).toMatch(/^Would terminate 3 instance\(s\)\n(?: {2}b\d\n){3}$/);
    const [unfiltered, mixed, unasked, stray] = await Promise.all([
      place.run(['terminate', '--all-matching', '--yes']),
      place.run(['terminate', 'b1', ...some, '--yes']),
      place.run(['terminate', ...some]),
      place.run(['terminate', 'b1', '--status', 'Running', '--yes']),
    ]);
    expect(unfiltered).toMatchObject({ code: 2, stderr: expect.stringContaining('at least one filter') as unknown });
    expect(mixed).toMatchObject({ code: 2 });
    expect(unasked).toMatchObject({ code: 4, stderr: expect.stringMatching(/terminate 3 instance\(s\).*b1/) as unknown });
    expect(stray).toMatchObject({ code: 2, stderr: expect.stringContaining('--all-matching') as unknown });
    expect(await place.json(['terminate', ...some, '--yes'])).toMatchObject({
      action: 'terminate',
      dryRun: false,
      matched: 3,
      done: 3,
      failed: 0,
    });
    const [deleted] = await all(['delete', ...some, '--status', 'Terminated', '--yes']);
    expect(deleted).toBe('delete: 3 matched, 3 done, 0 skipped, 0 failed\n');
    expect(await place.json(['list', '--attribute', 'batch=7', '--count'])).toEqual({ count: 0, isExact: true });
  });
});

describe('the store', { timeout: 120_000 }, () => {
  test('shows its queues, and lets single items be mended', async () => {
    await all(['start', 'stuck', '--id', 'stuck-1']);
    type Queue = { readonly items: readonly { readonly executionId: number; readonly eventId: number; readonly name: string }[] };
    const peek = async (): Promise<Queue> => (await place.json(['queues', 'peek', '--queue', 'worker', '--instance', 'stuck-1'])) as Queue;
    let queue = await peek();
    while (queue.items.length === 0) queue = await peek();
    expect(queue.items).toMatchObject([{ kind: 'workItem', instanceId: 'stuck-1', name: 'nobodyHasIt' }]);
    const [item] = queue.items;
    const ref = `${item?.executionId}.${item?.eventId}`;
    const [table, why, depth, dry] = await all(
      ['queues', 'peek', '--instance', 'stuck-1'],
      ['why', 'stuck-1'],
      ['queues', 'depth'],
      ['queues', 'drop', 'stuck-1', '--activity', ref, '--dry-run'],
    );
    expect(table).toMatch(new RegExp(`^stuck-1 +${ref} +nobodyHasIt `, 'm'));
    expect(why).toMatch(/activity 'nobodyHasIt'/);
    expect(why).toContain('problem:');
    expect(depth).toMatch(/^work items +1$/m);
    expect(dry).toBe(`Would drop activity ${ref} of instance 'stuck-1'\n`);
    const [none, neither] = await Promise.all([
      place.run(['queues', 'unlock', 'stuck-1', '--activity', '9.9']),
      place.run(['queues', 'drop', 'stuck-1', '--yes']),
    ]);
    expect(none).toMatchObject({ code: 3, stderr: expect.stringContaining('(QUEUE_ITEM_NOT_FOUND)') as unknown });
    expect(neither).toMatchObject({ code: 2, stderr: expect.stringContaining('--activity') as unknown });
    await all(['queues', 'move-back', 'stuck-1', '--activity', ref]);
    expect(await place.json(['queues', 'drop', 'stuck-1', '--activity', ref, '--yes'])).toMatchObject({ action: 'drop', done: true });
    await until('stuck-1', ({ instance }) => instance.status === 'Failed');
  });

  test('is exported, imported again without harm, and validated', async () => {
    await all(['start', 'answer', '--id', 'x1', '--input', '1', '--wait'], ['start', 'answer', '--id', 'x2', '--input', '2', '--wait']);
    const some = ['--name', 'answer', '--search', 'x'];
    const [dry] = await all(['export', 'out.jsonl', ...some, '--dry-run']);
    expect(dry).toBe('Would export 2 instance(s) to out.jsonl\n');
    expect(await place.json(['export', 'out.jsonl', ...some])).toEqual({ instances: 2, file: 'out.jsonl' });
    expect(await place.run(['export', 'out.jsonl'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('(FILE_EXISTS)') as unknown,
    });
    const [piped] = await all(['export', ...some]);
    const file = await readFile(join(place.folder, 'out.jsonl'), 'utf8');
    expect(piped?.trim().split('\n').length).toBe(2);
    expect(
      file
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { instance: { record: { instanceId: string } } }).instance.record.instanceId)
        .toSorted(),
    ).toEqual(['x1', 'x2']);

    const target = ['--store', 'copy.db'];
    expect(await place.run(['import', 'out.jsonl', ...target])).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('(STORE_NOT_FOUND)') as unknown,
    });
    const lines = file.trim().split('\n');
    const broken = await place.run(['import', '-', ...target, '--create'], { input: `${lines[0]}\n{"format":` });
    expect(broken).toMatchObject({ code: 1, stderr: expect.stringMatching(/Line 2 is no JSON.*\(INPUT_INVALID\)/) as unknown });
    expect((await all(['import', 'out.jsonl', ...target, '--dry-run']))[0]).toBe('Would import 1 instance(s); 1 are there already\n');
    expect(await place.json(['import', 'out.jsonl', ...target])).toEqual({ imported: 1, existing: 1 });
    expect(await place.json(['import', 'out.jsonl', ...target])).toEqual({ imported: 0, existing: 2 });
    expect(await place.json(['list', ...target, '--order-by', 'id', '--direction', 'asc'])).toMatchObject({
      instances: [
        { instanceId: 'x1', result: 1 },
        { instanceId: 'x2', result: 2 },
      ],
    });
    const foreign = await place.run(['import', '-', ...target], { input: '{"hello":1}\n' });
    expect(foreign).toMatchObject({ code: 1, stderr: expect.stringContaining('(INPUT_INVALID)') as unknown });
    const [whole, one] = await all(['validate', ...target], ['validate', '--instance', 'x1']);
    expect(whole).toMatch(/^2 instance\(s\), 2 execution\(s\), \d+ event\(s\): all are well-formed\n$/);
    expect(one).toMatch(/^1 instance\(s\)/);
    expect(await place.json(['validate'])).toMatchObject({ problems: [] });
  });

  test('has figures, of its own and of a host that is scraped', async () => {
    expect(await place.json(['metrics'])).toMatchObject({
      instances: expect.arrayContaining([{ status: 'Quarantined', count: 0, isExact: true }]) as unknown,
      queues: { orchestratorMessages: expect.any(Number) as unknown },
      hosts: [{ nodeId: 'test-host' }],
    });
    const server = createServer((request, response) => {
      const isKnown = request.headers.authorization === 'Bearer a-token-of-the-test';
      response.writeHead(isKnown ? 200 : 401).end(isKnown ? '# HELP up\nup 1\n' : 'no');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`;
    await writeFile(join(place.folder, 'token'), 'a-token-of-the-test\n');
    const [good, denied] = await Promise.all([
      place.run(['metrics', '--url', url, '--token-file', 'token']),
      place.run(['metrics', '--url', url]),
    ]);
    await new Promise((resolve) => server.close(resolve));
    expect(good).toMatchObject({ code: 0, stdout: '# HELP up\nup 1\n' });
    expect(denied).toMatchObject({ code: 1, stderr: expect.stringMatching(/answers 401.*--token-file.*\(SERVER_FAILED\)/) as unknown });
    const [gone, wrong] = await Promise.all([place.run(['metrics', '--url', url]), place.run(['metrics', '--url', 'ftp://x'])]);
    expect(gone).toMatchObject({ code: 1, stderr: expect.stringContaining('does not answer') as unknown });
    expect(wrong.code).toBe(2);
  });

  test('is examined by the doctor', async () => {
    const { checks } = (await place.json(['doctor', '--full'])) as {
      readonly checks: readonly { readonly check: string; readonly outcome: string; readonly detail: string }[];
    };
    expect(checks.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
    expect(checks.map(({ check }) => check)).toEqual([
      'version',
      'node',
      'machine',
      'sqlite',
      'packages',
      'threads',
      'clock',
      'store',
      'file',
      'hosts',
    ]);
    expect(checks.at(-1)?.detail).toBe('1 running: test-host');
  });
});

describe('a recorded history', { timeout: 120_000 }, () => {
  const code = new URL('code.ts', import.meta.url).pathname;
  const otherCode = new URL('other-code.ts', import.meta.url).pathname;

  test('is replayed against the code, up to an event, and against other code', async () => {
    await all(['start', 'greet', '--id', 'rec', '--input', '"R"']);
    await all(['raise', 'rec', 'approved', '--data', '{"by":"B"}'], ['raise', 'rec', 'thanked']);
    await until('rec', ({ instance }) => instance.status === 'Completed');
    const [recorded] = await all(['history', 'rec', '--recorded']);
    await writeFile(join(place.folder, 'rec.json'), recorded ?? '');
    const [followed, early, parted, fromStore, bad, unknown] = await Promise.all([
      place.run(['replay', 'rec.json', '--code', code]),
      place.run(['replay', 'rec.json', '--code', code, '--until', '3']),
      place.run(['replay', 'rec.json', '--code', otherCode]),
      place.run(['replay', '--instance', 'rec', '--code', code, '--json']),
      place.run(['replay', 'rec.json', '--code', code, '--until', '999']),
      place.run(['replay', 'rec.json', '--code', 'missing.mjs']),
    ]);
    expect(followed).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/the code follows all \d+ event\(s\): completed with "Hello, R by B"/) as unknown,
    });
    expect(early.stdout).toMatch(/the code follows all 3 event\(s\): running\nwaits for event 'approved'\n$/);
    expect(parted.code).toBe(1);
    expect(parted.stdout).toMatch(/the code parts from history at event 2[^]*CustomStatusSet[^]*ActivityScheduled/);
    expect(parted.stdout).not.toContain('code that prints');
    expect(JSON.parse(fromStore.stdout)).toMatchObject({
      executions: [{ executionId: 1, kind: 'followed', outcome: { kind: 'completed' }, waitsFor: [] }],
    });
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringMatching(/--until to be at most \d+, got 999/) as unknown });
    expect(unknown).toMatchObject({ code: 3, stderr: expect.stringContaining('(FILE_NOT_FOUND)') as unknown });
  });

  test('is validated as a file, in every form', async () => {
    const events = [{ id: 1, atMs: 5, kind: 'OrchestrationStarted', executionId: 1, name: 'x', version: '1.0.0', engine: 1 }];
    await writeFile(join(place.folder, 'events.json'), JSON.stringify(events));
    await writeFile(
      join(place.folder, 'gap.json'),
      JSON.stringify({ instanceId: 'i', events: [...events, { id: 3, atMs: 5, kind: 'TimerCreated', fireAtMs: 9 }] }),
    );
    const [good, gap, none, text] = await Promise.all([
      place.run(['validate', 'events.json']),
      place.run(['validate', 'gap.json', '--json']),
      place.run(['validate', '-'], { input: '{"a":1}' }),
      place.run(['validate', '-'], { input: 'no' }),
    ]);
    expect(good).toMatchObject({ code: 0, stdout: '1 instance(s), 1 execution(s), 1 event(s): all are well-formed\n' });
    expect(gap.code).toBe(1);
    expect(JSON.parse(gap.stdout)).toMatchObject({
      problems: [{ instanceId: 'i', executionId: 1, code: 'HISTORY_INVALID', message: expect.stringContaining('event 2') as unknown }],
    });
    for (const run of [none, text]) expect(run).toMatchObject({ code: 1, stderr: expect.stringContaining('(INPUT_INVALID)') as unknown });
  });
});
