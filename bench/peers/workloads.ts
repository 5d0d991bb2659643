// The workloads: what is run, how much of it, and what is reported. The same for every runtime. Neighbours: driver.ts is what they run on,
// measure-process.ts runs one of them.
//
// L1. Before measuring, the same work runs under other ids until the hot paths are compiled: for a time, not a number, so that a slow runtime
//     is not kept waiting and a fast one is warm, too.
// L2. Instances are started by a fixed number of callers at once (knob `starters`). All have the same number of characters in their ids.
import type { Driver, Input, Kind } from './driver.ts';
import { loopsPerMs } from './work.ts';

/** One reported number. */
export type Field = {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  /** Which of two numbers is the faster. */
  readonly better: 'higher' | 'lower';
};

/** What a workload needs. */
export type Work = { readonly driver: Driver; readonly size: number; readonly starters: number; readonly quick: boolean };

/** A workload. */
export type Workload = {
  readonly name: string;
  readonly title: string;
  /** What its size counts. */
  readonly counts: string;
  /** Sizes of a full and a quick run; slow runtimes have smaller ones in peers.ts. */
  readonly size: { readonly full: number; readonly quick: number };
  readonly fields: readonly Field[];
  readonly run: (work: Work) => Promise<Readonly<Record<string, number>>>;
};

/** Activities of a fan-out. */
const WIDTH = 5;
/** L1. */
const WARM_UP_MS = { full: 700, quick: 50 };
const WARM_UP_WAVE = 32;
/** Steps of the shorter chains of W2, and of those of W2c. */
const SHORT_CHAIN = 10;
const MIDDLE_CHAIN = 100;
/** W1d: how long an activity waits; W5: how long it keeps a core busy. */
const DELAY_MS = 10;
const BUSY_MS = 10;

const NOTHING: Input = { width: 0, delayMs: 0, loops: 0, steps: 0 };
const TRIVIAL: Input = { ...NOTHING, width: WIDTH };

/** The workloads in the order in which they run. */
export const WORKLOADS: readonly Workload[] = [
  {
    name: 'W1',
    title: 'fan-outs of 5 trivial activities',
    counts: 'orchestrations',
    size: { full: 6_000, quick: 100 },
    fields: [{ name: 'perSecond', label: 'fan-outs of 5 trivial activities', unit: 'orchestrations/s', better: 'higher' }],
    run: (work) => runFanOuts(work, TRIVIAL),
  },
  {
    name: 'W1d',
    title: 'the same with activities that wait for 10 ms',
    counts: 'orchestrations',
    size: { full: 3_000, quick: 60 },
    fields: [{ name: 'perSecond', label: 'the same, activities wait for 10 ms', unit: 'orchestrations/s', better: 'higher' }],
    run: (work) => runFanOuts(work, { ...TRIVIAL, delayMs: DELAY_MS }),
  },
  {
    name: 'W2',
    title: 'chains of 10, 100 and 1,000 activities, one at a time',
    counts: 'steps of the longest',
    size: { full: 1_000, quick: 120 },
    fields: [
      { name: 'msPerStep10', label: 'chain of 10 activities', unit: 'ms/step', better: 'lower' },
      { name: 'msPerStep100', label: 'chain of 100 activities', unit: 'ms/step', better: 'lower' },
      { name: 'msPerStepLong', label: 'chain of 1,000 activities', unit: 'ms/step', better: 'lower' },
    ],
    run: runChains,
  },
  {
    name: 'W2c',
    title: '200 chains of 10 at once',
    counts: 'chains',
    size: { full: 200, quick: 20 },
    fields: [{ name: 'perSecond', label: '200 chains of 10 at once', unit: 'chains/s', better: 'higher' }],
    run: runManyChains,
  },
  {
    name: 'W3',
    title: 'idle latency: start to result, one activity',
    counts: 'samples',
    size: { full: 200, quick: 10 },
    fields: [
      { name: 'p50Ms', label: 'idle, start to result, p50', unit: 'ms', better: 'lower' },
      { name: 'p99Ms', label: 'idle, start to result, p99', unit: 'ms', better: 'lower' },
    ],
    run: runOneByOne,
  },
  {
    name: 'W4',
    title: 'instances that wait for an event, all woken',
    counts: 'instances',
    size: { full: 10_000, quick: 100 },
    fields: [{ name: 'wakesPerSecond', label: 'waiting for an event, all woken', unit: 'instances/s', better: 'higher' }],
    run: runWaiting,
  },
  {
    name: 'W5',
    title: '200 activities of 10 ms of CPU, as 40 fan-outs',
    counts: 'orchestrations',
    size: { full: 40, quick: 4 },
    fields: [{ name: 'elapsedMs', label: '200 activities of 10 ms of CPU', unit: 'ms', better: 'lower' }],
    run: runBusy,
  },
  {
    name: 'W6',
    title: 'starts, without waiting',
    counts: 'starts',
    size: { full: 5_000, quick: 100 },
    fields: [{ name: 'perSecond', label: 'starts', unit: 'starts/s', better: 'higher' }],
    run: runStarts,
  },
];

async function runFanOuts(work: Work, input: Input): Promise<{ readonly perSecond: number }> {
  const group = new Group(work);
  await group.warmUp('fan', input);
  return { perSecond: perSecond(work.size, await group.run('fan', input, work.size)) };
}

