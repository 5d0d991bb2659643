// A runtime in this thread, in simulated time, on a store that fails where a test wants it to. Neighbour: store-trouble.test.ts.
import { Client, Runtime, type Provider, type RuntimeOptions } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { SimulatedClock } from 'duraloom/testing';
import { onTestFinished } from 'vitest';
import { LogBook } from '../support/integration-log.ts';

/** A method of a store that a test can get between. */
type Method = Exclude<keyof Provider, 'name' | 'isRemote' | 'close' | 'stats'>;

/** What happens instead of the calls of a runtime to its store. */
export type Around = {
  readonly [Name in Method]?: (call: Provider[Name], ...args: Parameters<Provider[Name]>) => ReturnType<Provider[Name]>;
};

/** The store as a runtime sees it. */
export function intercept(provider: Provider, around: Around): Provider {
  return new Proxy(provider, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
      const step = around[name as Method] as ((call: unknown, ...args: readonly unknown[]) => unknown) | undefined;
      return step === undefined ? call : (...args: readonly unknown[]): unknown => step(call, ...args);
    },
  });
}

/** Longest simulated time that a test waits, in milliseconds. */
const LIMIT_MS = 3_600_000;

/** A place where a runtime runs. */
export class TroubledStore {
  readonly clock: SimulatedClock = new SimulatedClock(Date.UTC(2030, 0, 1));
  readonly log: LogBook = new LogBook();
  /** The store without trouble. */
  readonly real: Provider = new MemoryProvider({ clock: this.clock });
  readonly client: Client = new Client(this.real, { clock: this.clock });

  /** Starts a runtime; it is shut down when the test is over. */
  async start(around: Around, options: Partial<RuntimeOptions>): Promise<Runtime> {
    const { clock, log: logger } = this;
    const inline = { clock, logger, replayThreads: 0, activityThreads: 0, retryBackoff: { initialMs: 100, maximumMs: 1_000 } };
    const runtime = await Runtime.start({ provider: intercept(this.real, around), ...inline, ...options });
    onTestFinished(() => this.pass(runtime.shutdown({ timeoutMs: 0 })));
    return runtime;
  }

  /** Lets simulated time pass until something has happened. */
  async pass<Value>(promise: Promise<Value>): Promise<Value> {
    const state = { isOver: false };
    const end = (): void => {
      state.isOver = true;
    };
    promise.then(end, end);
    await this.clock.advance(0);
    const startedMs = this.clock.monotonicMs();
    while (!state.isOver) {
      if (this.clock.monotonicMs() - startedMs > LIMIT_MS) throw new TypeError(`nothing happened within ${LIMIT_MS} ms`);
      if (!(await this.clock.runToNextTimer())) throw new TypeError('nothing will happen: no timer waits');
    }
    return await promise;
  }

  /** The result of an instance. */
  result<Output = unknown>(instanceId: string): Promise<Output> {
    return this.pass(this.client.waitForResult<Output>(instanceId));
  }

  /** Operations in which the store failed, as the runtime logged them. */
  troubles(): readonly unknown[] {
    return this.log.lines.flatMap(({ fields }) => ('operation' in fields ? [fields['operation']] : []));
  }
}
