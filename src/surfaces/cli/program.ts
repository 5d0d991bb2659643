// The program as commander sees it, made from the commands. Neighbours: commands/all.ts lists them, main.ts runs it, completion.ts completes it.
import { Argument, Command as CommanderCommand, Option } from 'commander';
import type { Command, Example, Parameter } from './command.ts';
import type { Io } from './io.ts';
import { clean } from './text.ts';

/** Called with the command that was typed and its values. */
export type Dispatch = (command: Command, values: Readonly<Record<string, unknown>>) => Promise<void>;

/** What comes under the help of the program. */
const AFTER_HELP = `
Examples:
  $ duraloom init my-project          make a project that runs
  $ duraloom list --status Running    what is going on
  $ duraloom why order-17             what an instance waits for
  $ duraloom serve --open             the dashboard

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 store unavailable, 6 declined, 7 timeout, 130 interrupted.
`;

/**
 * Builds the program.
 *
 * @param commands - all of them
 * @param version - of the package
 * @param io - where help and complaints go
 * @param dispatch - runs a command
 * @returns commander's root command; `parseAsync` rejects with `CommanderError` instead of ending the process
 */
export function buildProgram(commands: readonly Command[], version: string, io: Io, dispatch: Dispatch): CommanderCommand {
  const program = new CommanderCommand('duraloom')
    .description('Looks at durable orchestrations and acts on them. Works while hosts run on the same store.')
    .version(version, '-V, --version', 'Print the version')
    .helpOption('-h, --help', 'Print help')
    .usage('<command> [options]')
    .helpCommand('help [command]', 'Print the help of a command')
    // Else options of a command with the name of one of the program would be the program's.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.print(text.replace(/\n$/, '')),
      writeErr: (text) => io.note(text.replace(/\n$/, '')),
      // main.ts tells errors.
      outputError: () => undefined,
    })
    .configureHelp({
      styleTitle: (text) => io.paint('bold', text),
      styleCommandText: (text) => io.paint('cyan', text),
      styleSubcommandText: (text) => io.paint('cyan', text),
      styleOptionText: (text) => io.paint('cyan', text),
    })
    .addHelpText('after', AFTER_HELP);
  const parents = new Map<string, CommanderCommand>([['', program]]);
  for (const command of commands) {
    const words = command.name.split(' ');
    const parent = parentOf(words.slice(0, -1), parents, command);
    const own = program.createCommand(words.at(-1) ?? '').copyInheritedSettings(program);
    own.description(command.summary).helpGroup(`${command.group}:`);
    addParameters(own, command, dispatch);
    own.addHelpText('after', describeMore(command));
    parent.addCommand(own);
  }
  return program;
}

/** The command that holds others, made when the first of them comes. */
function parentOf(words: readonly string[], parents: Map<string, CommanderCommand>, first: Command): CommanderCommand {
  const name = words.join(' ');
  const known = parents.get(name);
  if (known !== undefined) return known;
  const above = parentOf(words.slice(0, -1), parents, first);
  const made = above.createCommand(words.at(-1) ?? '').copyInheritedSettings(above);
  made.description(GROUP_COMMANDS[name] ?? '').helpGroup(`${first.group}:`);
  above.addCommand(made);
  parents.set(name, made);
  return made;
}

/** Commands that only hold others. */
const GROUP_COMMANDS: Readonly<Record<string, string>> = { queues: 'Look at the queues and mend them' };

function addParameters(own: CommanderCommand, command: Command, dispatch: Dispatch): void {
  const options = new Map<string, string>();
  const given: string[] = [];
  for (const [name, parameter] of Object.entries(command.parameters)) {
    if (parameter.kind === 'argument') {
      own.addArgument(makeArgument(parameter));
      given.push(name);
    } else {
      const made = makeOption(parameter);
      own.addOption(made);
      options.set(name, made.attributeName());
    }
  }
  own.action(async (...all: readonly unknown[]) => {
    const typed = own.opts<Record<string, unknown>>();
    const values = Object.entries(command.parameters).map(([name, parameter]) => {
      const option = options.get(name);
      return [name, parameter.read(option === undefined ? all[given.indexOf(name)] : typed[option])];
    });
    await dispatch(command, Object.fromEntries(values) as Readonly<Record<string, unknown>>);
  });
}

function makeArgument(parameter: Parameter<unknown>): Argument {
  const argument = new Argument(parameter.flags, parameter.description);
  // Choices are checked by the parameter, in any case of letters; here they are for help and completion.
  if (parameter.choices !== undefined) argument.argChoices = [...parameter.choices];
  return argument;
}

function makeOption(parameter: Parameter<unknown>): Option {
  const option = new Option(parameter.flags, parameter.description);
  if (parameter.choices !== undefined) option.argChoices = [...parameter.choices];
  if (parameter.isRepeated === true) option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
  return option;
}

function describeMore({ details, examples }: Command): string {
  const more = details === undefined ? '' : `\n${details}\n`;
  return `${more}\nExamples:\n${examples.map(describeExample).join('\n')}\n`;
}

function describeExample({ line, what }: Example): string {
  return `  # ${what}\n  $ ${line}`;
}

/**
 * Makes one message of what commander says.
 *
 * @param message - such as `error: unknown command 'lst'` with a suggestion
 * @returns the message without its prefix
 */
export function readComplaint(message: string): string {
  const [first = '', ...more] = message.replace(/^error: /, '').split('\n');
  const said = [`${first.charAt(0).toUpperCase()}${first.slice(1)}`, ...more.map((line) => line.replace(/^\((.*)\)$/, '$1'))];
  return said
    .filter((line) => line !== '')
    .map((line) => clean(line).replace(/\.$/, ''))
    .join('. ')
    .replace(/\?\. /, '? ');
}
