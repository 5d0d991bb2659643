// faults: the store fails at random, in every way in which stores fail: before and after its commit, late, not at all, for a part of a batch,
// twice, with an old answer. The runtime has real threads and a real file. Neighbours: `faulty` of duraloom/testing, local.ts.
import { writeFileSync } from 'node:fs';
import { faulty, type FaultKind, type FaultRates } from 'duraloom/testing';
import { LOCK_MS } from '../finish.ts';
import { Load } from '../load.ts';
import { Random } from '../random.ts';
import type { Mode } from '../report.ts';
import { KINDS } from '../workload.ts';
import { endOf, finishLocally, startLocalHost } from './local.ts';

/** Parts of all calls that a fault hits. */
const RATES: FaultRates = {
  errorBefore: 0.02,
  errorAfter: 0.02,
  delay: 0.04,
  hang: 0.002,
  duplicate: 0.01,
  lockLost: 0.01,
  staleRead: 0.01,
  partial: 0.02,
  disconnect: 0.0005,
};
const LIMITS = { maxDelayMs: 30, maxDisconnectMs: 200, hangMs: 300 };
/** Lost answers leave locks behind that must run out, one after the other when luck is bad. */
const STUCK_MS = 60_000;

/** The mode. */
export const faults: Mode = {
  summary: 'calls of the store fail before and after their commit, come late, twice or in part',
  length: 'minutes',
  defaultLength: 2,
  defaultInFlight: 100,
  async run(settings, workspace) {
    const plan = { seed: settings.seed, rates: { any: RATES }, ...LIMITS };
    const wrap = (store: Parameters<typeof faulty>[0]): ReturnType<typeof faulty> => Object.assign(faulty(store, plan), { enabled: false });
    const host = await startLocalHost(workspace, settings, { lockMs: LOCK_MS, wrap });
    const { client, provider } = host;
    provider.enabled = true;
    const endMs = endOf(settings);
    const acknowledged: string[] = [];
    let seenByClient = 0;
    const load = new Load({
      client,
      random: new Random(settings.seed),
      prefix: 'faults',
      kinds: KINDS,
      inFlight: settings.inFlight,
      isOver: () => performance.now() > endMs,
      onStarted: ({ instanceId }) => acknowledged.push(instanceId),
      onStoreError: () => (seenByClient += 1),
    });
    const { violations, census } = await finishLocally(host, workspace, { loads: [load], byMs: endMs + STUCK_MS, acknowledged });
    const count = (kind: FaultKind): number => provider.log.filter(({ fault }) => fault.kind === kind).length;
    const kinds = Object.fromEntries((Object.keys(RATES) as FaultKind[]).map((kind) => [kind, count(kind)]));
    if (violations.length > 0) {
      const file = `${workspace.file}-faults.json`;
      writeFileSync(file, JSON.stringify(provider.log));
      console.error(`the faults that happened: ${file}`);
    }
    const { instances, activities, events } = census;
    return {
      violations,
      completed: load.ended,
      latency: load.total,
      figures: { ...kinds, seenByClient, instances, activities, events },
    };
  },
};
