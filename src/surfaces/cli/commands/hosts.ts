// What the living hosts say about themselves, where it helps: nobody has this orchestration, did you mean that one? Neighbours: start.ts, doctor.ts.
import type { Client } from '../../../index.ts';
import type { CommandContext } from '../command.ts';
import { clean, nearest } from '../text.ts';

/**
 * Warns when an orchestration will not run as things are.
 *
 * @param context - where to warn
 * @param client - of the store
 * @param name - of the orchestration
 */
export async function warnIfNobodyRuns({ io }: CommandContext, client: Client, name: string): Promise<void> {
  const runtimes = await client.listRuntimes();
  if (runtimes.length === 0) {
    io.note(`${io.paintNote('yellow', 'note:')} no host is running on this store; the instance waits until one comes`);
    return;
  }
  const names = [...new Set(runtimes.flatMap(({ orchestrations }) => orchestrations.map((orchestration) => orchestration.name)))];
  if (names.includes(name)) return;
  const meant = nearest(name, names);
  const question = meant === null ? '' : `. Did you mean '${clean(meant)}'?`;
  io.note(
    `${io.paintNote('yellow', 'note:')} no host on this store has the orchestration '${clean(name)}'; the instance waits until one comes${question}`,
  );
}
