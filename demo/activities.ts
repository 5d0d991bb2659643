// The work of the demo. An activity may be killed at any moment and run again, so each one keeps these rules:
//
// A1. What it writes is complete or absent: first under another name, flushed, then renamed.
// A2. The name holds the attempt: a late writer of a lost attempt never touches the file that the recorded result names.
// A3. What cannot be read is a result, not a failure: one bad file does not stop the job.
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { defineActivity } from 'duraloom';
import type { ChunkResult, FileEntry, FolderPlan, FolderResult, Job, Manifest, Totals, TreePlan, UnreadableEntry } from './job.ts';

/** About how many chunks a tree is cut into. Reason: enough for kills to hit and for the bar to move, whatever the size of the tree. */
const CHUNKS = 600;
/** Most sub-orchestrations. Reason: a tree with very many top-level folders must not become one huge history; neighbours share one. */
const MAX_FOLDERS = 200;
const BLOCK_BYTES = 256 * 1024;
const LINE_FEED = 10;
/** How often a file is read that changes meanwhile. */
const READS = 3;

type Part = { readonly entries: readonly FileEntry[]; readonly unreadable: readonly UnreadableEntry[] };

export const listTree = defineActivity('listTree', async (ctx, { root, work }: Job): Promise<TreePlan & { readonly attempt: number }> => {
  const tree: Walk = { root, work, signal: ctx.signal, unreadable: [], symlinks: 0, others: 0 };
  const top = await readFolder(tree, '');
  const groups = [
    { name: '.', files: top.files },
    ...(await Promise.all(top.folders.map(async (name) => ({ name, files: await listFiles(tree, name) })))),
  ].filter(({ files }) => files.length > 0);
  const files = groups.flatMap((group) => group.files).length;
  const chunkSize = Math.max(1, Math.ceil(files / CHUNKS));

  const lists = `lists-${ctx.attempt}`;
  const folders: FolderPlan[] = [];
  for (const members of chunk(groups, Math.ceil(groups.length / MAX_FOLDERS))) {
    const plan = { name: members[0]?.name ?? '.', lists: `${lists}/${folders.length}` };
    const chunks = chunk(
      members.flatMap((member) => member.files),
      chunkSize,
    );
    await Promise.all(chunks.map((paths, index) => writeJson(join(work, `${plan.lists}-${index}.json`), paths)));
    folders.push({ ...plan, files: chunks.flat().length, chunks: chunks.length });
  }
  const unreadable = `${lists}/unreadable.json`;
  await writeJson(join(work, unreadable), tree.unreadable);
  return { folders, files, symlinks: tree.symlinks, others: tree.others, unreadable, attempt: ctx.attempt };
});

export const hashChunk = defineActivity(
  'hashChunk',
  async (ctx, { job, list }: { readonly job: Job; readonly list: string }): Promise<ChunkResult> => {
    const paths = await readJson<readonly string[]>(join(job.work, list));
    const entries: FileEntry[] = [];
    const unreadable: UnreadableEntry[] = [];
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    for (const path of paths) {
      ctx.signal.throwIfAborted();
      try {
        entries.push(hashFile(job.root, path, block));
      } catch (error) {
        unreadable.push({ path, reason: reasonOf(error) });
      }
    }
    if (job.paceMs > 0) await delay(job.paceMs, undefined, { signal: ctx.signal });
    const part = list.replace(/^lists-\d+\/(.*)\.json$/, `parts/$1.attempt-${ctx.attempt}.json`);
    await writeJson(join(job.work, part), { entries, unreadable } satisfies Part);
    return { part, ...sum(entries), unreadable: unreadable.length, attempt: ctx.attempt };
  },
);

