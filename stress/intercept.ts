// A provider with something in between: before and after each call a hook may throw, wait, count, or end the process.
// Neighbours: host.ts dies and counts with it, modes/faults.ts makes the store fail.
import type { Provider } from 'duraloom';

/** A method of a provider. */
export type Operation = Exclude<keyof Provider, 'name'>;

/**
 * What is called around each call.
 *
 * @param operation - which method
 * @param phase - before it begins, or after it took effect
 * @param outcome - what it gave; undefined before
 */
export type Hook = (operation: Operation, phase: 'before' | 'after', outcome: unknown) => void | Promise<void>;

/**
 * Puts a hook around every method.
 *
 * @param provider - the real one
 * @param hook - what it throws is what the caller gets
 * @returns the provider to use instead
 */
export function intercepted<Store extends Provider>(provider: Store, hook: Hook): Store {
  return new Proxy(provider, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name === 'close') return (): unknown => Reflect.apply(value, target, []);
      const operation = name as Operation;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        await hook(operation, 'before', undefined);
        const outcome: unknown = await Reflect.apply(value, target, args);
        await hook(operation, 'after', outcome);
        return outcome;
      };
    },
  });
}
