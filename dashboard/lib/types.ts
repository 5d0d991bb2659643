// What the HTTP API answers: the types of the client and of the surfaces, as they are after a way through JSON. Types only.
import type { BulkResult as Bulk } from '../../src/client/bulk.ts';
import type { WaitingExplanation as Explanation } from '../../src/client/explain.ts';
import type { InstanceSummary } from '../../src/client/listing.ts';
import type { QueueEntry as Entry, QueuePage as Queue } from '../../src/client/queues.ts';
import type { RuntimeInfo as Runtime } from '../../src/client/runtime-info.ts';
import type { ExecutionRecord } from '../../src/provider/management.ts';
import type { WireError, WireInstance } from '../../src/surfaces/operations/wire.ts';

/** A value after a way through JSON: dates are text. */
type Json<T> = unknown extends T ? unknown : T extends Date ? string : T extends object ? { readonly [Name in keyof T]: Json<T[Name]> } : T;

/** Parameters of a URL; undefined ones are left out, arrays are repeated. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** An instance. */
export type Instance = Json<WireInstance>;

/** A row of the list. */
export type InstanceRow = Json<Omit<InstanceSummary, 'error'>> & { readonly error?: WireError };

/** A page of the list. */
export type InstancePage = { readonly instances: readonly InstanceRow[]; readonly cursor: string | null };

/** Why an instance waits. */
export type WaitingExplanation = Json<Explanation>;

/** One thing that an instance waits for. */
export type Wait = WaitingExplanation['waits'][number];

/** One execution of an instance. */
export type Execution = Pick<ExecutionRecord, 'executionId' | 'status'> & { readonly eventCount: number };

/** An instance with its children. */
export type Tree = { readonly instance: Instance; readonly children: readonly Tree[]; readonly isTruncated: boolean };

/** An item of a queue. */
export type QueueEntry = Json<Entry>;

/** A page of a queue. */
export type QueuePage = Json<Queue>;

/** A runtime that lives. */
export type RuntimeInfo = Json<Runtime>;

/** Outcome of a bulk action. */
export type BulkResult = Json<Bulk>;
