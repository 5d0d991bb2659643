// Compares the manifest with the files, by a path that shares nothing with the job: its own walk, hashes by the program `sha256sum`
// where there is one, sizes and lines by a plain loop.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { FileEntry, Job, Manifest } from './job.ts';

/** What the comparison found. */
export type Verification = {
  /** The manifest, as it was read. */
  readonly manifest: Manifest;
  /** What computed the hashes. */
  readonly by: typeof PROGRAM | 'a plain loop';
  /** One sentence each; empty: the manifest agrees with the files. */
  readonly differences: readonly string[];
  /** As above, but of files that somebody changed while the job ran: nobody can say what they were when they were hashed. */
  readonly changed: readonly string[];
};

/** When the job ran, by the clock that stamps files (`readFileClockMs`). */
export type JobTimes = { readonly startedAtMs: number; readonly endedAtMs: number };

/**
 * Reads the clock that stamps files. Systems stamp them by a coarse clock that lags some milliseconds behind `Date.now()`: a file that is
 * changed right after a moment of the latter may look as if it had been changed before it.
 *
 * @param folder - where a file may be written
 * @returns the time, epoch milliseconds
 */
export function readFileClockMs(folder: string): number {
  const path = join(folder, 'clock');
  writeFileSync(path, '');
  const { ctimeMs } = statSync(path);
  rmSync(path);
  return ctimeMs;
}

const PROGRAM = 'sha256sum';
/** Longest command line, in characters. Reason: the smallest limit among the common systems, with room for the environment. */
const COMMAND_LENGTH = 100_000;
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** A file as it is now; null: it cannot be read. */
type Found = { readonly size: number; readonly lines: number; readonly sha256: string } | null;

/**
 * Verifies `manifest.json` of a finished job.
 *
 * @param job - its tree and work folder
 * @param times - when it ran
 * @returns the differences
 */
export async function verifyManifest(job: Job, times: JobTimes): Promise<Verification> {
  const manifest = JSON.parse(await readFile(join(job.work, 'manifest.json'), 'utf8')) as Manifest;
  const walk = await walkTree(job);
  const by = (await hasSha256sum()) ? PROGRAM : 'a plain loop';
  const hashing = by === PROGRAM ? sumFiles(job.root, walk.files) : null;
  const contents = await readContents(job.root, { files: walk.files, withHash: hashing === null });
  const hashes = await hashing;
  const found = new Map<string, Found>();
  for (const [index, path] of walk.files.entries()) {
    const content = contents[index] ?? null;
    const sha256 = hashes === null ? content?.sha256 : hashes.get(path);
    found.set(path, content === null || sha256 === undefined ? null : { ...content, sha256 });
  }

  const differences = compareTotals(manifest, walk.symlinks).map((what) => `manifest.json ${what}`);
  const changed: string[] = [];
  for (const { path, what } of compareEntries(manifest, found)) {
    const touchedAtMs = await readTouchedAtMs(join(job.root, path));
    // Within one tick of that clock nobody can tell: then it is a difference.
    if (touchedAtMs >= times.endedAtMs) differences.push(`${path} ${what}; it was changed after the job`);
    else if (touchedAtMs >= times.startedAtMs) changed.push(`${path} ${what}`);
    else differences.push(`${path} ${what}`);
  }
  return { manifest, by, differences, changed };
}

// --- comparing -------------------------------------------------------------------------------------------------------------------

type Difference = { readonly path: string; readonly what: string };

function compareEntries(manifest: Manifest, found: ReadonlyMap<string, Found>): readonly Difference[] {
  const differences: Difference[] = [];
  const seen = new Set<string>();
  for (const entry of manifest.entries) {
    const { path } = entry;
    const what = compareFile(entry, found.get(path));
    if (what !== null) differences.push({ path, what });
    seen.add(path);
  }
  const unreadable = new Map(manifest.unreadable.map(({ path, reason }) => [path, reason]));
  for (const [path, file] of found) {
    if (seen.has(path)) continue;
    const reason = unreadable.get(path);
    if (reason === undefined) differences.push({ path, what: 'is not in the manifest' });
    else if (file !== null) differences.push({ path, what: `can be read, but the manifest says: ${reason}` });
  }
  return differences;
}

