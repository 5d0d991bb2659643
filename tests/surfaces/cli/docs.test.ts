// docs/cli.md and the help say what the program does: every command, option, exit code and error code; every example is a line that it takes.
import { describe, expect, test } from 'vitest';
import { readDocument, renderCommands, rewrite } from '../../../scripts/cli-docs.ts';
import { CLI_CODES, EXIT } from '../../../src/surfaces/cli/cli-error.ts';
import type { Command } from '../../../src/surfaces/cli/command.ts';
import { COMMANDS } from '../../../src/surfaces/cli/commands/all.ts';
import { Io } from '../../../src/surfaces/cli/io.ts';
import { buildProgram } from '../../../src/surfaces/cli/program.ts';

/** Splits a line as a shell does, up to the first pipe or redirection. */
function words(line: string): readonly string[] {
  const found = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, plain]) => single ?? double ?? plain ?? '');
  const end = found.findIndex((word) => word === '|' || word === '>' || word === '>>');
  return end < 0 ? found : found.slice(0, end);
}

/** Reads a line with the program's parser; nothing is run. */
async function parse(line: string): Promise<{ readonly name: string; readonly values: Readonly<Record<string, unknown>> }> {
  let dispatched: { readonly name: string; readonly values: Readonly<Record<string, unknown>> } | null = null;
  const io = new Io(process, new AbortController().signal);
  const program = buildProgram(COMMANDS, '0.0.0', io, async ({ name }: Command, values) => {
    dispatched = { name, values };
  });
  const [first, ...rest] = words(line);
  expect(first).toBe('duraloom');
  await program.parseAsync(rest, { from: 'user' });
  if (dispatched === null) throw new Error(`nothing was dispatched for ${line}`);
  return dispatched;
}

describe('docs/cli.md', () => {
  const document = readDocument();

  test('has every command with its options, as `npm run docs:cli` writes them', () => {
    expect(document).toBe(rewrite(document, COMMANDS));
    expect(renderCommands(COMMANDS).match(/^### duraloom /gm)?.length).toBe(COMMANDS.length);
  });

  test('has every exit code and every error code of the program', () => {
    for (const code of Object.values(EXIT)) expect(document).toMatch(new RegExp(`^\\| ${code} `, 'm'));
    for (const [code, exitCode] of Object.entries(CLI_CODES)) {
      expect(document).toMatch(new RegExp(`^\\| \`${code}\` +\\| ${exitCode} `, 'm'));
    }
  });
});

describe('the examples', () => {
  const examples = COMMANDS.flatMap(({ name, examples: own }) => own.map(({ line }) => [line, name] as const));

  test.each(examples)('%s is a line that the program takes', async (line, name) => {
    // Through a pipe the program comes second.
    const own = line.slice(line.indexOf('duraloom '));
    expect((await parse(own)).name).toBe(name);
  });

  test('are there for every command', () => {
    expect(COMMANDS.filter(({ examples: own }) => own.length === 0)).toEqual([]);
  });
});

describe('values', () => {
  test('become what the commands work with', async () => {
    const { values } = await parse(
      `duraloom list --status running,FAILED --attribute paid=true --attribute attempt=3 --attribute region=eu --attribute code="007" --attribute zip=007 --created-after 2030-01-31 --limit 7`,
    );
    expect(values).toMatchObject({
      status: ['Running', 'Failed'],
      attribute: [
        ['paid', true],
        ['attempt', 3],
        ['region', 'eu'],
        ['code', '007'],
        ['zip', '007'],
      ],
      createdAfter: new Date('2030-01-31'),
      limit: 7,
      json: false,
      name: undefined,
    });
  });

  test('that are moments may be lengths of time', async () => {
    const before = Date.now();
    const { values: past } = await parse('duraloom list --created-after 2h');
    const { values: future } = await parse('duraloom start x --at 2h --after 1500');
    const twoHours = 7_200_000;
    expect(past['createdAfter']).toBeInstanceOf(Date);
    expect(Number(past['createdAfter'])).toBeGreaterThanOrEqual(before - twoHours);
    expect(Number(past['createdAfter'])).toBeLessThan(before);
    expect(Number(future['at'])).toBeGreaterThanOrEqual(before + twoHours);
    expect(future['after']).toBe(1_500);
  });

  test.each([
    ['duraloom list --limit 0', /--limit <count> to be a whole number from 1 to 1000, got '0'/],
    ['duraloom list --limit 1e3', /got '1e3'/],
    ['duraloom list --status Runing', /Did you mean Running\?/],
    ['duraloom list --attribute paid', /to be key=value/],
    ['duraloom list --created-after yesterday', /how long ago, such as 2h, got 'yesterday'/],
    ['duraloom list --created-after 2030-99-99', /to be a date/],
    ['duraloom list --direction up', /one of asc, desc/],
    ['duraloom list --order-by ID extra', /too many arguments/],
    ['duraloom start x --after soon', /milliseconds ≥ 0/],
    ['duraloom start x --priority 10', /from 0 to 9/],
    ['duraloom start', /missing required argument 'name'/],
    ['duraloom queues drop a --activity 5', /to be execution.event, such as 1.5/],
    ['duraloom completion tcsh', /one of bash, zsh, fish/],
    ['duraloom lst', /Did you mean list\?/],
    ['duraloom list --statu Failed', /Did you mean --status\?/],
  ])('%s is refused', async (line, message) => {
    await expect(parse(line)).rejects.toThrow(message);
  });
});
