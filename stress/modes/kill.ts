// kill: host processes on one file are killed with SIGKILL: at random moments, at chosen points between a commit and what follows it, and
// while another process shares the file. Neighbours: host.ts is what dies, invariants.ts what looks afterwards.
import { setTimeout as pause } from 'node:timers/promises';
import { awaitFinish, finishAndCheck, LOCK_MS } from '../finish.ts';
import type { HostOptions, HostProcess } from '../host-process.ts';
import { POINTS } from '../intercept.ts';
import { checkInvariants, type Census, type CheckOptions } from '../invariants.ts';
import type { Settings } from '../options.ts';
import { Random } from '../random.ts';
import type { Mode, Outcome } from '../report.ts';
import { KINDS } from '../workload.ts';
import type { Workspace } from '../workspace.ts';

/** How one round goes. */
type Plan = 'start-up' | 'moment' | 'point' | 'pair';

/** Rounds from which on a run without a death at a chosen point has proved too little. */
const ENOUGH_ROUNDS = 20;
/** How often it is told how far a run is, in rounds. */
const TOLD_ROUNDS = 20;
/** More rounds at points and with two processes than while a host starts, where little can be torn. */
const PLANS: readonly [Plan, ...Plan[]] = ['start-up', 'moment', 'moment', 'moment', 'point', 'point', 'point', 'point', 'pair', 'pair'];

/** How long a host may take until it runs, and then until it has started its jobs or is at its point, in milliseconds: it is killed anyway. */
const START_MS = 20_000;
const PATIENCE_MS = 2000;
/** Longest time between the chosen acknowledgement and the kill, in milliseconds: a job takes less. */
const MOMENT_MS = 300;

/** The mode. */
export const kill: Mode = {
  summary: 'host processes are killed with SIGKILL at random moments and chosen points',
  length: 'rounds',
  defaultLength: 200,
  defaultInFlight: 30,
  run: (settings, workspace) => new KillRun(settings, workspace).run(),
};

class KillRun {
  readonly #settings: Settings;
  readonly #workspace: Workspace;
  readonly #random: Random;
  readonly #acknowledged = new Set<string>();
  readonly #ended = new Set<string>();
  readonly #settled = new Set<string>();
  readonly #violations: string[] = [];
  /** Where hosts died, of those that were chosen. */
  readonly #points = new Set<string>();
  readonly #figures = { kills: 0, killsAtPoints: 0, roundsOfTwo: 0, checks: 0, activities: 0, events: 0 };

  constructor(settings: Settings, workspace: Workspace) {
    this.#settings = settings;
    this.#workspace = workspace;
    this.#random = new Random(settings.seed);
  }

