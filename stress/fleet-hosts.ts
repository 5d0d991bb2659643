// The host processes of a fleet: slots with a network each, in which one host follows another. Neighbours: modes/fleet.ts makes the trouble,
// host-process.ts is one host.
import { setTimeout as pause } from 'node:timers/promises';
import { Proxy } from '../postgres-server/proxy.ts';
import { LOCK_MS } from './finish.ts';
import type { HostOptions, HostProcess } from './host-process.ts';
import { POINTS } from './intercept.ts';
import type { Settings } from './options.ts';
import { Random } from './random.ts';
import { LONG_KINDS } from './workload.ts';
import type { Workspace } from './workspace.ts';

/** A place for a host, and its way to the server. */
export type Slot = { readonly name: string; readonly proxy: Proxy };

/** How often a wait looks, in milliseconds. */
const LOOK_MS = 20;
/** Share of the hosts that die at a chosen point of their own, when hosts are killed. */
const AT_POINT = 0.4;
/** Calls until a host dies at its point. */
const MOST_CALLS = 25;

/** All hosts of a run, also those that are gone. */
export class FleetHosts {
  /** In words: hosts that ended by themselves. */
  readonly violations: string[] = [];
  kills = 0;
  readonly #workspace: Workspace;
  readonly #settings: Settings;
  readonly #random: Random;
  readonly #all: HostProcess[] = [];
  readonly #present = new Map<Slot, HostProcess>();
  /** Those that are to die by themselves. */
  readonly #doomed = new Set<HostProcess>();
  /** Those that were sent the signal. */
  readonly #killed = new Set<HostProcess>();
  #killsAtPoints = 0;
  #phase: 'running' | 'last' | 'ending' = 'running';

  private constructor(workspace: Workspace, settings: Settings) {
    this.#workspace = workspace;
    this.#settings = settings;
    // Apart from the troubles: which host dies when is up to the machine.
    this.#random = new Random(settings.seed + 1);
  }

  /**
   * Starts the hosts.
   *
   * @param workspace - with the address of the store
   * @param settings - how many, and what each does
   * @returns the hosts, before they run
   */
  static async start(workspace: Workspace, settings: Settings): Promise<FleetHosts> {
    const { store } = workspace;
    if (store.kind !== 'postgres') throw new Error('a fleet needs a store on a server');
    const hosts = new FleetHosts(workspace, settings);
    for (let index = 0; index < (settings.runtimes ?? 1); index += 1) {
      hosts.#startIn({ name: `h${index}`, proxy: await Proxy.start(store.url) });
    }
    return hosts;
  }

  /** Jobs that have ended, as their hosts say. */
  get ended(): number {
    return this.#all.reduce((sum, { endedJobs }) => sum + endedJobs.length, 0);
  }

  acknowledged(): readonly string[] {
    return this.#all.flatMap((host) => host.acknowledged);
  }

  endedJobs(): ReadonlySet<string> {
    return new Set(this.#all.flatMap((host) => host.endedJobs));
  }

  slots(): readonly Slot[] {
    return [...this.#present.keys()];
  }

  /** Resolves when so many jobs have ended; false: not within the time. */
  async untilEnded(count: number, limitMs: number): Promise<boolean> {
    for (const endMs = performance.now() + limitMs; this.ended < count; await pause(LOOK_MS)) {
      if (performance.now() > endMs) return false;
    }
    return true;
  }

  /** Kills the host of a slot. The next one takes its place. */
  async kill(slot: Slot): Promise<void> {
    const host = this.#present.get(slot);
    if (host === undefined) throw new Error(`slot ${slot.name} has no host`);
    this.#killed.add(host);
    host.signal('SIGKILL');
    await host.ended;
  }

  /** Lets all hosts end their jobs. Returns what is wrong. */
  async finish(awaitEnd: (host: HostProcess) => Promise<readonly string[]>): Promise<readonly string[]> {
    this.#phase = 'last';
    for (const [slot, host] of this.#present) if (this.#doomed.has(host)) await this.kill(slot);
    this.#phase = 'ending';
    const hosts = [...this.#present.values()];
    for (const host of hosts) host.finish({ drain: false });
    return (await Promise.all(hosts.map(awaitEnd))).flat();
  }

  /** Closes all networks. No host is followed by another one any more. */
  async close(): Promise<void> {
    this.#phase = 'ending';
    for (const { proxy } of this.#present.keys()) await proxy.close();
  }

  figures(): Readonly<Record<string, number>> {
    const refusedAcks = this.#all.reduce((sum, { state }) => sum + state.refused, 0);
    const storeErrors = this.#all.reduce((sum, { state }) => sum + state.storeErrors, 0);
    const acknowledged = this.acknowledged().length;
    return { hosts: this.#all.length, kills: this.kills, killsAtPoints: this.#killsAtPoints, refusedAcks, storeErrors, acknowledged };
  }

  #startIn(slot: Slot): void {
    const { store } = this.#workspace;
    if (store.kind !== 'postgres') throw new Error('a fleet needs a store on a server');
    const { inFlight, replayThreads, activityThreads } = this.#settings;
    const dieAt = this.#drawPoint();
    const own = { kinds: LONG_KINDS, inFlight, replayThreads, activityThreads, lockMs: LOCK_MS, dieAt };
    // The prefix is part of all ids: it sets this host apart from those before.
    const prefix = `${slot.name}-${this.#all.length}`;
    const host = this.#workspace.startHost(
      { ...own, prefix, seed: this.#random.integer(0, 1e9) },
      { ...store, url: slot.proxy.urlFor(store.url) },
    );
    this.#all.push(host);
    this.#present.set(slot, host);
    if (dieAt !== null) this.#doomed.add(host);
    void host.ended.then(({ code, signal }) => {
      if (this.#phase === 'ending') return;
      if (signal !== 'SIGKILL') this.violations.push(`${prefix} ended by itself: code ${String(code)}, signal ${String(signal)}`);
      this.kills += 1;
      if (!this.#killed.delete(host)) this.#killsAtPoints += 1;
      this.#startIn(slot);
    });
  }

  #drawPoint(): HostOptions['dieAt'] {
    if (this.#settings.kill !== true || this.#phase !== 'running' || !this.#random.chance(AT_POINT)) return null;
    const phase = this.#random.pick<'before' | 'after'>(['before', 'after']);
    return { operation: this.#random.pick(POINTS), phase, count: this.#random.integer(1, MOST_CALLS) };
  }
}
