// Deterministic simulation for users: whole runtimes on one store, in one thread, in virtual time, while everything fails. Neighbours: world.ts
// is one world; ../replay-history.ts follows its histories in the end.
//
// Z1. One simulation at a time in a process: it looks after unhandled rejections meanwhile.
import { setImmediate as nextEventLoopTurn } from 'node:timers/promises';
import type { Client } from '../../client/client.ts';
import type { RuntimeOptions } from '../../main/options.ts';
import { claimRejections } from '../../threads/rejections.ts';
import { isOrchestrationCode } from '../../threads/replay-loop.ts';
import { MemoryProvider } from '../../provider/memory/memory-provider.ts';
import type { Provider } from '../../provider/provider.ts';
import type { Clock } from '../../types/clock.ts';
import { decodePayload, encodePayload } from '../../types/codec.ts';
import type { ActivityDefinition, OrchestrationDefinition } from '../../types/definition.ts';
import { ArgumentError } from '../../types/errors.ts';
import type { InstanceRecord } from '../../types/instance.ts';
import type { FaultPlan } from '../fault-plan.ts';
import { recordedHistory } from '../recorded-history.ts';
import { replayRecorded } from '../replay-history.ts';
import { Replayer } from '../replayer.ts';
import type { ReadExecution } from './checks.ts';
import type { TroubleCounts, TroubleOptions } from './troubles.ts';
import { World, type WorldEnd } from './world.ts';

/** The outside of a simulated world: what the workload has. */
export type SimulatedOutside = {
  /** On a connection that never fails. */
  readonly client: Client;
  /** On a connection with the faults of the world: repeat what fails. */
  readonly shakyClient: Client;
  /** Time of the world. */
  readonly clock: Clock;
  /** Next number in [0, 1), drawn from the seed. */
  readonly random: () => number;
  /** Resolves when that much time of the world has passed, in milliseconds. */
  readonly sleep: (ms: number) => Promise<void>;
};

/** What is simulated. */
export type SimulationOptions = {
  /** Any whole number: equal seeds give equal worlds, as long as the code is the same. */
  readonly seed: number;
  readonly orchestrations: readonly OrchestrationDefinition[];
  /** They run in this thread and must not wait for anything real: the world would be at rest meanwhile. @default none */
  readonly activities?: readonly ActivityDefinition[];
  /**
   * What the outside does: starts orchestrations, raises events, checks results. When the world comes to rest and this has not resolved, it waits
   * for something that never happens: a violation. So is what it throws.
   */
  readonly workload: (outside: SimulatedOutside) => Promise<void>;
  /** Processes with a runtime, all on one store. @default 2 */
  readonly processes?: number;
  /** Opens the store on the world's clock. @default in memory */
  readonly openStore?: (clock: Clock) => Promise<Provider>;
  /** Faults of single store calls; see `faulty`. @default some of each kind */
  readonly faults?: Omit<FaultPlan, 'seed'>;
  /** Crashes, deaths of threads, pauses and the like. @default some of each kind for 10 s */
  readonly troubles?: TroubleOptions;
  /** Longest time that an activity takes, in milliseconds. @default 50 */
  readonly activityMs?: number;
  /** Longest time that a message waits for a slow thread, in milliseconds; which threads are slow is drawn. @default 100 */
  readonly slowMs?: number;
  /** Further options of the runtimes. Without: short leases, and attempts without limit, for here they are lost by intent. */
  readonly runtime?: Partial<RuntimeOptions>;
  /** Whether everything that happens is written down. @default false */
  readonly trace?: boolean;
  /** Time of day at the start, epoch milliseconds. @default the beginning of 2030 */
  readonly startMs?: number;
  /** Callbacks after which a world that does not come to rest is given up. @default 1,000,000 */
  readonly maxSteps?: number;
};

/** How a simulated world ended. */
export type SimulationReport = {
  readonly seed: number;
  /** What must not be, in words; empty: all is well. */
  readonly violations: readonly string[];
  /** All instances, as the store has them in the end. */
  readonly instances: readonly InstanceRecord[];
  /** All histories. */
  readonly executions: readonly ReadExecution[];
  /** How often which trouble came. */
  readonly troubles: TroubleCounts;
  /** Callbacks that ran. */
  readonly steps: number;
  /** Time that passed in the world, in milliseconds. */
  readonly simulatedMs: number;
  /** Everything that happened, a line each: time, who, what. Empty unless asked for. */
  readonly trace: string;
};

