// The part of docs/cli.md that is made from the commands. `npm run docs:cli` writes it, tests/surfaces/cli/docs.test.ts compares it.
import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from '../src/surfaces/cli/command.ts';

const FILE = new URL('../docs/cli.md', import.meta.url);
const MARK = '<!-- From here on made by `npm run docs:cli`. -->\n';

/**
 * Renders the commands.
 *
 * @param commands - all of them
 * @returns Markdown
 */
export function renderCommands(commands: readonly Command[]): string {
  const groups = [...new Set(commands.map(({ group }) => group))];
  return groups
    .map(
      (group) =>
        `## ${group}\n\n${commands
          .filter((command) => command.group === group)
          .map(renderCommand)
          .join('\n')}`,
    )
    .join('\n');
}

function renderCommand({ name, summary, details, parameters, examples }: Command): string {
  const all = Object.values(parameters);
  const words = all.filter(({ kind }) => kind === 'argument').map(({ flags }) => ` ${flags}`);
  const lines = all.map(
    ({ flags, description, choices = [] }) => `- \`${flags}\`: ${description}${choices.length === 0 ? '' : ` (${choices.join(', ')})`}`,
  );
  const shown = examples.map(({ line, what }) => `# ${what}\n${line}`);
  return [
    `### duraloom ${name}`,
    `${summary}.${details === undefined ? '' : ` ${details.replaceAll('\n', ' ')}`}`,
    `\`\`\`sh\nduraloom ${name}${words.join('')} [options]\n\`\`\``,
    lines.join('\n'),
    `\`\`\`sh\n${shown.join('\n')}\n\`\`\``,
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n');
}

/** Gives the document with its second part made anew. */
export function rewrite(document: string, commands: readonly Command[]): string {
  const [before = ''] = document.split(MARK);
  return `${before}${MARK}\n${renderCommands(commands)}`;
}

/** Reads the document. */
export function readDocument(): string {
  return readFileSync(FILE, 'utf8');
}

/** Writes the document. */
export function writeDocument(commands: readonly Command[]): void {
  writeFileSync(FILE, rewrite(readDocument(), commands));
}
