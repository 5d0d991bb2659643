// `npm run bench:peers`: the same workloads on duraloom and on other runtimes, side by side in one run. See README.md.
//
// R1. Rounds are interleaved: duraloom, a peer, duraloom, a peer, …, duraloom. A peer is compared with the measurements of duraloom next to
//     it, so that a machine that gets slower or faster during the run changes both alike. With many peers two of them share a neighbour.
// R2. A peer that fails or hangs is a row with the reason, and is not tried again in that row.
import { cpus, availableParallelism, tmpdir } from 'node:os';
import { install, versionOf } from './install.ts';
import { measure } from './measure.ts';
import { describeUsage, readCommand, type PeersOptions } from './options.ts';
import { DURALOOM, PEERS, type Peer } from './peers.ts';
import { startPostgres, type Postgres } from './postgres.ts';
import { toHeader, toJson, toSummary, toTable, type Surroundings } from './print.ts';
import type { PeerResult, Round, Values } from './result.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

/** Exit codes. */
const FAILED = 1;
const WRONG_ARGUMENTS = 2;
const INTERRUPTED = 130;

/** R1: more peers than this share neighbours. */
const STRICT_PEERS = 3;

async function main(words: readonly string[]): Promise<number> {
  const known = {
    peers: PEERS.map(({ key }) => key),
    onRequest: PEERS.filter(({ onRequest }) => onRequest === true).map(({ key }) => key),
    rows: WORKLOADS.map(({ name }) => name),
  };
  const command = readCommand(words, known);
  switch (command.kind) {
    case 'help':
      process.stdout.write(describeUsage(known, WORKLOADS));
      return 0;
    case 'wrong':
      process.stderr.write(`bench: ${command.message}\n\n${describeUsage(known, WORKLOADS)}`);
      return WRONG_ARGUMENTS;
    case 'run':
      return runAll(command.options);
  }
}

async function runAll(options: PeersOptions): Promise<number> {
  const peers = PEERS.filter(({ key }) => options.peers.includes(key));
  const failure = peers.every((peer) => peer.package === null) ? null : await install();
  const usesPostgres = peers.some(({ store }) => store === 'postgres');
  const postgres = usesPostgres ? await startPostgres() : null;
  try {
    const surroundings: Surroundings = {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      node: process.version,
      folder: tmpdir(),
      postgres: postgres === null ? 'not used' : postgres.description,
      rounds: options.rounds,
      quick: options.quick,
    };
    if (!options.json) process.stdout.write(`${toHeader(surroundings)}\n`);
    let exitCode = 0;
    const rows: (readonly PeerResult[])[] = [];
    for (const workload of WORKLOADS.filter(({ name }) => options.rows.includes(name))) {
      const results = await new RowRun(workload, options, postgres, failure).measureAll(peers);
      rows.push(results);
      if (results[0]?.failure !== null) exitCode = FAILED;
      const text = options.json ? results.map((result) => toJson(result, surroundings)).join('\n') : toTable(workload, results);
      process.stdout.write(`${text}\n`);
    }
    if (!options.json && peers.length > 0) process.stdout.write(`${toSummary(rows)}\n`);
    return exitCode;
  } finally {
    await postgres?.stop();
  }
}

/** One row: all rounds of all peers. */
class RowRun {
  readonly #workload: Workload;
  readonly #options: PeersOptions;
  readonly #postgres: Postgres | null;
  readonly #installFailure: string | null;
  readonly #failures = new Map<Peer, string>();

  constructor(workload: Workload, options: PeersOptions, postgres: Postgres | null, installFailure: string | null) {
    this.#workload = workload;
    this.#options = options;
    this.#postgres = postgres;
    this.#installFailure = installFailure;
  }