function compareFile(entry: FileEntry, file: Found | undefined): string | null {
  if (file === undefined) return 'is in the manifest, but not in the tree';
  if (file === null) return 'is in the manifest, but cannot be read now';
  if (file.size !== entry.size) return `has ${file.size} bytes, the manifest says ${entry.size}`;
  if (file.sha256 !== entry.sha256) return `has SHA-256 ${file.sha256}, the manifest says ${entry.sha256}`;
  if (file.lines !== entry.lines) return `has ${file.lines} lines, the manifest says ${entry.lines}`;
  return null;
}

/** The sums in the manifest against its own entries, that each file is there once, and what it skipped. */
function compareTotals(manifest: Manifest, symlinks: number): readonly string[] {
  const { entries } = manifest;
  const expected: readonly (readonly [string, number, number])[] = [
    ['files', manifest.files, entries.length],
    ['different paths', new Set(entries.map(({ path }) => path)).size, entries.length],
    ['bytes', manifest.bytes, entries.reduce((sum, { size }) => sum + size, 0)],
    ['lines', manifest.lines, entries.reduce((sum, { lines }) => sum + lines, 0)],
    ['files in its folders', manifest.folders.reduce((sum, { files }) => sum + files, 0), entries.length],
    ['skipped links', manifest.symlinksSkipped, symlinks],
  ];
  return expected
    .filter(([, stated, counted]) => stated !== counted)
    .map(([what, stated, counted]) => `has ${stated} ${what}, not ${counted}`);
}

/** When a file was last changed, or the folder that a vanished one was in; epoch milliseconds. */
async function readTouchedAtMs(path: string): Promise<number> {
  try {
    return (await stat(path)).ctimeMs;
  } catch {
    return dirname(path) === path ? 0 : readTouchedAtMs(dirname(path));
  }
}

// --- the files as they are -------------------------------------------------------------------------------------------------------

async function walkTree({ root, work }: Job): Promise<{ readonly files: readonly string[]; readonly symlinks: number }> {
  const files: string[] = [];
  let symlinks = 0;
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    // A folder that cannot be read has no files here; the job recorded it as unreadable.
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = `${folder}${entry.name}`;
      if (entry.isSymbolicLink()) symlinks += 1;
      else if (entry.isFile()) files.push(path);
      else if (entry.isDirectory() && join(root, path) !== work) folders.push(`${path}/`);
    }
  }
  return { files, symlinks };
}

/** Lets other events through between two files: the hashes of the program, Ctrl-C. */
async function readContents(
  root: string,
  { files, withHash }: { readonly files: readonly string[]; readonly withHash: boolean },
): Promise<readonly Found[]> {
  const block = Buffer.allocUnsafe(1024 * 1024);
  const contents: Found[] = [];
  for (const path of files) {
    contents.push(readContent(join(root, path), block, withHash));
    await setImmediate();
  }
  return contents;
}

function readContent(path: string, block: Buffer, withHash: boolean): Found {
  const hash = createHash('sha256');
  let size = 0;
  let lines = 0;
  try {
    const file = openSync(path, 'r');
    try {
      for (let length = readSync(file, block); length > 0; length = readSync(file, block)) {
        const bytes = block.subarray(0, length);
        if (withHash) hash.update(bytes);
        size += length;
        for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) lines += 1;
      }
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
  return { size, lines, sha256: hash.digest('hex') };
}

/** True when there is a `sha256sum` that can end its lines with NUL: names of files may hold anything else. */
async function hasSha256sum(): Promise<boolean> {
  const output = await runSha256sum('/', ['/dev/null']);
  return output === `${EMPTY_SHA256}  /dev/null\0`;
}

/** Hashes by path; files that cannot be read are left out. */
async function sumFiles(root: string, files: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const batches: string[][] = [[]];
  let length = 0;
  for (const path of files) {
    length += path.length + 1;
    if (length > COMMAND_LENGTH) {
      batches.push([]);
      length = path.length + 1;
    }
    batches.at(-1)?.push(path);
  }
  const outputs = await mapFew(
    batches.filter((batch) => batch.length > 0),
    (batch) => runSha256sum(root, batch),
  );
  const lines = outputs.join('').split('\0').slice(0, -1);
  return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
}

/** Standard output, also when some files could not be read; empty when the program cannot run. */
function runSha256sum(cwd: string, files: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(PROGRAM, ['--zero', '--', ...files], { cwd, maxBuffer: 64 * 1024 * 1024 }, (_error, stdout) => resolve(stdout));
  });
}

/** Maps with as many calls at once as there are cores. */
async function mapFew<Item, Result>(items: readonly Item[], map: (item: Item) => Promise<Result>): Promise<readonly Result[]> {
  const results: Result[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await map(items[index] as Item);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return results;
}
