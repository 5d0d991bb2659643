// What an operation is: one call of the management API as data. The table in operations.ts is made of these; HTTP routes, the OpenAPI document and
// the tools of the MCP server are derived from it, so that they cannot part.
import * as z from 'zod';
import type { Client } from '../../client/client.ts';
import type { RuntimeStats } from '../../client/runtime-stats.ts';
import type { LogSource } from './log-source.ts';

/** A runtime in this process. Every `Runtime` is one. */
export type LocalRuntime = {
  readonly runtimeId: string;
  readonly nodeId: string;
  stats(): RuntimeStats;
};

/** What operations work on. */
export type SurfaceContext = {
  readonly client: Client;
  /** What the store is called; null: not known. */
  readonly storeName: string | null;
  readonly runtimes: readonly LocalRuntime[];
  /** Kept log lines; null: none are kept here. */
  readonly logs: LogSource | null;
  readonly isReadOnly: boolean;
  readonly hasMetrics: boolean;
  readonly hasMcp: boolean;
};

/** Where in a request something stands. */
export type InputPart = 'path' | 'query' | 'body';

/** How an operation is called over HTTP. */
export type HttpRoute = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below `/api/v1`; parameters in braces. */
  readonly path: string;
  /** Status of success. @default 200 */
  readonly status?: 200 | 201;
};

/** One call of the management API. */
export type Operation = {
  /** `operationId` in OpenAPI; in snake case the name of the tool. */
  readonly name: string;
  /** Groups operations in documents. */
  readonly group: 'instances' | 'control' | 'queues' | 'system';
  readonly summary: string;
  /** For people and programs that choose among operations. */
  readonly description: string;
  readonly http: HttpRoute;
  /** Changes something: refused in read-only mode. */
  readonly isWrite: boolean;
  /** Takes something away that cannot be brought back. */
  readonly isDestructive: boolean;
  /** Doing it twice is doing it once. */
  readonly isIdempotent: boolean;
  /** False: not offered as a tool. */
  readonly isTool: boolean;
  /** It may take long, and tells how far it is. */
  readonly hasProgress: boolean;
  /** False: this server has not what it needs. */
  readonly isOffered: (context: SurfaceContext) => boolean;
  readonly input: Readonly<Record<InputPart, z.ZodObject>>;
  readonly output: z.ZodType;
  /** Runs it. `input`: the fields of path, query and body together, as the schemas gave them; `tell`: gets how far it is. */
  readonly run: (context: SurfaceContext, input: unknown, signal: AbortSignal, tell?: Tell) => Promise<object>;
};

/** Gets how far an operation is, now and then. */
export type Tell = (progress: object) => void;

/** What `defineOperation` takes: input parts that an operation has not may be left out. */
export type OperationDefinition<Path extends z.ZodRawShape, Query extends z.ZodRawShape, Body extends z.ZodRawShape> = Pick<
  Operation,
  'name' | 'group' | 'summary' | 'description' | 'http' | 'output'
> &
  Partial<Pick<Operation, 'isWrite' | 'isDestructive' | 'isIdempotent' | 'isTool' | 'hasProgress' | 'isOffered'>> & {
    readonly path?: Path;
    readonly query?: Query;
    readonly body?: Body;
    readonly run: (
      context: SurfaceContext,
      input: z.output<z.ZodObject<Path>> & z.output<z.ZodObject<Query>> & z.output<z.ZodObject<Body>>,
      signal: AbortSignal,
      tell?: Tell,
    ) => Promise<object>;
  };

// oxlint-disable-next-line typescript/no-generated-empty-object-type -- a part of the input that an operation has not
type NoFields = Record<never, never>;

/**
 * Makes an operation: what is not said is a read that is a tool.
 *
 * @param definition - the call
 * @returns the operation
 */
export function defineOperation<
  Path extends z.ZodRawShape = NoFields,
  Query extends z.ZodRawShape = NoFields,
  Body extends z.ZodRawShape = NoFields,
>(definition: OperationDefinition<Path, Query, Body>): Operation {
  const { path, query, body, run, ...rest } = definition;
  return {
    isWrite: false,
    isDestructive: false,
    isIdempotent: rest.isWrite !== true,
    isTool: true,
    hasProgress: false,
    isOffered: () => true,
    ...rest,
    input: { path: z.strictObject(path ?? {}), query: z.strictObject(query ?? {}), body: z.strictObject(body ?? {}) },
    // The caller has parsed the input with the schemas above.
    run: run as Operation['run'],
  };
}