const START_MS = Date.UTC(2030, 0, 1);
const MAX_STEPS = 1_000_000;
const SHORT_LEASES: Partial<RuntimeOptions> = {
  orchestrationLockMs: 1_000,
  activityLockMs: 1_000,
  sessionLeaseMs: 1_000,
  storeTimeoutMs: 2_000,
  activityGraceMs: 500,
  retryBackoff: { initialMs: 20, maximumMs: 500 },
  maxAttempts: 1000,
};
/** In sum a fault hits every tenth call. */
const SOME_FAULTS: Omit<FaultPlan, 'seed'> = {
  rates: {
    any: {
      errorBefore: 0.01,
      errorAfter: 0.02,
      delay: 0.04,
      hang: 0.004,
      duplicate: 0.01,
      lockLost: 0.01,
      staleRead: 0.01,
      partial: 0.01,
      disconnect: 0.002,
    },
  },
};
const SOME_TROUBLES: TroubleOptions = {
  kinds: { crash: 3, stop: 1, replayThread: 2, activityThread: 2, pause: 2, disconnect: 1, clockJump: 0.5 },
  odds: 20,
  forMs: 10_000,
  longestMs: 2_000,
};

/**
 * Runs one world from a seed: runtimes that crash, threads that die, stores that fail, in virtual time and in an order that the seed draws. In
 * the end everything works again, and when nothing happens any more these things are checked: the workload has come to its end; nothing is
 * queued that nobody takes; no instance is quarantined; every history is well formed, is exactly what was committed, and is followed by the
 * code; every result of an activity is recorded once, was delivered for that activity, and the activity ran.
 *
 * @param options - the seed, the code, the workload
 * @returns what happened; it does not reject because of violations
 * @throws {ArgumentError} for options that cannot be used
 * @example
 * const { violations } = await simulate({ seed: 1, orchestrations: [checkout], activities: [charge], workload: async ({ client }) => {
 *   const handle = await client.startOrchestration('order-1', checkout, { cents: 100 });
 *   assert.equal((await handle.result()).paid, true);
 * } });
 * assert.deepEqual(violations, []);
 */
export function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const report = last.then(() => simulateAlone(options));
  last = report.catch(() => undefined);
  return report;
}

/** Z1. */
let last: Promise<unknown> = Promise.resolve();

async function simulateAlone(given: SimulationOptions): Promise<SimulationReport> {
  const options = resolveOptions(given);
  const violations: string[] = [];
  const restore = claimRejections((reason) => {
    // Those are the business of their instance.
    if (isOrchestrationCode()) return false;
    violations.push(`a rejection was not handled: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`);
    return true;
  });
  let end: WorldEnd;
  try {
    end = await new World(options).run();
    violations.push(...end.violations, ...(await followHistories(options.orchestrations, end)));
  } finally {
    // Rejections of the last engines come when everything else has run.
    await nextEventLoopTurn();
    restore();
  }
  const { instances, executions, troubles, steps, elapsedMs, trace } = end;
  return { seed: options.seed, violations, instances, executions, troubles, steps, simulatedMs: elapsedMs, trace: trace.join('\n') };
}

function resolveOptions(options: SimulationOptions): Required<SimulationOptions> {
  const { seed, processes = 2, orchestrations, workload } = options;
  if (!Number.isSafeInteger(seed)) throw new ArgumentError(`Expected \`seed\` to be a whole number, got ${String(seed)}`);
  if (!Number.isSafeInteger(processes) || processes < 1) {
    throw new ArgumentError(`Expected \`processes\` to be a whole number from 1, got ${String(processes)}`);
  }
  if (!Array.isArray(orchestrations) || orchestrations.length === 0) {
    throw new ArgumentError('Expected `orchestrations` to list at least one definition: modules cannot be simulated, import them');
  }
  if (typeof workload !== 'function') throw new ArgumentError(`Expected \`workload\` to be a function, got ${typeof workload}`);
  return {
    activities: [],
    openStore: async (clock) => new MemoryProvider({ clock }),
    faults: SOME_FAULTS,
    troubles: SOME_TROUBLES,
    activityMs: 50,
    slowMs: 100,
    trace: false,
    startMs: START_MS,
    maxSteps: MAX_STEPS,
    ...options,
    processes,
    runtime: { ...SHORT_LEASES, ...options.runtime },
  };
}

/** The code follows every history from its first event to its last, and comes to the result that the store has. */
async function followHistories(
  orchestrations: readonly OrchestrationDefinition[],
  { instances, executions }: WorldEnd,
): Promise<readonly string[]> {
  const violations: string[] = [];
  const replayer = await Replayer.open(orchestrations);
  try {
    for (const { instanceId, status, output } of instances) {
      const own = executions.filter((execution) => execution.instanceId === instanceId);
      if (own.length === 0) continue;
      try {
        const { outcome } = await replayRecorded(replayer, recordedHistory(instanceId, own));
        if (status !== 'Completed') continue;
        const result = outcome.kind === 'completed' ? encodePayload(outcome.result, 'result') : undefined;
        if (outcome.kind !== 'completed' || result !== encodePayload(decodePayload(output ?? undefined), 'result')) {
          violations.push(`${instanceId} is stored with the result ${String(output)}, its history gives ${outcome.kind} ${String(result)}`);
        }
      } catch (error) {
        violations.push(`${instanceId} cannot be replayed: ${String(error)}`);
      }
    }
  } finally {
    replayer.close();
  }
  return violations;
}
