// The completion scripts in the shells that they are for. A shell that is not on this machine cannot show it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeCompletion } from '../../../src/surfaces/cli/completion-scripts.ts';
import { COMMANDS } from '../../../src/surfaces/cli/commands/all.ts';

const folder = mkdtempSync(join(tmpdir(), 'duraloom-completion-'));
writeFileSync(join(folder, 'a file.json'), '');
afterAll(() => rmSync(folder, { recursive: true }));

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

/** What each line offers: common to all shells. */
const OFFERS: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['li', ['list']],
  ['queues ', ['depth', 'peek', 'unlock', 'move-back', 'drop']],
  ['queues peek --que', ['--queue']],
  ['queues peek --queue w', ['worker']],
  ['list --status Quar', ['Quarantined']],
  ['list --sto', ['--store']],
  ['list --direction ', ['asc', 'desc']],
  ['completion z', ['zsh']],
  ['replay a', ['a file.json']],
  ['list --store a', ['a file.json']],
  ['show a', []],
];

function run(shell: string, script: string): readonly string[] {
  const { stdout, stderr, status } = spawnSync(shell, ['-c', script], { cwd: folder, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

// Needs bash.
describe.skipIf(!has('bash'))('bash', () => {
  test.each(OFFERS)('%j offers %j', (line, offered) => {
    const words = ['duraloom', ...line.split(' ')];
    const list = words.map((word) => `'${word}'`).join(' ');
    const script = `${writeCompletion('bash', COMMANDS)}
COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _duraloom; printf '%s\\n' "\${COMPREPLY[@]}"`;
    expect(run('bash', script).toSorted()).toEqual(offered.toSorted());
  });

  test('nothing that was typed is evaluated', () => {
    const script = `${writeCompletion('bash', COMMANDS)}
COMP_WORDS=(duraloom show '$(touch ran)' '\`touch ran\`'); COMP_CWORD=3; _duraloom; ls`;
    expect(run('bash', script)).toEqual(['a file.json']);
  });
});

// Needs zsh.
describe.skipIf(!has('zsh'))('zsh', () => {
  test.each(OFFERS)('%j offers %j', (line, offered) => {
    const words = ['duraloom', ...line.split(' ')];
    // What the completion system would be told: words of `_describe` arrays and `compadd`, and whether files are wanted.
    const script = `compdef() { :; }
_describe() { local entry; for entry in "\${(@P)2}"; do print -r -- "\${entry%%:*}"; done; }
compadd() { shift; print -rl -- "$@"; }
_files() { print -rl -- a*; }
${writeCompletion('zsh', COMMANDS)}
words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}; _duraloom`;
    const prefix = words.at(-1) ?? '';
    const found = run('zsh', script).filter((word) => word.startsWith(prefix));
    expect(found.toSorted()).toEqual(offered.toSorted());
  });
});

// Needs fish.
describe.skipIf(!has('fish'))('fish', () => {
  test.each(OFFERS)('%j offers %j', (line, offered) => {
    const script = `${writeCompletion('fish', COMMANDS)}
complete -C 'duraloom ${line}'`;
    const found = run('fish', script).map((entry) => (entry.split('\t')[0] ?? '').replaceAll(String.raw`\ `, ' '));
    expect(found.toSorted()).toEqual(offered.toSorted());
  });
});
