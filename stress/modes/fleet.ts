// fleet: several host processes on one schema of a PostgreSQL server, each behind a network of its own that delays, cuts and hangs. Hosts die by
// SIGKILL and others take their places; the server is shut down, crashes and is killed meanwhile. Neighbours: fleet-hosts.ts has the hosts,
// postgres-server/ server and network, invariants.ts looks after each end of the server and in the end.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { dropSchema, makeSchemaName } from '../../postgres-server/schemas.ts';
import type { StopMode } from '../../postgres-server/server-process.ts';
import { startPostgres, type PostgresServer } from '../../postgres-server/server.ts';
import { FleetHosts, type Slot } from '../fleet-hosts.ts';
import { awaitFinish, finishAndCheck } from '../finish.ts';
import { checkInvariants, listAll, type Census, type CheckOptions } from '../invariants.ts';
import type { Settings } from '../options.ts';
import { Random } from '../random.ts';
import type { Mode, Outcome } from '../report.ts';
import type { Workspace } from '../workspace.ts';

/** What happens in a round: to the network of a host, to a host, to the server. */
type Trouble = 'cut' | 'cutAnswer' | 'delay' | 'halfOpen' | 'closed' | 'kill' | StopServer;
type StopServer = `server ${StopMode}`;

const NETWORK: readonly Trouble[] = ['cut', 'cutAnswer', 'delay', 'halfOpen', 'closed'];
const KILLS: readonly Trouble[] = ['kill', 'kill', 'kill', 'kill', 'kill'];
const SERVER: readonly StopServer[] = ['server fast', 'server immediate', 'server kill'];

/** Trouble lasts so long at most, in milliseconds: more than hosts wait for an answer. */
const TROUBLE_MS = 4000;
const MAX_DELAY_MS = 150;
/** An answer is cut after so many bytes at most. */
const MAX_ANSWER = 20_000;
/** Longest time between the last job that ended and the next trouble, in milliseconds: a trouble is to meet work. */
const MOMENT_MS = 500;
/** Nothing ends in this time, whatever the trouble: something is stuck. In milliseconds. */
const STUCK_MS = 60_000;
/** How often it is told how far a run is, in rounds. */
const TOLD_ROUNDS = 10;
/** Rounds from which on each kind of trouble must have been there. */
const ENOUGH_ROUNDS = 20;

/** The mode. */
export const fleet: Mode = {
  summary: 'several processes on one PostgreSQL: kills, a network that fails, ends of the server',
  length: 'rounds',
  defaultLength: 60,
  defaultInFlight: 20,
  defaultRuntimes: 4,
  async run(settings, workspace) {
    const server = await startPostgres({ fsync: 'on' });
    const isOwn = server.origin !== 'DATABASE_URL';
    console.log(
      `  server: ${server.origin}; ${isOwn ? 'it goes away and comes back meanwhile' : 'it is not ours to take down: it stays up'}`,
    );
    try {
      const schema = makeSchemaName('stress');
      workspace.useStore({ kind: 'postgres', url: server.url, schema });
      const outcome = await new FleetRun(settings, workspace, { server, isOwn }).run();
      if (outcome.violations.length > 0) await keepHistories(workspace);
      // A server that is given is left as it was.
      else await dropSchema(server.url, schema);
      return outcome;
    } finally {
      await server.stop();
    }
  },
};

class FleetRun {
  readonly #settings: Settings;
  readonly #workspace: Workspace;
  readonly #server: PostgresServer;
  readonly #random: Random;
  readonly #kinds: readonly Trouble[];
  readonly #settled = new Set<string>();
  readonly #violations: string[] = [];
  readonly #counts = new Map<Trouble, number>();
  /** Troubles of networks that are to end. */
  readonly #healing = new Map<Slot, Promise<void>>();
  readonly #checked = { checks: 0, activities: 0, events: 0 };
  #deck: Trouble[] = [];

  constructor(settings: Settings, workspace: Workspace, { server, isOwn }: { readonly server: PostgresServer; readonly isOwn: boolean }) {
    this.#settings = settings;
    this.#workspace = workspace;
    this.#server = server;
    this.#random = new Random(settings.seed);
    this.#kinds = [...NETWORK, ...(settings.kill === true ? KILLS : []), ...(isOwn ? SERVER : [])];
  }

