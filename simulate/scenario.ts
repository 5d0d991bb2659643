// What happens in the world of a seed: how many processes, how much trouble, which programs, and what the outside does to them.
// Neighbours: main.ts runs scenarios, pure-run.ts and steady.ts say what must come out.
import { defineActivity, type ActivityDefinition, type InstanceStatus } from 'duraloom';
import { MemoryProvider, type FaultRates, type SimulatedOutside, type SimulationOptions } from 'duraloom/testing';
import { SqliteProvider } from 'duraloom/sqlite';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { SeededRandom } from '../src/replay/random.ts';
import { answerActivity, PROGRAM, programOrchestrations, programs, type Program } from '../tests/support/programs.ts';
import { attributesAfter } from '../tests/support/replay-harness.ts';
import { runPurely, type Ending } from './pure-run.ts';
import { steady } from './steady.ts';

/** Where the worlds keep what they have. */
export type StoreName = 'memory' | 'sqlite';

/** Most programs of a world: small worlds find the same, and more of them are tried. */
const MAX_ROOTS = 3;
/** How often the outside looks whether everything has ended, before it says that something does not. */
const MAX_LOOKS = 120;
const LOOK_MS = { first: 200, most: 30_000 };

const EVENTS = ['go', 'stop'];
const TOPICS = ['orders/eu', 'orders/us', 'users'];

type Root = { readonly instanceId: string; readonly program: Program; readonly expected: Ending | null };

/**
 * Makes the world of a seed.
 *
 * @param seed - any whole number
 * @param store - where it is kept
 * @returns what to simulate
 */
export async function makeScenario(seed: number, store: StoreName): Promise<SimulationOptions> {
  const random = new SeededRandom(`scenario ${seed}`);
  const draw = (bound: number): number => random.nextUint32() % bound;
  const isSteady = draw(2) === 0;
  const roots: Root[] = [];
  for (const [index, program] of fc.sample(programs, { seed, numRuns: 1 + draw(MAX_ROOTS) }).entries()) {
    const instanceId = index === 0 ? 'root' : `root-${index}`;
    const chosen = isSteady ? steady(program) : program;
    roots.push({ instanceId, program: chosen, expected: isSteady ? await runPurely(instanceId, chosen) : null });
  }
  // A world without trouble now and then shows what is wrong without any.
  const forMs = [0, 1_000, 2_000, 4_000, 8_000, 30_000][draw(6)] ?? 0;
  const faults = [0, 0.5, 1, 3][draw(4)] ?? 0;
  return {
    seed,
    processes: 1 + draw(3),
    orchestrations: programOrchestrations,
    activities,
    workload: (outside) => new Workload(roots, outside, { isSteady }).run(),
    openStore: async (clock) => (store === 'memory' ? new MemoryProvider({ clock }) : await SqliteProvider.open(':memory:', { clock })),
    slowMs: [0, 50, 400, 1_500][draw(4)] ?? 0,
    activityMs: [0, 20, 400][draw(3)] ?? 0,
    faults: { rates: { any: ratesTimes(faults) }, maxDelayMs: [5, 100, 1_500][draw(3)] ?? 5 },
    troubles: {
      kinds: { crash: 3, stop: 1, replayThread: 2, activityThread: 2, pause: 3, disconnect: 1, clockJump: draw(2) },
      odds: [4, 10, 30][draw(3)] ?? 10,
      forMs,
      longestMs: [100, 1_500, 4_000][draw(3)] ?? 1_500,
    },
    runtime: { stickyCacheMb: draw(3) === 0 ? 0 : 1, turnsPerThread: 1 + draw(8), activitiesPerThread: 1 + draw(4), tags: 'any' },
  };
}

function ratesTimes(factor: number): FaultRates {
  const rates = {
    errorBefore: 0.01,
    errorAfter: 0.02,
    delay: 0.05,
    hang: 0.004,
    duplicate: 0.01,
    lockLost: 0.01,
    staleRead: 0.01,
    partial: 0.01,
    disconnect: 0.002,
  };
  return Object.fromEntries(Object.entries(rates).map(([kind, rate]) => [kind, rate * factor]));
}

/** What programs call: it answers by what stands in the input. */
const activities: readonly ActivityDefinition[] = ['Work', 'Charge', 'Flaky'].map((name) =>
  defineActivity(name, async (ctx, input: unknown) => {
    const answer = answerActivity({ name, input, attempt: ctx.attempt });
    if (answer.ok) return answer.value;
    ctx.heartbeat(answer.heartbeat);
    const { message, name: errorName, code, cause } = answer.failure;
    throw Object.assign(new Error(message, { cause: new Error(cause?.message) }), { name: errorName, code });
  }),
);