async function runChains(work: Work): Promise<Readonly<Record<string, number>>> {
  const group = new Group(work);
  await group.warmUp('chain', { ...NOTHING, steps: SHORT_CHAIN });
  const msPerStep = async (steps: number): Promise<number> => (await group.run('chain', { ...NOTHING, steps }, 1)) / steps;
  return {
    msPerStep10: await msPerStep(SHORT_CHAIN),
    msPerStep100: await msPerStep(MIDDLE_CHAIN),
    msPerStepLong: await msPerStep(work.size),
  };
}

async function runManyChains(work: Work): Promise<{ readonly perSecond: number }> {
  const group = new Group(work);
  const input = { ...NOTHING, steps: SHORT_CHAIN };
  await group.warmUp('chain', input);
  return { perSecond: perSecond(work.size, await group.run('chain', input, work.size)) };
}

async function runOneByOne(work: Work): Promise<{ readonly p50Ms: number; readonly p99Ms: number }> {
  const group = new Group(work);
  const input = { ...TRIVIAL, width: 1 };
  await group.warmUp('fan', input);
  const latenciesMs: number[] = [];
  for (let sample = 0; sample < work.size; sample += 1) {
    const startedMs = performance.now();
    const [handle] = await group.start('fan', input, 1);
    const result = await work.driver.result(handle);
    latenciesMs.push(performance.now() - startedMs);
    if (result !== 1) throw new TypeError(`expected the result 1, got ${String(result)}`);
  }
  latenciesMs.sort((left, right) => left - right);
  const quantile = (fraction: number): number => latenciesMs[Math.max(0, Math.ceil(latenciesMs.length * fraction) - 1)] ?? Number.NaN;
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

async function runWaiting(work: Work): Promise<{ readonly wakesPerSecond: number }> {
  const group = new Group(work);
  await group.warmUp('fan', TRIVIAL);
  const first = group.started;
  const handles = await group.start('wait', NOTHING, work.size);
  await work.driver.untilWaiting(work.size);
  const startedMs = performance.now();
  await inParallel(work.starters, work.size, (index) => work.driver.raise(handles[index], idOf(first + index)));
  await work.driver.untilCompleted(handles, group.started);
  return { wakesPerSecond: perSecond(work.size, performance.now() - startedMs) };
}

async function runBusy(work: Work): Promise<{ readonly elapsedMs: number }> {
  const group = new Group(work);
  const loops = Math.round(loopsPerMs() * BUSY_MS);
  // Less than a millisecond each: the loop is compiled, in all threads, and the rest is warm.
  await group.warmUp('fan', { ...TRIVIAL, loops: Math.ceil(loops / BUSY_MS / 4) });
  return { elapsedMs: await group.run('fan', { ...TRIVIAL, loops }, work.size) };
}

async function runStarts(work: Work): Promise<{ readonly perSecond: number }> {
  const group = new Group(work);
  const input = { ...TRIVIAL, width: 1 };
  await group.warmUp('fan', input);
  const startedMs = performance.now();
  await group.start('fan', input, work.size);
  return { perSecond: perSecond(work.size, performance.now() - startedMs) };
}

/** Starts instances under ids of their own, and checks that their activities have run. */
class Group {
  readonly #work: Work;
  #started = 0;

  constructor(work: Work) {
    this.#work = work;
  }

  /** Instances started so far, by which they are numbered. */
  get started(): number {
    return this.#started;
  }

  async start(kind: Kind, input: Input, count: number): Promise<readonly unknown[]> {
    const { driver, starters } = this.#work;
    const first = this.#started;
    this.#started += count;
    const handles = Array.from<unknown>({ length: count });
    await inParallel(starters, count, async (index) => {
      handles[index] = await driver.start(kind, idOf(first + index), input);
    });
    return handles;
  }

  /** Runs instances to their end; returns how long that took, in milliseconds. */
  async run(kind: Kind, input: Input, count: number): Promise<number> {
    const { driver } = this.#work;
    globalThis.gc?.();
    const before = driver.activitiesRun();
    const startedMs = performance.now();
    const handles = await this.start(kind, input, count);
    await driver.untilCompleted(handles, this.#started);
    const elapsedMs = performance.now() - startedMs;
    const after = driver.activitiesRun();
    const expected = count * (kind === 'chain' ? input.steps : input.width);
    if (before !== null && after !== null && after - before < expected) {
      throw new TypeError(`expected ${expected} activities to run, saw ${after - before}`);
    }
    return elapsedMs;
  }

  /** L1. */
  async warmUp(kind: Kind, input: Input): Promise<void> {
    const { quick, starters } = this.#work;
    const untilMs = performance.now() + (quick ? WARM_UP_MS.quick : WARM_UP_MS.full);
    do await this.run(kind, input, Math.min(starters, WARM_UP_WAVE));
    while (performance.now() < untilMs);
  }
}

function idOf(number: number): string {
  return `i-${String(number).padStart(7, '0')}`;
}

function perSecond(count: number, elapsedMs: number): number {
  return (count / elapsedMs) * 1_000;
}

async function inParallel(width: number, count: number, run: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      await run(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, caller));
}