  async run(): Promise<Outcome> {
    const hosts = await FleetHosts.start(this.#workspace, this.#settings);
    try {
      return await this.#runWith(hosts);
    } finally {
      await hosts.close();
    }
  }

  async #runWith(hosts: FleetHosts): Promise<Outcome> {
    const { rounds, runtimes } = this.#settings;
    for (let round = 1; round <= rounds && this.#violations.length === 0; round += 1) {
      await this.#untilWork(hosts);
      await this.#trouble(hosts, this.#draw());
      this.#violations.push(...hosts.violations);
      if (round % TOLD_ROUNDS === 0) console.log(`  round ${round}: ${hosts.ended} ended, ${hosts.kills} kills`);
    }
    await Promise.all(this.#healing.values());
    await this.#untilWork(hosts);
    const unfinished = await hosts.finish((host) => awaitFinish(host, 'a host'));
    const { violations, census, latency } = await finishAndCheck(this.#workspace, this.#settings, this.#told(hosts));
    const missing = rounds < ENOUGH_ROUNDS ? [] : this.#kinds.filter((kind) => !this.#counts.has(kind));
    const idle = [...new Set(missing)].map((kind) => `there was no trouble '${kind}': the run has proved too little`);
    this.#note(census);
    const { completed, instances } = census;
    const troubles = Object.fromEntries([...new Set(this.#kinds)].map((kind) => [kind, this.#counts.get(kind) ?? 0]));
    return {
      violations: [...new Set([...this.#violations, ...unfinished, ...hosts.violations, ...idle, ...violations])],
      completed,
      latency,
      figures: { runtimes: runtimes ?? 0, ...troubles, ...hosts.figures(), instances, ...this.#checked },
    };
  }

  /** Each trouble comes once before any comes again: also a short run has many kinds. */
  #draw(): Trouble {
    if (this.#deck.length === 0) this.#deck = [...this.#kinds];
    const [trouble = 'cut'] = this.#deck.splice(this.#random.integer(0, this.#deck.length - 1), 1);
    this.#counts.set(trouble, (this.#counts.get(trouble) ?? 0) + 1);
    return trouble;
  }

  /** Waits for the end of a job, and a moment. */
  async #untilWork(hosts: FleetHosts): Promise<void> {
    const delayMs = this.#random.integer(0, MOMENT_MS);
    if (!(await hosts.untilEnded(hosts.ended + 1, STUCK_MS))) this.#violations.push('no host ends anything any more: something is stuck');
    await pause(delayMs);
  }

  async #trouble(hosts: FleetHosts, trouble: Trouble): Promise<void> {
    const [first, ...others] = hosts.slots();
    if (first === undefined) throw new Error('a fleet has hosts');
    const slot = this.#random.pick([first, ...others]);
    const lastsMs = this.#random.integer(0, TROUBLE_MS);
    const { proxy } = slot;
    switch (trouble) {
      case 'cut':
        proxy.cut();
        return;
      case 'cutAnswer':
        void proxy.cutAfter(this.#random.integer(1, MAX_ANSWER));
        return;
      case 'delay':
        proxy.slowDown(this.#random.integer(1, MAX_DELAY_MS));
        this.#heal(slot, lastsMs);
        return;
      case 'halfOpen':
      case 'closed':
        proxy.set(trouble);
        this.#heal(slot, lastsMs);
        return;
      case 'kill':
        await hosts.kill(slot);
        return;
      case 'server fast':
      case 'server immediate':
      case 'server kill':
        await this.#takeAway(hosts, trouble, lastsMs);
    }
  }

  /** Ends the trouble of a network later: others come meanwhile. */
  #heal(slot: Slot, lastsMs: number): void {
    const before = this.#healing.get(slot) ?? Promise.resolve();
    const heal = async (): Promise<void> => {
      await Promise.all([before, pause(lastsMs)]);
      slot.proxy.slowDown(0);
      slot.proxy.set('open');
    };
    this.#healing.set(slot, heal());
  }

  /** What was acknowledged before the end of the server must be there after it. */
  async #takeAway(hosts: FleetHosts, stop: StopServer, lastsMs: number): Promise<void> {
    await this.#server.takeDown(stop.slice('server '.length) as StopMode);
    await pause(lastsMs);
    await this.#server.bringUp();
    const told = this.#told(hosts);
    await this.#workspace.withStore(async (provider, client) => {
      const { violations, census } = await checkInvariants(provider, client, { ...told, final: false });
      this.#violations.push(...violations);
      this.#note(census);
    });
  }

  /** Histories are read once after their end. */
  #note({ activities, events }: Census): void {
    this.#checked.checks += 1;
    this.#checked.activities += activities;
    this.#checked.events += events;
  }

  #told(hosts: FleetHosts): Omit<CheckOptions, 'final'> {
    return { acknowledged: hosts.acknowledged(), ended: hosts.endedJobs(), settled: this.#settled };
  }
}

/** The server goes away with this process: what is in the store is written to the folder of the run. */
async function keepHistories(workspace: Workspace): Promise<void> {
  await workspace.withStore(async (provider, client) => {
    const lines: string[] = [];
    for await (const instance of listAll(client)) {
      const work = await provider.readWorkItems(instance.instanceId);
      const history = await client.readHistory(instance.instanceId, instance.executionId);
      lines.push(JSON.stringify({ ...instance, work, history }));
    }
    writeFileSync(join(workspace.folder, 'instances.jsonl'), lines.join('\n'));
  });
}
