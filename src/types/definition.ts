// What users write: orchestrations and activities as named values. Neighbour: context.ts (what their first argument offers).
import type { ActivityContext, OrchestrationContext } from './context.ts';
import { ArgumentError } from './errors.ts';
import { assertName, DEFAULT_VERSION } from './names.ts';

/** Code of an orchestration: deterministic, replayed from history. */
export type OrchestrationHandler<Input, Output> = (ctx: OrchestrationContext, input: Input) => Promise<Output> | Output;

/** Code of an activity: real work, at least once. */
export type ActivityHandler<Input, Output> = (ctx: ActivityContext, input: Input) => Promise<Output> | Output;

/** A named, versioned orchestration. Made by `defineOrchestration`. */
export type OrchestrationDefinition<Name extends string = string, Input = never, Output = unknown> = {
  readonly kind: 'orchestration';
  readonly name: Name;
  readonly version: string;
  readonly handler: OrchestrationHandler<Input, Output>;
};

/** A named activity. Made by `defineActivity`. */
export type ActivityDefinition<Name extends string = string, Input = never, Output = unknown> = {
  readonly kind: 'activity';
  readonly name: Name;
  readonly handler: ActivityHandler<Input, Output>;
};

/** Any definition. */
export type Definition = OrchestrationDefinition | ActivityDefinition;

/** Settings of an orchestration definition. */
export type OrchestrationSettings = {
  /** Version of this code, `major.minor.patch`. Running executions stay on theirs. @default '1.0.0' */
  readonly version?: string;
};

/**
 * Defines an orchestration. Put it into a module of its own that the replay threads load, and export it.
 *
 * @param name - name in the store; unique per version within a runtime
 * @param handler - the code; must be deterministic: time, randomness and I/O only through `ctx`
 * @param settings - version
 * @returns the definition
 * @throws {ArgumentError} for a bad name, handler or version
 */
export function defineOrchestration<Name extends string, Input = void, Output = unknown>(
  name: Name,
  handler: OrchestrationHandler<Input, Output>,
  settings: OrchestrationSettings = {},
): OrchestrationDefinition<Name, Input, Output> {
  assertName(name, 'orchestration name');
  assertHandler(name, handler);
  const version = settings.version ?? DEFAULT_VERSION;
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    throw new ArgumentError(`Expected version of orchestration '${name}' to be 'major.minor.patch', got '${version}'`);
  }
  return { kind: 'orchestration', name, version, handler };
}

/**
 * Defines an activity. Put it into a module that the activity threads load, and export it.
 *
 * @param name - name in the store; unique within a runtime
 * @param handler - the code; may do anything, may run more than once, its result is recorded once
 * @returns the definition
 * @throws {ArgumentError} for a bad name or handler
 */
export function defineActivity<Name extends string, Input = void, Output = unknown>(
  name: Name,
  handler: ActivityHandler<Input, Output>,
): ActivityDefinition<Name, Input, Output> {
  assertName(name, 'activity name');
  assertHandler(name, handler);
  return { kind: 'activity', name, handler };
}

function assertHandler(name: string, handler: unknown): void {
  if (typeof handler !== 'function') {
    throw new ArgumentError(`Expected the handler of '${name}' to be a function, got ${typeof handler}`);
  }
}