export const writeManifest = defineActivity(
  'writeManifest',
  async (
    ctx,
    { job, tree, folders }: { readonly job: Job; readonly tree: TreePlan; readonly folders: readonly FolderResult[] },
  ): Promise<Totals & { readonly attempt: number }> => {
    const entries: FileEntry[] = [];
    const unreadable = [...(await readJson<readonly UnreadableEntry[]>(join(job.work, tree.unreadable)))];
    for (const part of folders.flatMap(({ parts }) => parts)) {
      const read = await readJson<Part>(join(job.work, part));
      entries.push(...read.entries);
      unreadable.push(...read.unreadable);
    }
    const totals = sum(entries);
    const manifest: Manifest = {
      root: job.root,
      ...totals,
      symlinksSkipped: tree.symlinks,
      othersSkipped: tree.others,
      folders: folders.map(({ name, files, bytes, lines }) => ({ name, files, bytes, lines })),
      unreadable: unreadable.toSorted(byPath),
      entries: entries.toSorted(byPath),
    };
    await writeJson(join(job.work, 'manifest.json'), manifest, ctx.attempt);
    return { ...totals, attempt: ctx.attempt };
  },
);

// --- listing ---------------------------------------------------------------------------------------------------------------------

type Walk = Pick<Job, 'root' | 'work'> & {
  readonly signal: AbortSignal;
  readonly unreadable: UnreadableEntry[];
  symlinks: number;
  others: number;
};

/** All files under a folder, in the order of the walk. Links are counted, never followed: a tree may link into itself. */
async function listFiles(tree: Walk, folder: string): Promise<readonly string[]> {
  const found: (readonly string[])[] = [];
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    const inner = await readFolder(tree, next);
    found.push(inner.files);
    folders.push(...inner.folders);
  }
  return found.flat();
}

async function readFolder(tree: Walk, folder: string): Promise<{ readonly files: string[]; readonly folders: string[] }> {
  tree.signal.throwIfAborted();
  const files: string[] = [];
  const folders: string[] = [];
  try {
    for (const entry of await readdir(join(tree.root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isSymbolicLink()) tree.symlinks += 1;
      else if (entry.isFile()) files.push(path);
      else if (!entry.isDirectory()) tree.others += 1;
      else if (join(tree.root, path) !== tree.work) folders.push(path);
    }
  } catch (error) {
    tree.unreadable.push({ path: folder === '' ? '.' : folder, reason: reasonOf(error) });
  }
  return { files: files.toSorted(), folders: folders.toSorted() };
}

function chunk<Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));
}

// --- hashing ---------------------------------------------------------------------------------------------------------------------

/** Reads a file as one consistent state: when it changed meanwhile, again. Synchronous: that is what activity threads are for. */
function hashFile(root: string, path: string, block: Buffer): FileEntry {
  for (let read = 1; read <= READS; read += 1) {
    // O_NOFOLLOW does not exist on Windows: then a link that replaced the file since the listing is followed.
    const file = openSync(join(root, path), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    try {
      const before = fstatSync(file);
      const hash = createHash('sha256');
      let size = 0;
      let lines = 0;
      for (let length = readSync(file, block); length > 0; length = readSync(file, block)) {
        const bytes = block.subarray(0, length);
        hash.update(bytes);
        size += length;
        for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) lines += 1;
      }
      const after = fstatSync(file);
      if (before.mtimeMs === after.mtimeMs && size === after.size) return { path, size, lines, sha256: hash.digest('hex') };
    } finally {
      closeSync(file);
    }
  }
  throw new Error('it changed while it was read');
}

function sum(entries: readonly FileEntry[]): Totals {
  const totals = { files: entries.length, bytes: 0, lines: 0 };
  for (const { size, lines } of entries) {
    totals.bytes += size;
    totals.lines += lines;
  }
  return totals;
}

// --- files -----------------------------------------------------------------------------------------------------------------------

/** Rules A1 and A2. The lines of the arrays inside are kept apart, so that people can read and compare the file. */
async function writeJson(path: string, value: unknown, attempt?: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const unfinished = attempt === undefined ? `${path}.tmp` : `${path}.attempt-${attempt}.tmp`;
  await writeFile(unfinished, `${JSON.stringify(value, null, 1)}\n`, { flush: true });
  await rename(unfinished, path);
}

async function readJson<Value>(path: string): Promise<Value> {
  return JSON.parse(await readFile(path, 'utf8')) as Value;
}

function byPath(left: { readonly path: string }, right: { readonly path: string }): number {
  return left.path < right.path ? -1 : Number(left.path > right.path);
}

/** What happened to a file or folder before its turn came, in words. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  ELOOP: 'it became a link before it was read',
  ENOENT: 'it vanished before it was read',
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? error.message;
}
