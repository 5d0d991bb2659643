// `duraloom init`: what it writes, what it never replaces, and that the project runs: installed, started, raised, completed.
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collect, makePlace, type CliPlace } from '../../support/cli.ts';

const root = new URL('../../..', import.meta.url).pathname;
const FILES = ['package.json', 'tsconfig.json', '.gitignore', 'activities.ts', 'orchestrations.ts', 'host.ts', 'README.md'];

let place: CliPlace;

beforeAll(async () => {
  place = await makePlace();
});

afterAll(() => place.remove());

describe('init', { timeout: 120_000 }, () => {
  test('writes nothing in a dry run, and never replaces a file unless it is forced to', async () => {
    expect(await place.json(['init', 'dry', '--dry-run'])).toMatchObject({ dryRun: true, files: FILES });
    await mkdir(join(place.folder, 'mine'));
    await writeFile(join(place.folder, 'mine', 'host.ts'), '// mine');
    const refused = await place.run(['init', 'mine']);
    expect(refused).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/has host\.ts already: nothing was written.*\(FILE_EXISTS\)/) as unknown,
    });
    expect(await readdir(join(place.folder, 'mine'))).toEqual(['host.ts']);
    expect((await readdir(place.folder)).toSorted()).toEqual(['mine']);
    await place.json(['init', 'mine', '--force', '--dependency', '^1.2.3', '--name', 'my-own']);
    expect((await readdir(join(place.folder, 'mine'))).toSorted()).toEqual(FILES.toSorted());
    const manifest = JSON.parse(await readFile(join(place.folder, 'mine', 'package.json'), 'utf8')) as object;
    expect(manifest).toMatchObject({
      name: 'my-own',
      type: 'module',
      dependencies: { duraloom: '^1.2.3' },
      scripts: { start: 'node host.ts' },
    });
    expect(await place.run(['init', 'x', '--name', 'Not A Name'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('(USAGE)') as unknown,
    });
    await writeFile(join(place.folder, 'file'), '');
    const [onFile, inFile, own, spaced] = await Promise.all([
      place.run(['init', 'file', '--dry-run']),
      place.run(['init', 'file/x']),
      place.run(['init', 'x', '--name', 'duraloom']),
      place.run(['init', 'with blank', '--dependency', '^1.2.3']),
    ]);
    expect(onFile).toMatchObject({ code: 4, stderr: expect.stringContaining('is no folder') as unknown });
    expect(inFile).toMatchObject({ code: 1, stderr: expect.stringMatching(/cannot be written: ENOTDIR.*\(FILE_UNREADABLE\)/) as unknown });
    expect(own.code).toBe(2);
    expect(spaced).toMatchObject({ code: 0, stdout: expect.stringContaining("cd 'with blank'") as unknown });
  });

  test('makes a project that runs, by its own words', async () => {
    await place.json(['init', 'project']);
    const folder = join(place.folder, 'project');
    // As npm links a dependency of a file: path; npm itself takes half a minute for the rest.
    await mkdir(join(folder, 'node_modules', '@types'), { recursive: true });
    await symlink(root, join(folder, 'node_modules', 'duraloom'));
    await symlink(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
    const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, PORT: '0' };
    const types = spawn(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], { cwd: folder, env });
    expect(await collect(types)).toEqual({ code: 0, stdout: '', stderr: '' });

    const host = spawn('npm', ['start', '--silent'], { cwd: folder, env, detached: true });
    const ended = collect(host);
    const url = await new Promise<string>((resolve, reject) => {
      host.stdout.on('data', (text: string) => {
        const [found] = /http:\S+/.exec(text) ?? [];
        if (found !== undefined) resolve(found);
      });
      void ended.then(({ stderr }) => reject(new Error(stderr)));
    });
    const inside = ['--store', join(folder, 'duraloom.db')];
    const waiting = await place.run(['why', 'order-1', ...inside]);
    expect(waiting).toMatchObject({ code: 0, stdout: expect.stringContaining("event 'approved'") as unknown });
    expect(await (await fetch(`${url}/api/v1/instances/order-1`)).text()).toContain('"Running"');
    const scraped = await place.run(['metrics', '--url', `${url}/metrics`]);
    expect(scraped).toMatchObject({ code: 0, stdout: expect.stringMatching(/^duraloom_\w+/m) as unknown });
    await place.json(['raise', 'order-1', 'approved', '--data', '{ "by": "Ada" }', ...inside]);
    const watched = await place.run(['watch', 'order-1', ...inside]);
    expect(watched).toMatchObject({ code: 0, stdout: expect.stringContaining('"approvedBy":"Ada"') as unknown });
    // npm does not hand signals on to what a shell runs: the whole group, as a terminal does.
    process.kill(-(host.pid ?? 0), 'SIGINT');
    expect((await ended).stderr).toBe('');
  });
});
