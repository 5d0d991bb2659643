// Reads bodies and queries: limited in size and depth, then held to the schema of the operation. Neighbours: app.ts, ../operations/operation.ts.
import type * as z from 'zod';
import { parseRecord } from '../../types/codec.ts';
import { refuse, type Issue, type Refusal } from './problem.ts';

/** Deepest nesting of a JSON text. Reason: what is written again later must not run out of stack. */
const MAX_DEPTH = 200;
/** Most issues that are told. */
const MAX_ISSUES = 20;

/** A value, or why there is none. */
export type Read<Value> = { readonly value: Value } | { readonly refusal: Refusal };

/**
 * Reads a body up to a limit, whatever its length header says.
 *
 * @param request - the request
 * @param maxBytes - the limit
 * @returns the text
 */
export async function readBody(request: Request, maxBytes: number): Promise<Read<string>> {
  const tooLarge = (): Read<string> => ({
    refusal: refuse('BODY_TOO_LARGE', `The body has more than ${maxBytes} bytes. Store large data elsewhere and pass a reference`),
  });
  const length = Number(request.headers.get('content-length') ?? 0);
  if (length > maxBytes) return tooLarge();
  if (request.body === null) return { value: '' };
  const reader = request.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    bytes += next.value.byteLength;
    if (bytes > maxBytes) {
      await reader.cancel();
      return tooLarge();
    }
    chunks.push(next.value);
  }
  // Half of what somebody asked for must not be done because somebody else has the rest.
  if (bytes < length) {
    const detail = 'The body was read before this API got the request. Mount it before what parses bodies, such as express.json()';
    return { refusal: refuse('BODY_INVALID', detail) };
  }
  try {
    return { value: new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)) };
  } catch {
    return { refusal: refuse('BODY_INVALID', 'The body is not valid UTF-8') };
  }
}

/**
 * Parses a JSON text that came from outside.
 *
 * @param text - the text
 * @param what - what it is, for the message
 * @returns the value
 */
export function parseJson(text: string, what: string): Read<unknown> {
  if (depthOf(text) > MAX_DEPTH) return { refusal: refuse('BODY_INVALID', `${what} is nested more than ${MAX_DEPTH} levels deep`) };
  try {
    return { value: parseRecord(text) };
  } catch {
    return { refusal: refuse('BODY_INVALID', `${what} is not valid JSON`) };
  }
}

/** Deepest nesting; strings are stepped over. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text[index];
    if (isInString) {
      if (unit === '\\') index += 1;
      else if (unit === '"') isInString = false;
    } else if (unit === '"') isInString = true;
    else if (unit === '[' || unit === '{') deepest = Math.max(deepest, (depth += 1));
    else if (unit === ']' || unit === '}') depth -= 1;
  }
  return deepest;
}

/**
 * Reads the parameters of a query as the schema wants them: numbers, booleans and lists are text there.
 *
 * @param schema - of the query
 * @param parameters - as they came
 * @returns values that are still to be checked by the schema
 */
export function readQuery(schema: z.ZodObject, parameters: URLSearchParams): Read<Record<string, unknown>> {
  const entries: [string, unknown][] = [];
  for (const name of new Set(parameters.keys())) {
    const all = parameters.getAll(name);
    const kind = Object.hasOwn(schema.shape, name) ? kindOf(schema.shape[name] as z.ZodType) : 'string';
    if (all.length > 1 && kind !== 'array') return { refusal: invalid([{ path: name, message: 'Given more than once' }]) };
    const [first = ''] = all;
    const value = kind === 'array' ? { value: all } : toValue(kind, name, first);
    if ('refusal' in value) return value;
    entries.push([name, value.value]);
  }
  return { value: Object.fromEntries(entries) };
}

function toValue(kind: string, name: string, text: string): Read<unknown> {
  if (kind === 'number' && /^-?\d{1,16}$/.test(text)) return { value: Number(text) };
  if (kind === 'boolean' && (text === 'true' || text === 'false')) return { value: text === 'true' };
  // An attribute may be a text, a number or a boolean: JSON tells them apart.
  return kind === 'record' ? parseJson(text, `The query parameter \`${name}\``) : { value: text };
}

/** The kind of a schema behind `optional` and `default`. */
function kindOf(schema: z.ZodType): string {
  let inner = schema;
  while ('innerType' in inner.def) inner = inner.def.innerType as z.ZodType;
  return inner.def.type;
}

/**
 * Holds a value to a schema.
 *
 * @param schema - the schema
 * @param value - from outside
 * @returns the value with its defaults
 */
export function check(schema: z.ZodObject, value: unknown): Read<Record<string, unknown>> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { value: parsed.data };
  return {
    refusal: invalid(parsed.error.issues.slice(0, MAX_ISSUES).map(({ path, message }) => ({ path: path.map(String).join('.'), message }))),
  };
}

function invalid(issues: readonly Issue[]): Refusal {
  const text = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return refuse('REQUEST_INVALID', `The request does not fit: ${text}`, { issues });
}
