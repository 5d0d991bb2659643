// disk-full: writes of the database fail for real. On a small file system, which main.ts makes where it can, or the one of `--folder` when it
// has at most 1 GB: it is filled up and freed, and SQLite sees ENOSPC. Elsewhere with a limit on the size of the files of the host process,
// set and lifted from outside (prlimit of util-linux): SQLite sees EFBIG. Neighbours: small-disk.ts; host.ts counts the errors of its client.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { awaitFinish, finishAndCheck, LOCK_MS } from '../finish.ts';
import type { HostProcess } from '../host-process.ts';
import { Random } from '../random.ts';
import { CannotRun, type Mode } from '../report.ts';
import { KINDS } from '../workload.ts';
import type { Workspace } from '../workspace.ts';

/** Largest file system that is filled up, in bytes: beyond it somebody else may live there. */
const SMALL_BYTES = 1e9;
/** How long the disk is full, from and to, in milliseconds. */
const FULL_MS = [200, 1500] as const;
/** How long it is not, in milliseconds. */
const FREE_MS = [200, 1000] as const;
/** How long the host may take until work goes on, in milliseconds: fetches wait up to 3 s after failures. */
const RECOVERY_MS = 20_000;

/** A way to make the disk full. */
type Disk = { readonly kind: string; readonly fill: () => void; readonly free: () => void };

/** The mode. */
export const diskFull: Mode = {
  summary: 'writes of the database fail for want of space, again and again',
  length: 'minutes',
  defaultLength: 2,
  defaultInFlight: 50,
  async run(settings, workspace) {
    const { inFlight, replayThreads, activityThreads } = settings;
    const random = new Random(settings.seed);
    const own = { kinds: KINDS, inFlight, replayThreads, activityThreads, lockMs: LOCK_MS, dieAt: null };
    const host = workspace.startHost({ ...own, prefix: 'full', seed: settings.seed });
    await host.running;
    const disk = chooseDisk(workspace, { host, random });
    console.log(`  the disk is made full by ${disk.kind}`);
    const violations: string[] = [];
    let timesFull = 0;
    const endMs = performance.now() + settings.minutes * 60_000;
    while (performance.now() < endMs && violations.length === 0) {
      await pause(random.integer(...FREE_MS));
      disk.fill();
      timesFull += 1;
      await pause(random.integer(...FULL_MS));
      disk.free();
      // Twice what is in flight: whatever the failure hit has been tried again then.
      const goal = host.state.ended + 2 * inFlight;
      await Promise.race([host.reached({ ended: goal }), pause(RECOVERY_MS, undefined, { ref: false })]);
      if (host.state.ended < goal) violations.push(`after the disk was full for the ${timesFull}. time work did not go on`);
    }
    host.finish({ drain: false });
    violations.push(...(await awaitFinish(host, 'the host')));
    const { storeErrors = 0, fatalStoreErrors = 0 } = host.report ?? {};
    if (fatalStoreErrors > 0) violations.push(`${fatalStoreErrors} of ${storeErrors} errors of the store said that they are not retryable`);
    if (storeErrors === 0) violations.push('the client saw no error of the store: the run has proved nothing');
    const final = await finishAndCheck(workspace, settings, { acknowledged: host.acknowledged });
    const { instances, activities, events, completed } = final.census;
    return {
      violations: [...violations, ...final.violations],
      completed,
      latency: final.latency,
      figures: { timesFull, storeErrors, acknowledged: host.acknowledged.length, instances, activities, events },
    };
  },
};

function chooseDisk(workspace: Workspace, tools: { readonly host: HostProcess; readonly random: Random }): Disk {
  const { blocks, bsize } = statfsSync(workspace.folder);
  return blocks * bsize <= SMALL_BYTES ? smallDisk(workspace.folder) : limitedFiles(workspace, tools);
}

/** Limits the size of the files that the host writes: somewhere between nothing and a little more than they have now. */
function limitedFiles({ file }: Workspace, { host, random }: { readonly host: HostProcess; readonly random: Random }): Disk {
  const prlimit = (...words: readonly string[]): string => {
    try {
      return execFileSync('prlimit', ['--pid', String(host.pid), ...words], { encoding: 'utf8' }).trim();
    } catch (error) {
      const way = 'Give --folder on a file system of at most 1 GB that may be filled up, or install prlimit (Linux, package util-linux)';
      throw new CannotRun(`the disk cannot be made full here: ${String(error)}. ${way}`);
    }
  };
  const limit = (bytes: number | string): void => void prlimit(`--fsize=${bytes}:`);
  const before = prlimit('--fsize', '--output=SOFT', '--noheadings');
  const sizeNow = (name: string): number => statSync(name, { throwIfNoEntry: false })?.size ?? 0;
  return {
    kind: 'a limit on the size of files (prlimit)',
    fill: () => limit(random.chance(0.5) ? 0 : Math.floor(Math.max(sizeNow(file), sizeNow(`${file}-wal`)) * random.next() * 1.1)),
    free: () => limit(before),
  };
}

/** Fills a small file system with one more file. */
function smallDisk(folder: string): Disk {
  const ballast = join(folder, 'ballast');
  return {
    kind: `a file that fills ${folder}`,
    fill: () => {
      const descriptor = openSync(ballast, 'w');
      try {
        // Ever smaller pieces, until not a single byte fits.
        for (let bytes = 1 << 20; bytes >= 1; bytes >>= 1) while (writePiece(descriptor, bytes));
      } finally {
        closeSync(descriptor);
      }
    },
    free: () => rmSync(ballast),
  };
}

function writePiece(descriptor: number, bytes: number): boolean {
  try {
    return writeSync(descriptor, Buffer.alloc(bytes)) === bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
