// Completion scripts for bash, zsh and fish, made from the commands. They hold all that they need: no program is started at each press of Tab,
// and nothing that was typed is evaluated. Neighbours: command.ts, commands/completion.ts.
import type { Command, Parameter } from './command.ts';

/** Shells that have a script. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** What comes where a value is typed. */
type Offer = { readonly kind: 'words'; readonly words: readonly string[] } | { readonly kind: 'files' } | { readonly kind: 'nothing' };

/** An option as shells complete it. */
type ShellOption = { readonly names: readonly string[]; readonly description: string; readonly offer: Offer | null };

/** A command as shells complete it; `words`: those that may follow its name. */
type ShellCommand = {
  readonly path: string;
  readonly description: string;
  readonly below: readonly { readonly word: string; readonly description: string }[];
  readonly options: readonly ShellOption[];
  readonly argument: Offer;
};

/** Placeholders of values that are paths. */
const FILES = /[<[](?:file|folder|module|store|provider)\b/;

/**
 * Writes the script for a shell.
 *
 * @param shell - which
 * @param commands - all commands
 * @returns the script
 */
export function writeCompletion(shell: (typeof SHELLS)[number], commands: readonly Command[]): string {
  const tree = toTree(commands);
  switch (shell) {
    case 'bash':
      return writeBash(tree);
    case 'zsh':
      return writeZsh(tree);
    case 'fish':
      return writeFish(tree);
  }
}

function toTree(commands: readonly Command[]): readonly ShellCommand[] {
  const paths = new Map<string, Command | null>([['', null]]);
  for (const command of commands) {
    const words = command.name.split(' ');
    words.slice(0, -1).forEach((_, index) => paths.set(words.slice(0, index + 1).join(' '), null));
    paths.set(command.name, command);
  }
  const all = [...paths.keys()].filter((path) => path !== '');
  return [...paths].map(([path, command]) => {
    const prefix = path === '' ? '' : `${path} `;
    const below = all
      .filter((name) => name.startsWith(prefix) && !name.slice(prefix.length).includes(' '))
      .map((name) => ({ word: name.slice(prefix.length), description: paths.get(name)?.summary ?? '' }));
    const parameters = command === null ? [] : Object.values(command.parameters);
    const help = { names: ['--help', '-h'], description: 'Print help', offer: null };
    const version = { names: ['--version', '-V'], description: 'Print the version', offer: null };
    const argument = parameters.find(({ kind }) => kind === 'argument');
    return {
      path,
      description: command?.summary ?? '',
      below,
      options: [...parameters.filter(({ kind }) => kind === 'option').map(toShellOption), ...(path === '' ? [version] : []), help],
      argument: argument === undefined ? { kind: 'nothing' } : offerOf(argument),
    };
  });
}

function toShellOption(parameter: Parameter<unknown>): ShellOption {
  const names = parameter.flags
    .split(/, /)
    .map((text) => text.replace(/ .*/, ''))
    .toSorted((left, right) => right.length - left.length);
  return { names, description: parameter.description, offer: parameter.flags.includes('<') ? offerOf(parameter) : null };
}

function offerOf({ choices, flags }: Parameter<unknown>): Offer {
  if (choices !== undefined) return { kind: 'words', words: choices };
  return { kind: FILES.test(flags) ? 'files' : 'nothing' };
}

// --- bash ---------------------------------------------------------------------------------------------------------------------

function writeBash(tree: readonly ShellCommand[]): string {
  const paths = tree.filter(({ path }) => path !== '').map(({ path }) => shellQuote(path));
  const values = tree.flatMap(({ path, options }) =>
    options.flatMap(({ names, offer }) =>
      offer === null ? [] : [`    ${names.map((name) => shellQuote(`${path}:${name}`)).join('|')}) ${bashOffer(offer)}; return ;;`],
    ),
  );
  const words = tree.map(({ path, below, options, argument }) => {
    const names = options.flatMap((option) => option.names).join(' ');
    const rest = below.length > 0 ? `offer ${shellQuote(below.map(({ word }) => word).join(' '))}` : bashOffer(argument);
    return `    ${shellQuote(path)}) if [[ $current == -* ]]; then offer ${shellQuote(names)}; else ${rest}; fi ;;`;
  });
  return `# Completion of duraloom for bash.
_duraloom() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path='' index
  offer() { COMPREPLY=($(compgen -W "$1" -- "$current")); }
  files() { compopt -o filenames 2>/dev/null; local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current")); }
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "\${path:+$path }\${COMP_WORDS[index]}" in
      ${paths.join('|')}) path="\${path:+$path }\${COMP_WORDS[index]}" ;;
      *) break ;;
    esac
  done
  case "$path:$previous" in
${values.join('\n')}
  esac
  case "$path" in
${words.join('\n')}
  esac
}
complete -F _duraloom duraloom
`;
}

function bashOffer(offer: Offer): string {
  switch (offer.kind) {
    case 'words':
      return `offer ${shellQuote(offer.words.join(' '))}`;
    case 'files':
      return 'files';
    case 'nothing':
      return ':';
  }
}

// --- zsh ----------------------------------------------------------------------------------------------------------------------

function writeZsh(tree: readonly ShellCommand[]): string {
  const paths = tree.filter(({ path }) => path !== '').map(({ path }) => shellQuote(path));
  const values = tree.flatMap(({ path, options }) =>
    options.flatMap(({ names, offer }) =>
      offer === null ? [] : [`    ${names.map((name) => shellQuote(`${path}:${name}`)).join('|')}) ${zshOffer(offer)}; return ;;`],
    ),
  );
  const words = tree.map(({ path, below, options, argument }) => {
    const names = options.flatMap((option) => option.names.map((name) => describeZsh(name, option.description)));
    const rest =
      below.length > 0
        ? `known=(${below.map(({ word, description }) => describeZsh(word, description)).join(' ')}); _describe command known`
        : zshOffer(argument);
    return `    ${shellQuote(path)})
      if [[ $current == -* ]]; then known=(${names.join(' ')}); _describe option known; else ${rest}; fi ;;`;
  });
  return `#compdef duraloom
# Completion of duraloom for zsh.
_duraloom() {
  local current=\${words[CURRENT]} previous=\${words[CURRENT-1]} place='' index
  local -a known
  for ((index = 2; index < CURRENT; index++)); do
    case "\${place:+$place }\${words[index]}" in
      ${paths.join('|')}) place="\${place:+$place }\${words[index]}" ;;
      *) break ;;
    esac
  done
  case "$place:$previous" in
${values.join('\n')}
  esac
  case "$place" in
${words.join('\n')}
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _duraloom "$@"; else compdef _duraloom duraloom; fi
`;
}

function zshOffer(offer: Offer): string {
  switch (offer.kind) {
    case 'words':
      return `compadd -- ${offer.words.map(shellQuote).join(' ')}`;
    case 'files':
      return '_files';
    case 'nothing':
      return ':';
  }
}

/** A colon parts word and description. */
function describeZsh(word: string, description: string): string {
  return shellQuote(`${word.replaceAll(':', String.raw`\:`)}:${description}`);
}

// --- fish ---------------------------------------------------------------------------------------------------------------------

function writeFish(tree: readonly ShellCommand[]): string {
  const lines = tree.flatMap((command) => {
    const condition = `-n ${shellQuote(fishCondition(command))}`;
    const below = command.below.map(
      ({ word, description }) => `complete -c duraloom ${condition} -f -a ${shellQuote(word)} -d ${shellQuote(description)}`,
    );
    const options = command.options.map(
      ({ names, description, offer }) =>
        `complete -c duraloom ${condition} ${names.map(fishName).join(' ')}${fishOffer(offer)} -d ${shellQuote(description)}`,
    );
    const { argument } = command;
    const words = argument.kind === 'words' ? [`complete -c duraloom ${condition} -f -a ${shellQuote(argument.words.join(' '))}`] : [];
    const files = argument.kind === 'files' ? [`complete -c duraloom ${condition} -F`] : [];
    return [...below, ...words, ...files, ...options];
  });
  return `# Completion of duraloom for fish.
complete -c duraloom -f
${lines.join('\n')}
`;
}

function fishCondition({ path, below }: ShellCommand): string {
  if (path === '') return '__fish_use_subcommand';
  const seen = path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`);
  const none = below.length === 0 ? [] : [`not __fish_seen_subcommand_from ${below.map(({ word }) => word).join(' ')}`];
  return [...seen, ...none].join('; and ');
}

function fishName(name: string): string {
  return name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`;
}

function fishOffer(offer: Offer | null): string {
  if (offer === null) return '';
  if (offer.kind === 'files') return ' -r -F';
  return offer.kind === 'words' ? ` -x -a ${shellQuote(offer.words.join(' '))}` : ' -x';
}

/** Single quotes: nothing in it means anything to a shell. */
function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
