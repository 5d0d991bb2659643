// The bulk forms of control.ts: everything that matches a filter, counted and asked about first, with progress. Neighbour: ../filters.ts.
import type { BulkResult, InstanceFilterOptions } from '../../../index.ts';
import { EXIT, type ExitCode } from '../cli-error.ts';
import type { CommandContext, Values } from '../command.ts';
import { toFilter, type FILTERS } from '../filters.ts';
import type { Io } from '../io.ts';
import { usage } from '../parameters.ts';
import { clean, toJson } from '../text.ts';

/** What can be done to instances. */
export type ControlAction = 'cancel' | 'terminate' | 'suspend' | 'resume' | 'retry' | 'delete';

/** Ids that are shown before the question. */
const SHOWN = 10;

type Given = Values<typeof FILTERS> & {
  readonly ids: readonly string[];
  readonly limit: number | undefined;
  readonly reason: string | undefined;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly json: boolean;
  readonly store: string | undefined;
};

/**
 * Acts on all instances that match.
 *
 * @param context - where
 * @param action - what to do
 * @param values - what was typed
 * @returns the exit code
 * @throws {CliError} `USAGE`, `NOT_CONFIRMED`, `DECLINED`
 */
export async function controlMatching(context: CommandContext, action: ControlAction, values: Given): Promise<ExitCode> {
  const { io, signal } = context;
  if (values.ids.length > 0) throw usage('Give ids or --all-matching, not both');
  const filter = toFilter(values);
  if (Object.keys(filter).length === 0) {
    throw usage('--all-matching needs at least one filter, such as --status Failed. It would mean every instance of the store');
  }
  const { client } = await context.openStore(values.store);
  const options = {
    force: values.force,
    signal,
    ...(values.reason !== undefined && { reason: values.reason }),
    ...(values.limit !== undefined && { limit: values.limit }),
  };
  const expected = await client.bulk(action, filter, { ...options, dryRun: true });
  if (values.dryRun) {
    printBulk(io, values.json, expected);
    return EXIT.ok;
  }
  if (expected.done > 0) await io.confirm(describeQuestion(action, expected, filter), values.yes);
  const bar = await io.progress(action, expected.matched);
  let result: BulkResult;
  try {
    const onProgress = ({ matched, done, skipped, failed }: Pick<BulkResult, 'matched' | 'done' | 'skipped' | 'failed'>): void =>
      bar.to(done + skipped + failed, Math.max(matched, expected.matched));
    result = await client.bulk(action, filter, { ...options, dryRun: false, onProgress });
  } finally {
    bar.stop();
  }
  printBulk(io, values.json, result);
  if (signal.aborted) signal.throwIfAborted();
  return result.failed > 0 ? EXIT.failed : EXIT.ok;
}

function describeQuestion(action: ControlAction, { done, sample }: BulkResult, filter: InstanceFilterOptions): string {
  const shown = sample.slice(0, SHOWN).map((id) => clean(id));
  const more = done > shown.length ? ', …' : '';
  return `This will ${action} ${done} instance(s) that match ${toJson(filter)}: ${shown.join(', ')}${more}. Go on?`;
}

function printBulk(io: Io, isJson: boolean, result: BulkResult): void {
  if (isJson) {
    io.print(toJson(result));
    return;
  }
  const { action, dryRun, matched, done, skipped, failed, failures, sample } = result;
  if (dryRun) {
    io.print(`Would ${action} ${done} instance(s)${skipped === 0 ? '' : `, and skip ${skipped}`}`);
    for (const id of sample) io.print(`  ${clean(id)}`);
    if (done > sample.length) io.print('  …');
    return;
  }
  io.print(`${action}: ${matched} matched, ${done} done, ${skipped} skipped, ${failed} failed`);
  for (const { instanceId, code, message } of failures) io.note(`${clean(instanceId)}: ${clean(message)} (${clean(code)})`);
}
