// faults: the store fails at random: calls that fail before they begin, calls that fail after their commit (a lost answer), and slow ones.
// The runtime has real threads and a real file. Neighbours: intercept.ts is how the store fails, local.ts the rest.
import { setTimeout as pause } from 'node:timers/promises';
import { ProviderError } from 'duraloom';
import { LOCK_MS } from '../finish.ts';
import type { Hook } from '../intercept.ts';
import { Load } from '../load.ts';
import { Random } from '../random.ts';
import type { Mode } from '../report.ts';
import { KINDS } from '../workload.ts';
import { awaitLoads, endOf, startLocalHost, stopAndCheck } from './local.ts';

/** Parts of all calls. */
const RATES = { before: 0.03, after: 0.03, delay: 0.05 };
const MAX_DELAY_MS = 30;
/** Lost answers leave locks behind that must run out, one after the other when luck is bad. */
const STUCK_MS = 60_000;

/** The mode. */
export const faults: Mode = {
  summary: 'calls of the store fail before and after their commit, or come late',
  length: 'minutes',
  defaultLength: 2,
  defaultInFlight: 100,
  async run(settings, workspace) {
    const random = new Random(settings.seed);
    const figures = { failedBefore: 0, failedAfter: 0, delayed: 0, seenByClient: 0 };
    let isOn = false;
    const hook: Hook = async (operation, phase) => {
      if (!isOn) return;
      if (phase === 'before' && random.chance(RATES.delay)) {
        figures.delayed += 1;
        await pause(random.integer(1, MAX_DELAY_MS));
      }
      if (!random.chance(RATES[phase])) return;
      figures[phase === 'before' ? 'failedBefore' : 'failedAfter'] += 1;
      const message = `${operation} was made to fail ${phase === 'before' ? 'before it began' : 'after its commit'}`;
      throw new ProviderError('PROVIDER_FAILED', { operation, retryable: true, message });
    };
    const host = await startLocalHost(workspace, settings, { lockMs: LOCK_MS, hook });
    isOn = true;
    const endMs = endOf(settings);
    const acknowledged: string[] = [];
    const load = new Load({
      client: host.client,
      random: new Random(settings.seed + 1),
      prefix: 'faults',
      kinds: KINDS,
      inFlight: settings.inFlight,
      isOver: () => performance.now() > endMs,
      onStarted: ({ instanceId }) => acknowledged.push(instanceId),
      onStoreError: () => (figures.seenByClient += 1),
    });
    await Promise.race([load.done, pause(settings.minutes * 60_000)]);
    const stuck = await awaitLoads([load], STUCK_MS);
    isOn = false;
    const { violations, census } = await stopAndCheck(host, workspace, { acknowledged });
    const { instances, activities, events } = census;
    return {
      violations: [...load.violations, ...stuck, ...violations],
      completed: load.ended,
      latency: load.total,
      figures: { ...figures, instances, activities, events },
    };
  },
};
