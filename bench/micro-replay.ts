// Rows M1 to M3: what a replay thread does for one event, one turn, one history. No thread, no port, no store.
import { AsyncLocalStorage } from 'node:async_hooks';
import { parseMessage } from '../src/replay/message.ts';
import { ReplayEngine } from '../src/replay/replay-engine.ts';
import type { ReplayHost } from '../src/replay/replay-host.ts';
import type { Scope } from '../src/replay/scope.ts';
import { validateHistory } from '../src/replay/validate-history.ts';
import { replayHistory } from '../src/testing/replay-history.ts';
import { parseRecord } from '../src/types/codec.ts';
import type { History, ReplayResult } from '../src/types/replay.ts';
import type { RowTask } from './host.ts';
import { inMacrotask, measureMicro, synchronousDrain } from './micro.ts';
import { chain } from './orchestrations.ts';
import type { RowResult } from './result.ts';

/** Events, turns of one call: a call takes long against the timer. */
const ITEMS = 1_000;
/** Events of the history that is replayed. */
const HISTORY_EVENTS = 1_000;
/** Times as many events has the history that `replayHistory` gets: a chain of 10,000 activities. */
const EXPORTED = 20;
/** Steps of a chain that does not end while it is measured. */
const ENDLESS = 1_000_000;
const AT_MS = 1_764_000_000_000;

/**
 * Measures row M1: running the microtasks that one event set off.
 *
 * @param task - options
 * @returns one result for each case
 */
export async function measureDrain({ options }: RowTask): Promise<readonly RowResult[]> {
  const drain = await synchronousDrain();
  const waiter = makeWaiter();
  let count = 0;
  return measureMicro(
    {
      row: 'M1',
      field: 'microsPerEvent',
      unit: 'µs/event',
      cases: [
        {
          name: 'empty loop, baseline',
          items: ITEMS,
          run: () => {
            for (let event = 0; event < ITEMS; event += 1) count += 1;
          },
        },
        {
          name: 'nothing to drain, synchronous drain',
          items: ITEMS,
          run: () => {
            for (let event = 0; event < ITEMS; event += 1) drain();
          },
        },
        {
          name: 'one awaited promise, synchronous drain',
          items: ITEMS,
          run: () => {
            const before = waiter.resumed();
            for (let event = 0; event < ITEMS; event += 1) {
              waiter.wake();
              drain();
            }
            if (waiter.resumed() !== before + ITEMS) throw new TypeError('the drain did not run the microtasks of every event');
          },
        },
        {
          name: 'one awaited promise, drain by process.nextTick',
          items: ITEMS,
          runAsync: async () => {
            for (let event = 0; event < ITEMS; event += 1) {
              waiter.wake();
              await Promise.resolve();
              await new Promise<void>((resolve) => process.nextTick(resolve));
            }
          },
        },
      ],
    },
    options,
  );
}

/**
 * Measures row M2: rebuilding an instance from its history, as after a restart.
 *
 * @param task - options
 * @returns one result for each case
 */
export async function measureColdReplay({ options }: RowTask): Promise<readonly RowResult[]> {
  const drain = await synchronousDrain();
  const pages = await inMacrotask(() => makeHistory(drain, HISTORY_EVENTS));
  const exported = `[${(await inMacrotask(() => makeHistory(drain, EXPORTED * HISTORY_EVENTS))).map((page) => page.slice(1, -1)).join()}]`;
  const parse = (): unknown[] => pages.flatMap((page) => parseRecord(page) as unknown[]);
  const replay = (history: History): ReplayEngine => {
    const engine = new ReplayEngine('m2', HOST);
    runSteps(engine.replay(history), drain);
    return engine;
  };
  await inMacrotask(() => {
    const engine = replay(validateHistory(parse()));
    if (engine.lastEventId !== HISTORY_EVENTS || !engine.isUsable) throw new TypeError('the history did not replay to its end');
  });
  return measureMicro(
    {
      row: 'M2',
      field: 'microsPer1000Events',
      unit: 'µs/1,000 events',
      rate: { field: 'eventsPerSecond', unit: 'events/s', perItem: HISTORY_EVENTS },
      cases: [
        { name: 'JSON.parse of the pages, baseline', items: 1, run: () => void parse() },
        { name: 'parse and validate', items: 1, run: () => void validateHistory(parse()) },
        { name: 'parse, validate and replay', items: 1, run: () => void replay(validateHistory(parse())) },
        {
          name: `replayHistory of JSON text, ${EXPORTED},000 events`,
          items: EXPORTED,
          runAsync: () => replayHistory(exported, chain, { instanceId: 'm2' }),
        },
      ],
    },
    options,
  );
}

