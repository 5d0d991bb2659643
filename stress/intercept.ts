// A provider with something in between: before and after each call hooks may look, count, or end the process.
// Neighbours: host.ts dies with it, lease-watch.ts looks.
import type { Provider } from 'duraloom';

/** A method of a provider. */
export type Operation = Exclude<keyof Provider, 'name'>;

/** Where a host kills itself: around every write and hand-out of the store. */
export const POINTS: readonly [Operation, ...Operation[]] = [
  'startInstances',
  'enqueueMessages',
  'fetchOrchestrationItems',
  'ackOrchestrationItems',
  'fetchWorkItems',
  'ackWorkItems',
  'renewWorkLocks',
  'receiveSessionMessages',
];

/** One call, at one of its ends. */
export type Call = {
  readonly operation: Operation;
  readonly phase: 'before' | 'after';
  readonly args: readonly unknown[];
  /** When it began, on the monotonic clock, in milliseconds. */
  readonly startedMs: number;
  /** What it gave; undefined before. */
  readonly outcome: unknown;
};

/** What is called before each call begins, and after it took effect. */
export type Hook = (call: Call) => void;

/**
 * Puts hooks around every method.
 *
 * @param provider - the real one
 * @param hooks - called in this order
 * @returns the provider to use instead
 */
export function intercepted<Store extends Provider>(provider: Store, hooks: readonly Hook[]): Store {
  return new Proxy(provider, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      // Both are called outside of all work, and `stats` at once.
      if (name === 'close' || name === 'stats') return (): unknown => Reflect.apply(value, target, []);
      return async (...args: readonly unknown[]): Promise<unknown> => {
        const call = { operation: name as Operation, args, startedMs: performance.now() };
        for (const hook of hooks) hook({ ...call, phase: 'before', outcome: undefined });
        const outcome: unknown = await Reflect.apply(value, target, args);
        for (const hook of hooks) hook({ ...call, phase: 'after', outcome });
        return outcome;
      };
    },
  });
}
