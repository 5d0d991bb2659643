// What users write: orchestrations and activities as named values. Neighbour: context.ts (what their first argument offers).
import type { ActivityContext, OrchestrationContext } from './context.ts';
import { hasMethods, readOptions, type FieldNames } from './arguments.ts';
import { ArgumentError } from './errors.ts';
import { assertName, DEFAULT_VERSION } from './names.ts';
import type { StandardSchema } from './schema.ts';
import { show } from './show.ts';
import type { TransactionSource } from './transaction.ts';

/**
 * Code of an orchestration: deterministic, replayed from history. An `async` function, or a generator function that yields durable futures:
 * `yield future` gives its result, as `await future` would.
 */
export type OrchestrationHandler<Input, Output> = (
  ctx: OrchestrationContext,
  input: Input,
) => Promise<Output> | Output | Generator<unknown, Output>;

/** Code of an activity: real work, at least once. */
export type ActivityHandler<Input, Output> = (ctx: ActivityContext, input: Input) => Promise<Output> | Output;

/** A named, versioned orchestration. Made by `defineOrchestration`. */
export type OrchestrationDefinition<Name extends string = string, Input = never, Output = unknown> = {
  readonly kind: 'orchestration';
  readonly name: Name;
  readonly version: string;
  readonly handler: OrchestrationHandler<Input, Output>;
  readonly schemas: OrchestrationSchemas;
  /** Put before the names that its code uses, when it comes from a package that was registered with one; see `withPrefix`. */
  readonly prefix?: string;
};

/** A named activity. Made by `defineActivity`. */
export type ActivityDefinition<Name extends string = string, Input = never, Output = unknown> = {
  readonly kind: 'activity';
  readonly name: Name;
  /** Of a transactional activity: for a direct call, such as in a test. It commits what the code writes, and records nothing. */
  readonly handler: ActivityHandler<Input, Output>;
  readonly schemas: ActivitySchemas;
  /** Made by `defineTransactionalActivity`: runtimes run this instead of the handler. */
  readonly transaction?: ActivityTransaction;
};

/** What a transactional activity runs in its transaction. */
export type ActivityTransaction = {
  readonly source: TransactionSource<never>;
  readonly handler: (tx: never, input: never, ctx: ActivityContext) => unknown;
};

/** Any definition. */
export type Definition = OrchestrationDefinition | ActivityDefinition;

/** Schemas of an activity: any Standard Schema, such as zod's or valibot's. What does not fit fails the activity with `SCHEMA_MISMATCH`. */
export type ActivitySchemas = {
  readonly input?: StandardSchema;
  readonly output?: StandardSchema;
};

/**
 * Schemas of an orchestration; synchronous ones. An input or output that does not fit fails the orchestration with `SCHEMA_MISMATCH`; an event
 * that does not fit rejects the future that waited for it.
 */
export type OrchestrationSchemas = ActivitySchemas & {
  /** By the name of the event. */
  readonly events?: Readonly<Record<string, StandardSchema>>;
};

/** Settings of an orchestration definition. */
export type OrchestrationSettings = OrchestrationSchemas & {
  /** Version of this code, `major.minor.patch`. Running executions stay on theirs. @default '1.0.0' */
  readonly version?: string;
};

/**
 * Defines an orchestration. Put it into a module of its own that the replay threads load, and export it.
 *
 * @param name - name in the store; unique per version within a runtime
 * @param handler - the code; must be deterministic: time, randomness and I/O only through `ctx`
 * @param settings - version, and schemas of input, output and events
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
  const schemas = readOptions(settings, `the settings of orchestration '${name}'`, ORCHESTRATION_SETTINGS);
  const { version = DEFAULT_VERSION, input, output, events } = schemas;
  if (typeof version !== 'string' || !/^\d+\.\d+\.\d+$/.test(version)) {
    throw new ArgumentError(`Expected version of orchestration '${name}' to be 'major.minor.patch', got ${show(version)}`);
  }
  for (const schema of [input, output]) assertSchema(name, schema);
  if (events !== undefined) assertEvents(name, events);
  return { kind: 'orchestration', name, version, handler, schemas };
}

/**
 * Defines an activity. Put it into a module that the activity threads load, and export it.
 *
 * @param name - name in the store; unique within a runtime
 * @param handler - the code; may do anything, may run more than once, its result is recorded once
 * @param schemas - schemas of input and output
 * @returns the definition
 * @throws {ArgumentError} for a bad name or handler
 */
export function defineActivity<Name extends string, Input = void, Output = unknown>(
  name: Name,
  handler: ActivityHandler<Input, Output>,
  schemas: ActivitySchemas = {},
): ActivityDefinition<Name, Input, Output> {
  assertName(name, 'activity name');
  assertHandler(name, handler);
  const given = readOptions(schemas, `the schemas of activity '${name}'`, ACTIVITY_SCHEMAS);
  for (const schema of [given.input, given.output]) assertSchema(name, schema);
  return { kind: 'activity', name, handler, schemas: given };
}

