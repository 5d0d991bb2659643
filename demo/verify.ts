// Compares the manifest with the files, by a path that shares nothing with the job: its own walk, hashes by the program `sha256sum`
// where there is one, sizes and lines by a plain loop.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { FileEntry, Job, Manifest, Totals } from './job.ts';

/** What the comparison found. */
export type Verification = Totals & {
  /** What computed the hashes. */
  readonly by: 'sha256sum' | 'a plain loop';
  readonly unreadable: number;
  readonly symlinks: number;
  /** One sentence each; empty: the manifest agrees with the files. */
  readonly differences: readonly string[];
};

/** Longest command line, in characters. Reason: the smallest limit among the common systems, with room for the environment. */
const COMMAND_LENGTH = 100_000;
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** A file as it is now; null: it cannot be read. */
type Found = { readonly size: number; readonly lines: number; readonly sha256: string } | null;

/**
 * Verifies `manifest.json` of a finished job.
 *
 * @param job - its tree and work folder
 * @param startedAtMs - when the job began, epoch milliseconds: a file that was touched later is named so
 * @returns totals of the files as they are now, and the differences
 */
export async function verifyManifest(job: Job, startedAtMs: number): Promise<Verification> {
  const manifest = JSON.parse(await readFile(join(job.work, 'manifest.json'), 'utf8')) as Manifest;
  const walk = await walkTree(job);
  const by = (await hasSha256sum()) ? 'sha256sum' : 'a plain loop';
  const hashes = by === 'sha256sum' ? sumFiles(job.root, walk.files) : null;
  const contents = await mapFew(walk.files, (path) => readContent(join(job.root, path), hashes === null));
  const sums = await hashes;
  const found = new Map<string, Found>();
  for (const [index, path] of walk.files.entries()) {
    const content = contents[index] ?? null;
    const sha256 = sums === null ? content?.sha256 : sums.get(path);
    found.set(path, content === null || sha256 === undefined ? null : { ...content, sha256 });
  }

  const differences = [...compareEntries(manifest, found), ...compareTotals(manifest, walk.symlinks)];
  const readable = [...found.values()].filter((file) => file !== null);
  return {
    by,
    files: readable.length,
    bytes: readable.reduce((sum, { size }) => sum + size, 0),
    lines: readable.reduce((sum, { lines }) => sum + lines, 0),
    unreadable: manifest.unreadable.length,
    symlinks: walk.symlinks,
    differences: await Promise.all(differences.map((difference) => explain(job.root, difference, startedAtMs))),
  };
}

// --- comparing -------------------------------------------------------------------------------------------------------------------

type Difference = { readonly path: string; readonly what: string };

function compareEntries(manifest: Manifest, found: ReadonlyMap<string, Found>): readonly Difference[] {
  const differences: Difference[] = [];
  const seen = new Set<string>();
  for (const entry of manifest.entries) {
    const { path } = entry;
    const what = seen.has(path) ? 'is in the manifest more than once' : compareFile(entry, found.get(path));
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

/** The sums in the manifest against its own entries, and what it skipped. */
function compareTotals(manifest: Manifest, symlinks: number): readonly Difference[] {
  const { entries } = manifest;
  const expected: readonly (readonly [string, number, number])[] = [
    ['files', manifest.files, entries.length],
    ['bytes', manifest.bytes, entries.reduce((sum, { size }) => sum + size, 0)],
    ['lines', manifest.lines, entries.reduce((sum, { lines }) => sum + lines, 0)],
    ['files of its folders', manifest.folders.reduce((sum, { files }) => sum + files, 0), entries.length],
    ['skipped links', manifest.symlinksSkipped, symlinks],
  ];
  return expected
    .filter(([, stated, counted]) => stated !== counted)
    .map(([what, stated, counted]) => ({ path: 'manifest.json', what: `says ${stated} ${what}, counted are ${counted}` }));
}

/** A tree that somebody works in differs for a harmless reason: say so. */
async function explain(root: string, { path, what }: Difference, startedAtMs: number): Promise<string> {
  let status: Stats;
  try {
    status = await stat(join(root, path));
  } catch {
    return `${path} ${what}`;
  }
  if (status.ctimeMs < startedAtMs) return `${path} ${what}`;
  return `${path} ${what} (it was changed at ${status.ctime.toISOString()}, while the demo ran)`;
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

async function readContent(path: string, withHash: boolean): Promise<Found> {
  const hash = createHash('sha256');
  let size = 0;
  let lines = 0;
  try {
    for await (const block of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
      size += block.length;
      if (withHash) hash.update(block);
      for (let at = block.indexOf(10); at >= 0; at = block.indexOf(10, at + 1)) lines += 1;
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
    execFile('sha256sum', ['--zero', '--', ...files], { cwd, maxBuffer: 64 * 1024 * 1024 }, (_error, stdout) => resolve(stdout));
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
