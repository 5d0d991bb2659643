// pause: of two host processes on one file one is stopped (SIGSTOP) past its leases, so that the other one takes over, and then goes on
// (SIGCONT) in the belief that it still has them: the store must refuse what it brings. Neighbour: lease-watch.ts sees each ack in its host.
import { setTimeout as sleep } from 'node:timers/promises';
import { awaitFinish, finishAndCheck, LOCK_MS } from '../finish.ts';
import type { HostProcess } from '../host-process.ts';
import { Random } from '../random.ts';
import type { Mode } from '../report.ts';
import { LONG_KINDS } from '../workload.ts';

/** Rounds from which on a run without a single refused zombie has proved nothing. */
const ENOUGH_ROUNDS = 10;
/** How long a process that goes on is watched, in milliseconds: its first acks come at once. */
const WATCH_MS = 500;

/** The mode. */
export const pause: Mode = {
  summary: 'a process is stopped past its leases, another one takes over, the first one goes on',
  length: 'rounds',
  defaultLength: 30,
  defaultInFlight: 50,
  async run(settings, workspace) {
    const { rounds, inFlight, replayThreads, activityThreads } = settings;
    const random = new Random(settings.seed);
    const own = { kinds: LONG_KINDS, inFlight, replayThreads, activityThreads, lockMs: LOCK_MS, dieAt: null };
    const start = (prefix: string): HostProcess => workspace.startHost({ ...own, prefix, seed: random.integer(0, 1e9) });
    const hosts = [start('a'), start('b')] as const;
    await Promise.all(hosts.map((host) => host.running));
    const figures = { takeovers: 0, refusedZombies: 0, refusedAcks: 0 };
    for (let round = 1; round <= rounds; round += 1) {
      const [zombie, heir] = random.chance(0.5) ? hosts : ([hosts[1], hosts[0]] as const);
      await sleep(random.integer(100, 500));
      zombie.signal('SIGSTOP');
      // What it said before it stopped is heard by then.
      await sleep(random.integer(2 * LOCK_MS, 4 * LOCK_MS));
      const before = zombie.state.refused;
      const endedBefore = heir.state.ended;
      await sleep(LOCK_MS);
      // No takeover when the zombie was stopped within a transaction: SQLite lets nobody else write then.
      if (heir.state.ended > endedBefore) figures.takeovers += 1;
      zombie.signal('SIGCONT');
      await sleep(WATCH_MS);
      const refused = zombie.state.refused - before;
      if (refused > 0) figures.refusedZombies += 1;
      figures.refusedAcks += refused;
    }
    for (const host of hosts) host.finish({ drain: false });
    const wrong = (await Promise.all(hosts.map((host) => awaitFinish(host, 'a host')))).flat();
    const isProof = rounds < ENOUGH_ROUNDS || figures.refusedZombies > 0;
    const idle = isProof ? [] : ['no ack of a stopped process was refused: the run has proved nothing'];
    const acknowledged = hosts.flatMap((host) => host.acknowledged);
    const { violations, census, latency } = await finishAndCheck(workspace, settings, { acknowledged });
    const { instances, activities, events, completed } = census;
    return {
      violations: [...wrong, ...idle, ...violations],
      completed,
      latency,
      figures: { ...figures, acknowledged: acknowledged.length, instances, activities, events },
    };
  },
};