/**
 * Defines an activity whose writes and whose end are one transaction: the rows that its code writes are committed exactly once, with its result
 * or not at all. Attempts that fail, lose their lease or are cancelled leave nothing. For orchestrations it is an activity like any other.
 *
 * @param name - name in the store; unique within a runtime
 * @param source - transactions on the database of the runtime's store, such as `sqliteSource(file)` of `duraloom/sqlite`, or
 *   `postgresSource(options)` of `duraloom/postgres`
 * @param handler - the code; writes through `tx` only, as nothing else is taken back. Must not commit or roll back itself: it throws to roll back.
 *   Synchronous where the source is
 * @param schemas - schemas of input and output; that of the output is synchronous where the source is
 * @returns the definition
 * @throws {ArgumentError} for a bad name, source or handler
 */
export function defineTransactionalActivity<Name extends string, Tx, Input = void, Output = unknown>(
  name: Name,
  source: TransactionSource<Tx, 'sync'>,
  handler: (tx: Tx, input: Input, ctx: ActivityContext) => Output,
  schemas?: ActivitySchemas,
): ActivityDefinition<Name, Input, Output>;
export function defineTransactionalActivity<Name extends string, Tx, Input = void, Output = unknown>(
  name: Name,
  source: TransactionSource<Tx, 'async'>,
  handler: (tx: Tx, input: Input, ctx: ActivityContext) => Promise<Output> | Output,
  schemas?: ActivitySchemas,
): ActivityDefinition<Name, Input, Output>;
export function defineTransactionalActivity<Name extends string, Tx, Input, Output>(
  name: Name,
  source: TransactionSource<Tx>,
  handler: (tx: Tx, input: Input, ctx: ActivityContext) => Promise<Output> | Output,
  schemas: ActivitySchemas = {},
): ActivityDefinition<Name, Input, Output> {
  assertHandler(name, handler);
  const transaction = readTransaction(name, { source, handler });
  const alone: ActivityHandler<Input, Output> = async (ctx, input) => {
    let output: unknown;
    const keep = (value: unknown): null => {
      output = value;
      return null;
    };
    await source.transact({
      signal: ctx.signal,
      run: (tx) => {
        const returned = handler(tx, input, ctx);
        return returned instanceof Promise ? returned.then(keep) : keep(returned);
      },
    });
    return output as Output;
  };
  return { ...defineActivity(name, alone, schemas), transaction };
}

/**
 * Checks the transaction of a definition.
 *
 * @param name - of the activity
 * @param given - source and code
 * @returns both, read once
 * @throws {ArgumentError} when one of them is none
 */
export function readTransaction(name: string, given: ActivityTransaction): ActivityTransaction {
  const { source, handler } = readOptions(given, `the transaction of activity '${name}'`, { source: true, handler: true });
  assertHandler(name, handler);
  if (source !== undefined && hasMethods(source, ['transact', 'close']) && (source.mode === 'sync' || source.mode === 'async')) {
    return { source, handler: handler as ActivityTransaction['handler'] };
  }
  throw new ArgumentError(
    `Expected the source of activity '${name}' to be a transaction source, such as sqliteSource(file) of duraloom/sqlite, got ${show(source)}`,
  );
}

const ACTIVITY_SCHEMAS: FieldNames<ActivitySchemas> = { input: true, output: true };
const ORCHESTRATION_SETTINGS: FieldNames<OrchestrationSettings> = { ...ACTIVITY_SCHEMAS, version: true, events: true };

function assertEvents(name: string, events: unknown): void {
  let schemas: readonly unknown[];
  try {
    if (typeof events !== 'object' || events === null) throw new TypeError('it is no object');
    schemas = Object.values(events);
  } catch (cause) {
    throw new ArgumentError(`Expected \`events\` of orchestration '${name}' to be schemas by name, got ${show(events)}`, { cause });
  }
  for (const schema of schemas) assertSchema(name, schema);
}

function assertSchema(name: string, schema: unknown): void {
  if (schema === undefined || isSchema(schema)) return;
  throw new ArgumentError(
    `Expected the schemas of '${name}' to implement Standard Schema v1, such as those of zod ≥ 3.24 or valibot ≥ 1, got ${show(schema)}`,
  );
}

/** Schemas are objects, and functions in some libraries. */
function isSchema(schema: unknown): boolean {
  try {
    const { '~standard': standard } = schema as StandardSchema;
    return (standard.version as number) === 1 && typeof standard.validate === 'function';
  } catch {
    return false;
  }
}

function assertHandler(name: string, handler: unknown): void {
  if (typeof handler !== 'function') {
    throw new ArgumentError(`Expected the handler of '${name}' to be a function, got ${show(handler)}`);
  }
}
