// Takes CPU profiles of all threads of this process, only while a measured part runs, by Node's inspector: a session of its own for the main
// thread, and through it one for each worker thread. Neighbours: row-process.ts uses it, profile-summary.ts reads what it wrote.
import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { encodeRecord, parseRecord } from '../src/types/codec.ts';
import { nameThreads, type CpuProfile } from './cpu-profile.ts';

/** Profiles of one measured part. */
export type ProfiledStretch = {
  /** 0: the part does not count orchestrations. */
  readonly orchestrations: number;
  readonly elapsedMs: number;
  readonly threads: readonly { readonly thread: string; readonly file: string }[];
};

/** A sample this often. Reason: four times finer than the default, for stretches of a second; costs a few percent. */
const INTERVAL_US = 250;

type Answer = { readonly id: number; readonly result?: unknown; readonly error?: { readonly message: string } };

/** Profiles stretches of work. */
export class ThreadProfiler {
  /** What was profiled so far. */
  readonly stretches: ProfiledStretch[] = [];
  readonly #folder: string;

  /** @param folder - where the profiles go; made when it is not there */
  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /**
   * Profiles something. Threads that are started meanwhile are not seen.
   *
   * @param orchestrations - that it runs
   * @param run - the work
   * @returns what it returned
   */
  async profile<Result>(orchestrations: number, run: () => Promise<Result>): Promise<Result> {
    const session = new Session();
    session.connect();
    try {
      const workers = await attachWorkers(session);
      // Ours last and first: its profile should not show that the others are started and stopped.
      await Promise.all(workers.map((post) => startProfile(post)));
      const main: Post = (method, params) => session.post(method, params);
      await startProfile(main);
      const startedMs = performance.now();
      const result = await run();
      const elapsedMs = performance.now() - startedMs;
      const mainProfile = await stopProfile(main);
      const profiles = [mainProfile, ...(await Promise.all(workers.map((post) => stopProfile(post))))];
      const names = nameThreads([[], ...(await Promise.all(workers.map((post) => listFiles(post))))]);
      this.stretches.push({ orchestrations, elapsedMs, threads: this.#write(profiles, names) });
      return result;
    } finally {
      session.disconnect();
    }
  }

  #write(profiles: readonly CpuProfile[], names: readonly string[]): ProfiledStretch['threads'] {
    return profiles.map((profile, index) => {
      const thread = names[index] ?? `thread-${index}`;
      // The first one has the plain name: mostly it is the only one.
      const suffix = this.stretches.length === 0 ? '' : `.${this.stretches.length + 1}`;
      const file = join(this.#folder, `${thread}${suffix}.cpuprofile`);
      writeFileSync(file, encodeRecord(profile));
      return { thread, file };
    });
  }
}

type Post = (method: string, params?: object) => Promise<unknown>;

async function startProfile(post: Post): Promise<void> {
  await post('Profiler.enable');
  await post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
  await post('Profiler.start');
}

async function stopProfile(post: Post): Promise<CpuProfile> {
  return ((await post('Profiler.stop')) as { readonly profile: CpuProfile }).profile;
}

/** Of a thread that did little a profile may show nothing; what it has loaded is known all the same. */
async function listFiles(post: Post): Promise<readonly string[]> {
  const { result } = (await post('Profiler.getBestEffortCoverage')) as { readonly result: readonly { readonly url: string }[] };
  return result.map(({ url }) => url);
}

/** Gives a way to the inspector of each worker thread. Messages to them travel as text inside messages of ours. */
async function attachWorkers(session: Session): Promise<readonly Post[]> {
  const sessionIds: string[] = [];
  const pending = new Map<number, (answer: Answer) => void>();
  session.on('NodeWorker.attachedToWorker', ({ params }) => sessionIds.push(params.sessionId));
  session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
    const answer = parseRecord(params.message) as Answer;
    pending.get(answer.id)?.(answer);
    pending.delete(answer.id);
  });
  await session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  let lastId = 0;
  return sessionIds.map((sessionId) => (method, params = {}) => {
    lastId += 1;
    const id = lastId;
    return new Promise((resolve, reject) => {
      pending.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result);
        else reject(new TypeError(`${method} failed in a thread: ${error.message}`));
      });
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message: encodeRecord({ id, method, params }) }).catch(reject);
    });
  });
}
