// Generator orchestrations: `yield future` instead of `await future`. Neighbour: replay-engine.ts.
import { ArgumentError } from '../types/errors.ts';

/**
 * Tells whether a handler returned a generator.
 *
 * @param value - what it returned
 * @returns true for a generator object
 * @throws {ArgumentError} for an async generator
 */
export function isGenerator(value: unknown): value is Generator<unknown, unknown, unknown> {
  const tag: unknown = Object.prototype.toString.call(value);
  if (tag === '[object AsyncGenerator]') {
    throw new ArgumentError(
      'Expected the handler to be an async function or a generator function, got an async generator: nobody would run it',
    );
  }
  return tag === '[object Generator]';
}

/**
 * Runs a generator to its end: what it yields is awaited, an array as all of its members, and the outcome is given or thrown back.
 *
 * @param generator - the code of an orchestration
 * @returns what the generator returns
 */
export async function drive(generator: Generator<unknown, unknown, unknown>): Promise<unknown> {
  let step = generator.next();
  while (step.done !== true) {
    let value: unknown;
    try {
      value = await (Array.isArray(step.value) ? Promise.all(step.value) : step.value);
    } catch (error) {
      step = generator.throw(error);
      continue;
    }
    step = generator.next(value);
  }
  return step.value;
}