/** Is over for good. */
const ENDED: ReadonlySet<InstanceStatus> = new Set(['Completed', 'Failed', 'Cancelled', 'Terminated']);

/** What the outside does: starts the roots, raises and publishes what may be awaited, disturbs, and waits until everything has ended. */
class Workload {
  readonly #roots: readonly Root[];
  readonly #outside: SimulatedOutside;
  readonly #isSteady: boolean;
  #raised = 0;

  constructor(roots: readonly Root[], outside: SimulatedOutside, { isSteady }: { readonly isSteady: boolean }) {
    this.#roots = roots;
    this.#outside = outside;
    this.#isSteady = isSteady;
  }

  async run(): Promise<void> {
    const { sleep, random } = this.#outside;
    await Promise.all(
      this.#roots.map(async ({ instanceId, program }) => {
        await sleep(1 + Math.floor(random() * 300));
        await this.#insist((client) => client.startOrchestration(instanceId, PROGRAM, program, { onExisting: 'useExisting' }));
      }),
    );
    let pauseMs = LOOK_MS.first;
    for (let looks = 0; ; looks += 1) {
      await sleep(pauseMs);
      pauseMs = Math.min(pauseMs * 1.2, LOOK_MS.most);
      const { instances: states } = await this.#outside.client.listInstances({ limit: 1_000 });
      const living = states.filter(({ status }) => !ENDED.has(status));
      if (living.length === 0) break;
      if (looks > MAX_LOOKS) {
        throw new Error(`these do not end: ${living.map(({ instanceId, status }) => `${instanceId} (${status})`).join(', ')}`);
      }
      if (!this.#isSteady) await this.#feed(living.map(({ instanceId }) => instanceId));
    }
    await this.#checkAttributes();
    await this.#compare();
  }

  /** What instances are found by is what their histories say. */
  async #checkAttributes(): Promise<void> {
    const { client } = this.#outside;
    const { instances } = await client.listInstances({ limit: 1_000 });
    for (const { instanceId, attributes } of instances) {
      const history = await client.readHistory(instanceId);
      if (history.length > 0 && !isDeepStrictEqual(attributes, attributesAfter(history))) {
        throw new Error(`${instanceId} has the attributes ${JSON.stringify(attributes)}, not those of its history`);
      }
    }
  }

  /** Everything that somebody may wait for; now and then what nobody asked for. */
  async #feed(living: readonly string[]): Promise<void> {
    const { random } = this.#outside;
    this.#raised += 1;
    const data = this.#raised;
    for (const instanceId of living) {
      for (const name of EVENTS) await this.#insist((client) => client.raiseEvents([{ instanceId, name, data, key: `${name} ${data}` }]));
      if (random() < 0.02) await this.#tolerate(() => this.#outside.client.cancel(instanceId, 'enough'));
      if (random() < 0.01) await this.#tolerate(() => this.#outside.client.terminate(instanceId, 'enough'));
      if (random() < 0.02) await this.#tolerate(() => this.#outside.client.suspend(instanceId));
    }
    for (const instanceId of living) await this.#tolerate(() => this.#outside.client.resume(instanceId));
    for (const topic of TOPICS) await this.#insist((client) => client.publish(topic, data, { key: `${topic} ${data}` }));
  }

  /** The pure run of the same program came to the same end. */
  async #compare(): Promise<void> {
    for (const { instanceId, expected } of this.#roots) {
      if (expected === null) continue;
      const record = await this.#outside.client.getState(instanceId);
      const ended = record?.status === 'Completed' ? (JSON.stringify(record.result) ?? '') : (record?.error?.message ?? '');
      if (record?.status !== expected.status || withoutAttempts(ended) !== withoutAttempts(expected.text)) {
        throw new Error(`${instanceId} ended ${record?.status}: ${ended}; its pure run ${expected.status}: ${expected.text}`);
      }
    }
  }

  /** Repeats a call of the shaky client until it gets through. */
  async #insist(call: (client: SimulatedOutside['shakyClient']) => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await call(this.#outside.shakyClient);
        return;
      } catch (error) {
        const { code } = error as { readonly code?: unknown };
        if (code === 'INSTANCE_ENDED') return;
        if (code !== 'PROVIDER_FAILED' && code !== 'PROVIDER_TIMEOUT') throw error;
        await this.#outside.sleep(20);
      }
    }
  }

  /** The instance may have ended in the meantime, or not have begun. */
  async #tolerate(call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      if (code !== 'INSTANCE_ENDED' && code !== 'INSTANCE_NOT_FOUND') throw error;
    }
  }
}

/** Attempts that were lost with a process count, too: how many there were differs from world to world. */
function withoutAttempts(text: string): string {
  return text.replaceAll(/"lastAttempt":\d+/g, '');
}
