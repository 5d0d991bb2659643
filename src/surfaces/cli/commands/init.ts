// `duraloom init`: writes a project that runs. Files that are there are never replaced without --force. Neighbour: ../scaffold.ts has the files.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { parseRecord } from '../../../types/codec.ts';
import { assertNodeVersion } from '../../../types/node-version.ts';
import { dashboardFolder } from '../../dashboard/assets.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult } from '../common.ts';
import { flag, optional, option, usage, writeError } from '../parameters.ts';
import { scaffold } from '../scaffold.ts';
import { clean } from '../text.ts';
import { PACKAGE_FOLDER, readVersion } from '../version.ts';

/** Names that npm takes for a package. */
const PACKAGE_NAME = /^(?!(?:duraloom|favicon\.ico|node_modules)$)[a-z0-9][a-z0-9._-]{0,213}$/;

/** The command. */
export const init: Command = defineCommand({
  name: 'init',
  group: 'Set up',
  summary: 'Make a project that runs: an approval, its activities, a host with the dashboard',
  parameters: {
    folder: optional('[folder]', 'Folder of the project; default: the current one'),
    name: option('--name <name>', 'Name of the package; default: that of the folder'),
    dependency: option('--dependency <spec>', 'What the project depends on as duraloom, such as file:../duraloom-0.1.0.tgz'),
    force: flag('--force', 'Replace files that are there'),
    ...DRY_RUN,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom init my-project', what: 'then: cd my-project, npm install, npm start' },
    { line: 'duraloom init --dry-run', what: 'which files would be written here' },
  ],
  run: async (context, { folder = '.', force, dryRun, json, ...given }) => {
    const { io } = context;
    const target = resolve(folder);
    const name = given.name ?? packageName(target);
    if (!PACKAGE_NAME.test(name))
      throw usage(`Expected --name to be small letters, digits and -._, and no name that is taken, got '${name}'`);
    if (statSync(target, { throwIfNoEntry: false })?.isDirectory() === false) {
      throw new CliError('FILE_EXISTS', `'${target}' is there already and is no folder. Choose another name`);
    }
    const hasDashboard = dashboardFolder() !== null;
    const isClone = existsSync(join(PACKAGE_FOLDER, 'src', 'index.ts'));
    const isLinked = isClone && given.dependency === undefined;
    const files = scaffold({
      name,
      dependency: given.dependency ?? (isClone ? linkTo(target) : `^${readVersion()}`),
      nodeFlags: isLinked ? '--conditions=duraloom-source ' : '',
      node: isClone ? findNode() : null,
      hasDashboard,
    });
    const paths = [...files.keys()];
    const existing = paths.filter((path) => existsSync(join(target, path)));
    if (existing.length > 0 && !force) {
      throw new CliError(
        'FILE_EXISTS',
        `${target} has ${existing.join(', ')} already: nothing was written. Choose another folder, or replace them with --force`,
      );
    }
    if (!dryRun) {
      try {
        await mkdir(target, { recursive: true });
        for (const [path, text] of files) await writeFile(join(target, path), text, { flag: force ? 'w' : 'wx' });
      } catch (error) {
        throw writeError(target, error);
      }
    }
    await printResult(context, json, { dryRun, folder: target, files: paths }, () => {
      io.print(`${dryRun ? 'Would write' : 'Wrote'} ${paths.join(', ')} to ${clean(target)}`);
      if (!hasDashboard)
        io.note('The dashboard is not built in this clone, so the host serves the API alone: run npm run build there, then init again');
      if (!dryRun) io.print(`\nNext:\n${target === resolve('.') ? '' : `  cd ${quoted(folder)}\n`}  npm install\n  npm start`);
    });
    return EXIT.ok;
  },
});

/** For a shell. */
function quoted(path: string): string {
  const text = clean(path);
  return /^[\w./~@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function packageName(target: string): string {
  const name = basename(target)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[-._]+/, '');
  return PACKAGE_NAME.test(name) ? name : 'my-project';
}

/** In a clone the project uses its source. */
function linkTo(target: string): string {
  return `file:${relative(target, PACKAGE_FOLDER).split(sep).join('/')}`;
}

/** When the machine's Node is too old for the project, it brings the one that the clone is pinned to. */
function findNode(): string | null {
  // npm puts the clone's own Node before it; what counts is the one that a shell in another folder finds.
  const path = (process.env['PATH'] ?? '')
    .split(':')
    .filter((folder) => !folder.includes('node_modules'))
    .join(':');
  const { stdout } = spawnSync('node', ['--version'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
    shell: process.platform === 'win32',
  });
  try {
    assertNodeVersion((stdout ?? '').trim().replace(/^v/, ''));
    return null;
  } catch {
    const { devDependencies } = parseRecord(readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as {
      readonly devDependencies?: Readonly<Record<string, string>>;
    };
    return devDependencies?.['node'] ?? null;
  }
}