  /** Gives one result for each, duraloom first. */
  async measureAll(peers: readonly Peer[]): Promise<readonly PeerResult[]> {
    const ours: Round[] = [];
    const theirs = new Map(peers.map((peer) => [peer, [] as Round[]]));
    // R1.
    const groupSize = peers.length > STRICT_PEERS ? 2 : 1;
    for (let round = 0; round < this.#options.rounds; round += 1) {
      let before = await this.#measure(DURALOOM);
      ours.push(...toRounds(before));
      for (let first = 0; first < peers.length; first += groupSize) {
        const group = peers.slice(first, first + groupSize);
        const values = new Map<Peer, Values | null>();
        for (const peer of group) values.set(peer, await this.#measure(peer));
        if ([...values.values()].every((value) => value === null)) continue;
        const after = await this.#measure(DURALOOM);
        ours.push(...toRounds(after));
        for (const [index, peer] of group.entries()) {
          const value = values.get(peer) ?? null;
          if (value === null) continue;
          const neighbours = [...(index === 0 ? [before] : []), ...(index === group.length - 1 ? [after] : [])];
          theirs.get(peer)?.push({ values: value, beside: neighbours.filter((neighbour) => neighbour !== null) });
        }
        before = after;
      }
    }
    return [this.#toResult(DURALOOM, ours), ...peers.map((peer) => this.#toResult(peer, theirs.get(peer) ?? []))];
  }

  /** Measures once; null: R2. */
  async #measure(peer: Peer): Promise<Values | null> {
    if (this.#failures.has(peer)) return null;
    const { timeoutMs, quick } = this.#options;
    const reason = this.#whyNot(peer);
    const database = reason === null && peer.store === 'postgres' ? await this.#postgres?.createDatabase() : null;
    const task = {
      driver: peer.driver,
      workload: this.#workload.name,
      size: this.#sizeOf(peer),
      quick,
      store: peer.store,
      knobs: this.#knobsOf(peer),
      databaseUrl: database?.url ?? null,
    };
    const measured = reason === null ? await measure(task, timeoutMs) : ({ kind: 'failed', reason } as const);
    await database?.drop();
    if (measured.kind === 'measured') return measured.values;
    this.#failures.set(peer, measured.reason);
    process.stderr.write(`bench: ${this.#workload.name} ${peer.key} failed: ${measured.reason}\n`);
    return null;
  }

  #whyNot(peer: Peer): string | null {
    if (peer === DURALOOM) return null;
    if (peer.package !== null && this.#installFailure !== null) return this.#installFailure;
    if (versionOf(peer.package) === 'not installed') return `${peer.package} is not there for ${process.platform}-${process.arch}`;
    return peer.store === 'postgres' ? (this.#postgres?.failure ?? null) : null;
  }

  #toResult(peer: Peer, rounds: readonly Round[]): PeerResult {
    const { starters: _, ...shown } = this.#knobsOf(peer);
    const setting = Object.entries(shown).map(([name, value]) => `${name} ${value}`);
    return {
      workload: this.#workload,
      peer,
      version: versionOf(peer.package),
      setting: setting.length === 0 ? 'defaults' : setting.join(', '),
      size: this.#sizeOf(peer),
      rounds,
      failure: this.#failures.get(peer) ?? null,
    };
  }

  #knobsOf(peer: Peer): Readonly<Record<string, number>> {
    return { ...peer.knobs, ...peer.knobsOf?.[this.#workload.name], ...(peer === DURALOOM ? {} : this.#options.knobs) };
  }

  #sizeOf(peer: Peer): number {
    const { quick, size } = this.#options;
    return size ?? (quick ? this.#workload.size.quick : (peer.sizes?.[this.#workload.name] ?? this.#workload.size.full));
  }
}

function toRounds(values: Values | null): readonly Round[] {
  return values === null ? [] : [{ values, beside: [] }];
}

// Processes, servers and folders are removed by their own listeners of 'exit'.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(INTERRUPTED));

// Whoever reads our output may stop, as `head` does.
process.stdout.once('error', () => process.exit(FAILED));

process.exitCode = await main(process.argv.slice(2));
