// Schemas of payloads: any library that implements Standard Schema v1 (https://standardschema.dev), such as zod, valibot or arktype.
// The interface is that standard's; nothing is imported. Neighbours: definition.ts takes schemas, replay and activity loops check with them.
import { ArgumentError, SchemaError } from './errors.ts';
import { show } from './show.ts';

/** A mistake that a schema found. */
export type SchemaIssue = {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
};

/** What a schema says about a value. */
export type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

/** A schema of any library that implements Standard Schema v1. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/**
 * Checks a value against a schema that answers at once: orchestrations must not wait for anything else, nor must open transactions.
 *
 * @param schema - the schema; undefined: everything fits
 * @param value - the value
 * @param what - what the value is, for the message
 * @param who - who cannot wait for it, for the message
 * @returns the value as the schema gives it back (defaults filled in, coerced)
 * @throws {SchemaError} that shows path and value
 * @throws {ArgumentError} when the schema is asynchronous
 */
export function checkNow(schema: StandardSchema | undefined, value: unknown, what: string, who = 'orchestrations'): unknown {
  if (schema === undefined) return value;
  const result = schema['~standard'].validate(value);
  if ('then' in result) {
    // Nobody waits for it any more.
    result.catch(() => undefined);
    throw new ArgumentError(`Expected the schema of ${what} to be synchronous, as ${who} cannot wait for it. Check it in an activity`);
  }
  return accept(result, value, what);
}

/**
 * Checks a value against a schema that may take its time.
 *
 * @param schema - the schema; undefined: everything fits
 * @param value - the value
 * @param what - what the value is, for the message
 * @returns the value as the schema gives it back
 * @throws {SchemaError} that shows path and value
 */
export async function checkSoon(schema: StandardSchema | undefined, value: unknown, what: string): Promise<unknown> {
  return schema === undefined ? value : accept(await schema['~standard'].validate(value), value, what);
}

function accept(result: SchemaResult<unknown>, value: unknown, what: string): unknown {
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(({ message, path = [] }) => {
    const keys = path.map((segment) => (typeof segment === 'object' ? segment.key : segment));
    return `${keys.length === 0 ? 'the value' : keys.map(String).join('.')}: ${message}, got ${show(at(value, keys))}`;
  });
  throw new SchemaError(`${what} does not fit its schema: ${issues.join('; ')}`);
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Readonly<Record<PropertyKey, unknown>>)[key];
  }
  return current;
}
