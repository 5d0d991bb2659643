// Parameters that several commands have, and what they do with results. Neighbours: parameters.ts, filters.ts.
import type { CommandContext, Parameter } from './command.ts';
import { flag, option } from './parameters.ts';
import { toJson } from './text.ts';

/** Parameters of every command that opens a store. */
export const STORE: { readonly store: Parameter<string | undefined> } = {
  store: option('--store <store>', 'SQLite file or postgres:// address; else DURALOOM_STORE, duraloom.config.json, ./duraloom.db'),
};

/** Parameter of every command with a result. */
export const JSON_OUTPUT: { readonly json: Parameter<boolean> } = { json: flag('--json', 'Print JSON for programs') };

/** Parameter of every command that writes. */
export const DRY_RUN: { readonly dryRun: Parameter<boolean> } = { dryRun: flag('--dry-run', 'Show what would happen and change nothing') };

/** Parameter of every command that asks. */
export const YES: { readonly yes: Parameter<boolean> } = { yes: flag('-y, --yes', 'Do not ask') };

/**
 * Prints a result.
 *
 * @param context - where
 * @param isJson - `--json` was given
 * @param value - the result as data
 * @param print - prints it for people
 */
export async function printResult(
  { io }: Pick<CommandContext, 'io'>,
  isJson: boolean,
  value: unknown,
  print: () => void | Promise<void>,
): Promise<void> {
  if (isJson) io.print(toJson(value));
  else await print();
}
