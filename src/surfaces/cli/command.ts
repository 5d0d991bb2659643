// What a command is, as data: parameters, examples, and what it does. The program, its help, the completion and docs/cli.md are made of it.
// Neighbours: program.ts builds commander's commands, parameters.ts reads what was typed, commands/ has the commands.
import type { Io } from './io.ts';
import type { ExitCode } from './cli-error.ts';
import type { OpenedStore, OpenStoreOptions } from './store.ts';

/** An argument or option. `Value` is what the command gets. */
export type Parameter<Value> = {
  readonly kind: 'argument' | 'option';
  /** As commander writes it: `<id>`, `[ids...]`, `--limit <count>`. */
  readonly flags: string;
  readonly description: string;
  /** What may be typed, for help and completion. */
  readonly choices?: readonly string[];
  /** True: may be given several times. */
  readonly isRepeated?: boolean;
  /** From what commander kept (text, a list, true, undefined) to a value. */
  readonly read: (given: unknown) => Value;
};

/** Parameters by the names that the command uses. */
export type Parameters = Readonly<Record<string, Parameter<unknown>>>;

/** What a command gets. */
export type Values<Given extends Parameters> = {
  readonly [Name in keyof Given]: Given[Name] extends Parameter<infer Value> ? Value : never;
};

/** Where a command runs. */
export type CommandContext = {
  readonly io: Io;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** All commands, for those that are about them. */
  readonly commands: readonly Command[];
  /** Opens the store that `--store`, the environment or the configuration names; it is closed when the command ends. */
  readonly openStore: (store: string | undefined, options?: OpenStoreOptions) => Promise<OpenedStore>;
};

/** One command line with what it does. */
export type Example = { readonly line: string; readonly what: string };

/** Headings of the list of commands. */
export type CommandGroup = 'Look' | 'Act' | 'Store' | 'Code' | 'Serve' | 'Set up';

/** A command. */
export type Command = {
  /** Such as `list`, or `queues peek`. */
  readonly name: string;
  readonly group: CommandGroup;
  /** One sentence without a full stop. */
  readonly summary: string;
  /** More, for the help of the command. */
  readonly details?: string;
  readonly parameters: Parameters;
  readonly examples: readonly Example[];
  /** `default`: Ctrl-C ends the process at once, because code of users may keep its thread. Absent: the command is told by its signal. */
  readonly interrupt?: 'default';
  readonly run: (context: CommandContext, values: Readonly<Record<string, unknown>>) => Promise<ExitCode>;
};

/**
 * Makes a command.
 *
 * @param command - `run` gets its values by the types of the parameters
 * @returns the command
 */
export function defineCommand<Given extends Parameters>(
  command: Omit<Command, 'parameters' | 'run'> & {
    readonly parameters: Given;
    readonly run: (context: CommandContext, values: Values<Given>) => Promise<ExitCode>;
  },
): Command {
  return { ...command, run: async (context, values) => await command.run(context, values as Values<Given>) };
}
