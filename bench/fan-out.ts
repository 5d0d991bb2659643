// Row W1: throughput. Many fan-outs of five trivial activities, all started, then awaited, beside the raw ceiling of the same machine.
//
// F1. Rounds are interleaved: raw, ours, raw, ours, …, raw. A round of ours is compared with the mean of the raw rounds around it, so that
//     a machine that gets slower or faster during the run changes both sides alike.
// F2. Both sides keep their file over all rounds, so both grow alike. At the end both files must hold the same events.
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { collectGarbage, withHost, type Host, type RowTask } from './host.ts';
import { fanOut } from './orchestrations.ts';
import { RawCeiling, readStoredFanOuts, WIDTH, type StoredFanOuts } from './raw-ceiling.ts';
import type { Metric, RowResult } from './result.ts';

/** Orchestrations of a round: about a second or more, long enough for checkpoints and major collections to have their share. */
const COUNT = { full: 10_000, quick: 500 };
/** Before the first round: until then the hot paths of all threads are compiled. */
const WARM_UP = { full: 2_000, quick: 100 };
/** Samples of the event-loop delay are taken this often, and contain this wait. */
const DELAY_RESOLUTION_MS = 1;

type Round = {
  readonly elapsedMs: number;
  /** Not on every Node. */
  readonly mainCpuUs: number | null;
  readonly processCpuUs: number;
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly turns: number;
  readonly commits: number;
};

