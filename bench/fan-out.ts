// Rows W1 and W1d: throughput. Many fan-outs of five activities, all started, then awaited; W1 beside the raw ceiling of the same machine.
//
// F1. Rounds are interleaved: raw, ours, raw, ours, …, raw. A round of ours is compared with the mean of the raw rounds around it, so that
//     a machine that gets slower or faster during the run changes both sides alike.
// F2. Both sides keep their file over all rounds, so both grow alike. At the end both files must hold the same events.
import { join } from 'node:path';
import { ACTIVITY_MS } from './durations.ts';
import { assertResults, collectGarbage, DATABASE, withHost, type Host, type RowTask } from './host.ts';
import { measureLoad, metric, toCpuMetrics, toDelayMetrics, type Load } from './load.ts';
import { pickSize } from './options.ts';
import { fanOut, napFanOut } from './orchestrations.ts';
import { RawCeiling, readStoredFanOuts, WIDTH, type StoredFanOuts } from './raw-ceiling.ts';
import type { Metric, RowResult } from './result.ts';

/** Orchestrations of a round: about a second or more, long enough for checkpoints and major collections to have their share. */
const COUNT = { full: 10_000, quick: 500 };
/** Before the first round: until then the hot paths of all threads are compiled. */
const WARM_UP = { full: 2_000, quick: 100 };

type Round = { readonly load: Load; readonly turns: number; readonly commits: number | null; readonly roundTrips: number | null };

/**
 * Measures row W1.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureFanOut(task: RowTask): Promise<readonly RowResult[]> {
  const { rounds, sync, store } = task.options;
  const count = pickSize(task.options, COUNT);
  const warmUp = pickSize(task.options, WARM_UP);
  const rawFile = join(task.folder, 'raw.db');
  const rawMs: number[] = [];
  const ours: Round[] = [];
  // The ceiling is that of a file: in memory there is none that would mean something.
  const raw = store === 'file' ? await RawCeiling.open(rawFile, sync) : null;
  const runRaw = (prefix: string): void => {
    if (raw === null) return;
    collectGarbage();
    rawMs.push(raw.run(makeIds(prefix, count)));
  };
  try {
    await withHost(task, async (host) => {
      raw?.run(makeIds('warm', warmUp));
      await runOurs(host, fanOut, makeIds('warm', warmUp));
      for (let round = 0; round < rounds; round += 1) {
        runRaw(`raw${round}`);
        collectGarbage();
        ours.push(await task.measured(count, () => runOurs(host, fanOut, makeIds(`our${round}`, count))));
      }
      runRaw(`raw${rounds}`);
    });
  } finally {
    raw?.close();
  }
  if (store === 'file') {
    const stored = { raw: await readStoredFanOuts(rawFile, sync), ours: await readStoredFanOuts(join(task.folder, DATABASE), sync) };
    assertSame(stored, { raw: warmUp + count * (rounds + 1), ours: warmUp + count * rounds });
  }
  const sizes = { orchestrations: count, activitiesEach: WIDTH };
  return [{ row: 'W1', metrics: toMetrics(ours, count, toCeilingMetrics(ours, rawMs, count)), sizes }];
}

/**
 * Measures row W1d: the same with activities that wait. There is no ceiling: what bounds it is how many activities may wait at once.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureNapFanOut(task: RowTask): Promise<readonly RowResult[]> {
  const count = pickSize(task.options, COUNT);
  const rounds: Round[] = [];
  await withHost(task, async (host) => {
    await runOurs(host, napFanOut, makeIds('warm', pickSize(task.options, WARM_UP)));
    for (let round = 0; round < task.options.rounds; round += 1) {
      collectGarbage();
      rounds.push(await task.measured(count, () => runOurs(host, napFanOut, makeIds(`our${round}`, count))));
    }
  });
  return [
    { row: 'W1d', metrics: toMetrics(rounds, count, []), sizes: { orchestrations: count, activitiesEach: WIDTH, activityMs: ACTIVITY_MS } },
  ];
}

async function runOurs(
  { client, runtime, commits, roundTrips }: Host,
  orchestration: typeof fanOut | typeof napFanOut,
  instanceIds: readonly string[],
): Promise<Round> {
  const turnsBefore = runtime.stats().turnsCommitted;
  const [commitsBefore, tripsBefore] = [commits(), roundTrips()];
  const { result: results, load } = await measureLoad(async () => {
    // Either name: the types of both are the same but for it.
    const handles = await Promise.all(
      instanceIds.map((instanceId) => client.startOrchestration<number>(instanceId, orchestration.name, WIDTH)),
    );
    return Promise.all(handles.map((handle) => handle.result()));
  });
  assertResults(results, () => WIDTH);
  const since = (before: number | null, now: number | null): number | null => (before === null || now === null ? null : now - before);
  return {
    load,
    turns: runtime.stats().turnsCommitted - turnsBefore,
    commits: since(commitsBefore, commits()),
    roundTrips: since(tripsBefore, roundTrips()),
  };
}

function toMetrics(rounds: readonly Round[], count: number, besideRate: readonly Metric[]): readonly Metric[] {
  const loads = rounds.map(({ load }) => load);
  const rates = loads.map(({ elapsedMs }) => (count / elapsedMs) * 1_000);
  const perCommit = rounds.flatMap(({ commits, roundTrips }) => (commits === null || roundTrips !== null ? [] : [count / commits]));
  return [
    metric('orchestrationsPerSecond', 'fan-outs of 5 activities', 'orchestrations/s', rates),
    metric(
      'activitiesPerSecond',
      'their activities',
      'activities/s',
      rates.map((rate) => rate * WIDTH),
    ),
    ...besideRate,
    ...toCpuMetrics(loads, count),
    ...toDelayMetrics(loads),
    metric(
      'turnsPerOrchestration',
      'turns',
      'turns/orchestration',
      rounds.map(({ turns }) => turns / count),
    ),
    ...toServerMetrics(rounds, count),
    ...(perCommit.length === 0 ? [] : [metric('orchestrationsPerCommit', 'group commit', 'orchestrations/commit', perCommit)]),
  ];
}

/** What goes to a server, without the notices to other runtimes. */
function toServerMetrics(rounds: readonly Round[], count: number): readonly Metric[] {
  const perOrchestration = (read: (round: Round) => number | null): readonly number[] =>
    rounds.flatMap((round) => (round.roundTrips === null ? [] : [(read(round) ?? Number.NaN) / count]));
  const trips = perOrchestration(({ roundTrips }) => roundTrips);
  if (trips.length === 0) return [];
  const statements = perOrchestration(({ commits }) => commits);
  return [
    metric('statementsPerOrchestration', 'statements', 'statements/orchestration', statements),
    metric('roundTripsPerOrchestration', 'round trips, with what was run again', 'round trips/orch.', trips),
  ];
}

/** F1. */
function toCeilingMetrics(ours: readonly Round[], rawMs: readonly number[], count: number): readonly Metric[] {
  if (rawMs.length === 0) return [];
  const ratios = ours.map(({ load }, round) => ((rawMs[round] ?? Number.NaN) + (rawMs[round + 1] ?? Number.NaN)) / 2 / load.elapsedMs);
  const rates = rawMs.map((elapsedMs) => (count / elapsedMs) * 1_000);
  return [
    metric('ceilingRatio', 'share of the raw ceiling', 'ratio', ratios),
    metric('rawOrchestrationsPerSecond', 'raw ceiling, baseline', 'orchestrations/s', rates),
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