/**
 * Measures row M3: one completion of an activity arrives at a live engine, which schedules the next activity.
 *
 * @param task - options
 * @returns one result for each case
 */
export async function measureHotTurn({ options }: RowTask): Promise<readonly RowResult[]> {
  const drain = await synchronousDrain();
  const waiter = makeWaiter();
  const completions = Array.from({ length: ITEMS }, (_, index) => completion(scheduledId(index)));
  let engine = new ReplayEngine('m3', HOST);
  return measureMicro(
    {
      row: 'M3',
      field: 'microsPerTurn',
      unit: 'µs/turn',
      cases: [
        {
          name: 'await loop and drain without an engine, baseline',
          items: ITEMS,
          run: () => {
            for (let event = 0; event < ITEMS; event += 1) {
              waiter.wake();
              drain();
            }
          },
        },
        {
          name: 'parse the completion message',
          items: ITEMS,
          run: () => {
            for (const text of completions) parseMessage(text);
          },
        },
        {
          name: 'hot turn: parse, run, drain, record',
          items: ITEMS,
          prepare: () => {
            engine = startChain('m3', drain);
          },
          run: () => {
            for (const text of completions) {
              const result = turn(engine, text, drain);
              if (result.activities.length !== 1) throw new TypeError('the turn did not schedule the next activity');
            }
          },
        },
      ],
    },
    options,
  );
}

// --- engines without a thread ------------------------------------------------------------------------------------------------

/** Replay threads run user code in a storage of their own, too: it costs. */
const running = new AsyncLocalStorage<Scope>();

const HOST: ReplayHost = {
  find: () => chain,
  describeRegistered: () => 'chain',
  enter: (scope, run) => running.run(scope, run),
  currentScope: () => running.getStore(),
  noteCall: () => undefined,
  takeLog: () => null,
  reportFault: (_engine, failure) => {
    throw new TypeError(failure.message);
  },
};

/** Starts a chain and runs its first turn. Not inside a microtask. */
function startChain(instanceId: string, drain: () => void): ReplayEngine {
  const engine = new ReplayEngine(instanceId, HOST);
  turn(engine, startMessage(), drain);
  return engine;
}

/** Pages of a history, one for each turn, as the store has them. Not inside a microtask. */
function makeHistory(drain: () => void, events: number): readonly string[] {
  const engine = new ReplayEngine('m2', HOST);
  const pages = [turn(engine, startMessage(), drain).events];
  for (let step = 0; engine.lastEventId < events; step += 1) pages.push(turn(engine, completion(scheduledId(step)), drain).events);
  return pages;
}

function turn(engine: ReplayEngine, text: string, drain: () => void): ReplayResult {
  return runSteps(engine.turn({ nowMs: AT_MS, messages: [parseMessage(text)] }), drain);
}

function runSteps<Result>(steps: Generator<void, Result, void>, drain: () => void): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    drain();
  }
}

function startMessage(): string {
  return `{"kind":"OrchestrationStarted","executionId":1,"name":"chain","input":${ENDLESS}}`;
}

/** Event of the decision to run a step: after the start, decisions and completions take turns. */
function scheduledId(step: number): number {
  return 2 + 2 * step;
}

function completion(sourceId: number): string {
  return `{"kind":"ActivityCompleted","executionId":1,"sourceId":${sourceId},"result":${sourceId}.25}`;
}

/** An async function that awaits one promise after the other: what user code does, without an engine. */
function makeWaiter(): { readonly wake: () => void; readonly resumed: () => number } {
  let wake = (): void => undefined;
  let resumed = 0;
  const loop = async (): Promise<never> => {
    for (;;) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      resumed += 1;
    }
  };
  void loop();
  return { wake: () => wake(), resumed: () => resumed };
}