  async run(): Promise<Outcome> {
    let checking: Promise<void> | null = null;
    for (let round = 1; round <= this.#settings.rounds && this.#violations.length === 0; round += 1) {
      const plan = this.#random.pick(PLANS);
      const hosts = await (plan === 'pair' ? this.#killPair(round) : this.#killOne(round, plan));
      await checking;
      for (const { acknowledged, endedJobs } of hosts) {
        for (const instanceId of acknowledged) this.#acknowledged.add(instanceId);
        for (const instanceId of endedJobs) this.#ended.add(instanceId);
      }
      checking = this.#check();
      if (round % TOLD_ROUNDS === 0) console.log(`  round ${round}: ${this.#figures.kills} kills, ${this.#acknowledged.size} acknowledged`);
      // Half of the looks are over before the next host comes, so that they recover the log; the others share the file with it.
      if (this.#random.chance(0.5)) await checking;
    }
    await checking;
    const { violations, census, latency } = await finishAndCheck(this.#workspace, this.#settings, this.#told());
    this.#note(census);
    const { instances, completed } = census;
    const isProof = this.#settings.rounds < ENOUGH_ROUNDS || this.#figures.killsAtPoints > 0;
    const idle = isProof ? [] : ['no host died at a chosen point: the run has proved too little'];
    return {
      // The last look finds again what the one before found.
      violations: [...new Set([...this.#violations, ...idle, ...violations])],
      completed,
      latency,
      figures: { ...this.#figures, pointsOfDeath: this.#points.size, acknowledged: this.#acknowledged.size, instances },
    };
  }

  async #killOne(round: number, plan: Exclude<Plan, 'pair'>): Promise<readonly HostProcess[]> {
    const dieAt: HostOptions['dieAt'] =
      plan !== 'point'
        ? null
        : {
            operation: this.#random.pick(POINTS),
            phase: this.#random.pick<'before' | 'after'>(['before', 'after']),
            // Some points come often, others now and then only.
            count: this.#random.chance(0.5) ? 1 : this.#random.integer(2, 12),
          };
    const host = this.#start(`r${round}`, dieAt);
    if (plan === 'start-up') await within(this.#random.integer(20, 1000), host.running);
    else if (dieAt === null) await this.#moment(host);
    else {
      await within(START_MS, host.running);
      await within(PATIENCE_MS, host.ended);
    }
    await this.#end(host, dieAt);
    return [host];
  }

  /** Two hosts share the file. One is killed while the other works; that one is killed as well, or takes over and ends in peace. */
  async #killPair(round: number): Promise<readonly HostProcess[]> {
    this.#figures.roundsOfTwo += 1;
    const first = this.#start(`r${round}a`, null);
    const second = this.#start(`r${round}b`, null);
    await this.#moment(first);
    await this.#end(first, null);
    if (this.#random.chance(0.5)) {
      await pause(this.#random.integer(0, MOMENT_MS));
      await this.#end(second, null);
    } else {
      second.finish({ drain: this.#random.chance(0.5) });
      this.#violations.push(...(await awaitFinish(second, `the survivor of round ${round}`)));
    }
    return [first, second];
  }

  #start(prefix: string, dieAt: HostOptions['dieAt']): HostProcess {
    const { inFlight, replayThreads, activityThreads } = this.#settings;
    const seed = this.#random.integer(0, 1e9);
    const own = { kinds: KINDS, inFlight, lockMs: LOCK_MS };
    return this.#workspace.startHost({ prefix, seed, replayThreads, activityThreads, dieAt, ...own });
  }

  /** A random moment: some time after a random number of starts was acknowledged. */
  async #moment(host: HostProcess): Promise<void> {
    const acknowledged = this.#random.integer(0, this.#settings.inFlight);
    const delayMs = this.#random.integer(0, MOMENT_MS);
    await within(START_MS, host.running);
    await within(PATIENCE_MS, host.reached({ acknowledged }));
    await pause(delayMs);
  }

  async #end(host: HostProcess, dieAt: HostOptions['dieAt']): Promise<void> {
    const isSelfKill = await Promise.race([host.ended.then(() => true), pause(0, false)]);
    host.signal('SIGKILL');
    const { code, signal } = await host.ended;
    if (signal !== 'SIGKILL') this.#violations.push(`a host ended by itself: code ${String(code)}, signal ${String(signal)}`);
    this.#figures.kills += 1;
    if (!isSelfKill || dieAt === null) return;
    this.#figures.killsAtPoints += 1;
    this.#points.add(`${dieAt.phase} ${dieAt.operation}`);
  }

  async #check(): Promise<void> {
    this.#figures.checks += 1;
    const told = this.#told();
    await this.#workspace.withStore(async (provider, client) => {
      const { violations, census } = await checkInvariants(provider, client, { ...told, final: false });
      this.#violations.push(...violations);
      this.#note(census);
    });
  }

  /** What hosts have told until now, and what needs no second look. */
  #told(): Omit<CheckOptions, 'final'> {
    return { acknowledged: new Set(this.#acknowledged), ended: new Set(this.#ended), settled: this.#settled };
  }

  #note({ activities, events }: Census): void {
    this.#figures.activities += activities;
    this.#figures.events += events;
  }
}

/** Waits, but not for longer than this. */
async function within(limitMs: number, event: Promise<unknown>): Promise<void> {
  await Promise.race([event, pause(limitMs, undefined, { ref: false })]);
}
