// Replays many recorded histories from files, and reports all that fail. Neighbour: replay-history.ts replays one.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ReplayError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import { readRecorded } from './recorded-history.ts';
import { replayRecorded, toList, type ReplayedHistory, type ReplaySources } from './replay-history.ts';
import { Replayer } from './replayer.ts';

/** A file, or a folder of which all `.json` files are meant, also those in folders below. */
export type HistoryFiles = string | URL | readonly (string | URL)[];

/** What became of one file. */
export type ReplayFileResult =
  | { readonly file: string; readonly ok: true; readonly replayed: ReplayedHistory }
  | { readonly file: string; readonly ok: false; readonly error: unknown };

/** Options of `replayAll`. */
export type ReplayAllOptions = {
  /** Called for each file, in order. */
  readonly onResult?: (result: ReplayFileResult) => void;
};

/** What `replayAll` has done. */
export type ReplayAllResult = {
  /** The files in the order in which they were replayed. */
  readonly files: readonly string[];
  /** How many events they hold. */
  readonly events: number;
};

/**
 * Replays the histories in files, one after the other, each as `replayHistory` does, and tells of all that fail.
 *
 * @param files - files, or folders; of a folder all `.json` files, sorted by path
 * @param orchestrations - modules or definitions with the code of all of them
 * @param options - `onResult`
 * @returns what was replayed
 * @throws {ReplayError} `REPLAY_FAILED` with each failed file and its error; also when there is no file at all
 * @throws {DefinitionError} when a module cannot be loaded
 */
export async function replayAll(
  files: HistoryFiles,
  orchestrations: ReplaySources,
  { onResult }: ReplayAllOptions = {},
): Promise<ReplayAllResult> {
  const given = (Array.isArray(files) ? files : [files]) as readonly (string | URL)[];
  const paths = given.map(toPath).flatMap(listFiles);
  if (paths.length === 0) {
    throw new ReplayError(`no history was replayed: there is no .json file in ${given.map(String).join(', ') || 'an empty list'}`, [], 0);
  }
  const replayer = await Replayer.open(toList(orchestrations));
  const failures: { readonly source: string; readonly error: unknown }[] = [];
  let events = 0;
  try {
    for (const file of paths) {
      const result = await replayFile(replayer, file);
      if (result.ok) events += result.replayed.events;
      else failures.push({ source: file, error: result.error });
      onResult?.(result);
    }
  } finally {
    replayer.close();
  }
  if (failures.length === 0) return { files: paths, events };
  throw makeReplayError(failures, paths.length);
}

/**
 * Makes the error for histories that could not be replayed.
 *
 * @param failures - which, and why
 * @param all - how many were tried
 * @returns the error; its message has all of theirs
 */
export function makeReplayError(failures: ReplayError['failures'], all: number): ReplayError {
  const texts = failures.map(({ source, error }) => `\n\n${source}: ${toFailure(error).message}`);
  const message = `${failures.length} of ${all} histories could not be replayed${texts.join('')}`;
  return new ReplayError(message, failures, all - failures.length);
}

async function replayFile(replayer: Replayer, file: string): Promise<ReplayFileResult> {
  try {
    const replayed = await replayRecorded(replayer, readRecorded(readFileSync(file, 'utf8'), undefined));
    return { file, ok: true, replayed };
  } catch (error) {
    return { file, ok: false, error };
  }
}

function toPath(place: string | URL): string {
  return place instanceof URL ? fileURLToPath(place) : place;
}

function listFiles(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));
  return names.toSorted().map((name) => join(path, name));
}