/**
 * Measures row W1.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureFanOut(task: RowTask): Promise<readonly RowResult[]> {
  const { rounds, quick, sync } = task.options;
  const count = quick ? COUNT.quick : COUNT.full;
  const warmUp = quick ? WARM_UP.quick : WARM_UP.full;
  const rawFile = join(task.folder, 'raw.db');
  const rawMs: number[] = [];
  const ours: Round[] = [];
  const raw = await RawCeiling.open(rawFile, sync);
  try {
    await withHost(task, async (host) => {
      raw.run(makeIds('warm', warmUp));
      await runOurs(host, makeIds('warm', warmUp));
      for (let round = 0; round < rounds; round += 1) {
        rawMs.push(runRaw(raw, makeIds(`raw${round}`, count)));
        ours.push(await runOurs(host, makeIds(`our${round}`, count)));
      }
      rawMs.push(runRaw(raw, makeIds(`raw${rounds}`, count)));
    });
  } finally {
    raw.close();
  }
  const stored = { raw: await readStoredFanOuts(rawFile, sync), ours: await readStoredFanOuts(join(task.folder, 'duraloom.db'), sync) };
  assertSame(stored, { raw: warmUp + count * (rounds + 1), ours: warmUp + count * rounds });
  return [{ row: 'W1', metrics: toMetrics(ours, rawMs, count), sizes: { orchestrations: count, activitiesEach: WIDTH } }];
}

function runRaw(raw: RawCeiling, instanceIds: readonly string[]): number {
  collectGarbage();
  return raw.run(instanceIds);
}

async function runOurs({ client, runtime, provider }: Host, instanceIds: readonly string[]): Promise<Round> {
  collectGarbage();
  const turnsBefore = runtime.stats().turnsCommitted;
  const commitsBefore = provider.commitStats.commits;
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  const processCpu = process.cpuUsage();
  const mainCpu = typeof process.threadCpuUsage === 'function' ? process.threadCpuUsage() : null;
  const startedMs = performance.now();
  const handles = await Promise.all(instanceIds.map((instanceId) => client.startOrchestration(instanceId, fanOut, WIDTH)));
  const results = await Promise.all(handles.map((handle) => handle.result()));
  const elapsedMs = performance.now() - startedMs;
  const mainUsed = mainCpu === null ? null : process.threadCpuUsage(mainCpu);
  const processUsed = process.cpuUsage(processCpu);
  delay.disable();
  const wrong = results.filter((result) => result !== WIDTH).length;
  if (wrong > 0) throw new TypeError(`${wrong} of ${results.length} orchestrations returned something else than ${WIDTH}`);
  return {
    elapsedMs,
    mainCpuUs: mainUsed === null ? null : mainUsed.user + mainUsed.system,
    processCpuUs: processUsed.user + processUsed.system,
    delayP50Ms: Math.max(0, delay.percentile(50) / 1e6 - DELAY_RESOLUTION_MS),
    delayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - DELAY_RESOLUTION_MS),
    turns: runtime.stats().turnsCommitted - turnsBefore,
    commits: provider.commitStats.commits - commitsBefore,
  };
}

function toMetrics(ours: readonly Round[], rawMs: readonly number[], count: number): readonly Metric[] {
  const perSecond = (elapsedMs: number): number => (count / elapsedMs) * 1_000;
  // F1.
  const ratios = ours.map(({ elapsedMs }, round) => ((rawMs[round] ?? Number.NaN) + (rawMs[round + 1] ?? Number.NaN)) / 2 / elapsedMs);
  const mainCpuUs = ours.flatMap((round) => (round.mainCpuUs === null ? [] : [round.mainCpuUs / count]));
  const metric = (field: string, label: string, unit: string, values: readonly number[]): Metric => ({ field, label, unit, values });
  const each = (pick: (round: Round) => number): readonly number[] => ours.map(pick);
  return [
    metric(
      'orchestrationsPerSecond',
      'fan-outs of 5 activities',
      'orchestrations/s',
      each(({ elapsedMs }) => perSecond(elapsedMs)),
    ),
    metric(
      'activitiesPerSecond',
      'their activities',
      'activities/s',
      each(({ elapsedMs }) => perSecond(elapsedMs) * WIDTH),
    ),
    metric('ceilingRatio', 'share of the raw ceiling', 'ratio', ratios),
    metric('rawOrchestrationsPerSecond', 'raw ceiling, baseline', 'orchestrations/s', rawMs.map(perSecond)),
    ...(mainCpuUs.length === 0 ? [] : [metric('mainCpuMicrosPerOrchestration', 'CPU of the main thread', 'µs/orchestration', mainCpuUs)]),
    metric(
      'processCpuMicrosPerOrchestration',
      'CPU of all threads',
      'µs/orchestration',
      each((round) => round.processCpuUs / count),
    ),
    metric(
      'eventLoopDelayP50Ms',
      'event-loop delay p50',
      'ms',
      each((round) => round.delayP50Ms),
    ),
    metric(
      'eventLoopDelayP99Ms',
      'event-loop delay p99',
      'ms',
      each((round) => round.delayP99Ms),
    ),
    metric(
      'turnsPerOrchestration',
      'turns',
      'turns/orchestration',
      each((round) => round.turns / count),
    ),
    metric(
      'orchestrationsPerCommit',
      'group commit',
      'orchestrations/commit',
      each((round) => count / round.commits),
    ),
  ];
}

/** F2. A difference means that raw-ceiling.ts no longer stands for what the runtime writes. */
function assertSame(
  stored: { readonly raw: StoredFanOuts; readonly ours: StoredFanOuts },
  counts: { readonly raw: number; readonly ours: number },
): void {
  for (const side of ['raw', 'ours'] as const) {
    const { completed, queued } = stored[side];
    if (completed !== counts[side] || queued !== 0) {
      throw new TypeError(
        `${side}: expected ${counts[side]} completed orchestrations and empty queues, got ${completed} and ${queued} rows`,
      );
    }
  }
  for (const what of ['events', 'eventChars'] as const) {
    const rawEach = stored.raw[what] / counts.raw;
    const oursEach = stored.ours[what] / counts.ours;
    if (Math.abs(rawEach / oursEach - 1) > 0.02) {
      throw new TypeError(
        `the ceiling writes other rows than the runtime: ${what} ${rawEach} against ${oursEach} an orchestration. Bring bench/raw-ceiling.ts in line`,
      );
    }
  }
}

/** Ids of equal length, so that both sides write equal keys. */
function makeIds(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `w1-${prefix}-${String(index).padStart(6, '0')}`);
}
