// The filter of instances as it travels, in queries and bodies → what the client takes. Neighbours: instances.ts, control.ts, ../http/streams.ts.
import * as z from 'zod';
import type { Client } from '../../client/client.ts';
import { MAX_INSTANCE_ID_LENGTH, MAX_NAME_LENGTH } from '../../types/limits.ts';

/** Options of `client.listInstances`. */
export type ListOptions = NonNullable<Parameters<Client['listInstances']>[0]>;
/** The filter of `client.countInstances`. */
export type FilterOptions = NonNullable<Parameters<Client['countInstances']>[0]>;

/** Statuses of instances. */
export const STATUS_NAMES = ['Pending', 'Running', 'Suspended', 'Completed', 'Failed', 'Cancelled', 'Terminated', 'Quarantined'] as const;

/** Id of an instance, in a path or a body. */
export const instanceIdSchema: z.ZodString = z.string().min(1).max(MAX_INSTANCE_ID_LENGTH).describe('Id of the instance');

/** A point in time. */
export const timeSchema: z.ZodISODateTime = z.iso.datetime({ offset: true }).describe('Time such as 2026-01-31T12:00:00Z');

/** Search attributes. */
export const attributesSchema: z.ZodRecord<z.ZodString, z.ZodUnion<readonly [z.ZodString, z.ZodNumber, z.ZodBoolean]>> = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
  .describe('Search attributes; a tag is an attribute that is true');

/** Statuses to choose from: one or several. */
type StatusesSchema = z.ZodOptional<z.ZodArray<z.ZodEnum<{ [Name in (typeof STATUS_NAMES)[number]]: Name }>>>;

/** The fields of a filter. */
export const filterShape: {
  readonly name: z.ZodOptional<z.ZodString>;
  readonly status: StatusesSchema;
  readonly version: z.ZodOptional<z.ZodString>;
  readonly parent: z.ZodOptional<z.ZodString>;
  readonly tag: z.ZodOptional<z.ZodString>;
  readonly attributes: z.ZodOptional<typeof attributesSchema>;
  readonly createdAfter: z.ZodOptional<z.ZodISODateTime>;
  readonly createdBefore: z.ZodOptional<z.ZodISODateTime>;
  readonly updatedAfter: z.ZodOptional<z.ZodISODateTime>;
  readonly updatedBefore: z.ZodOptional<z.ZodISODateTime>;
  readonly search: z.ZodOptional<z.ZodString>;
} = {
  name: z.string().min(1).max(MAX_NAME_LENGTH).optional().describe('Name of the orchestration'),
  status: z.array(z.enum(STATUS_NAMES)).min(1).max(STATUS_NAMES.length).optional().describe('Any of these statuses'),
  version: z.string().min(1).max(MAX_NAME_LENGTH).optional().describe('Version of the running code'),
  parent: z.string().min(1).max(MAX_INSTANCE_ID_LENGTH).optional().describe('Children of this instance'),
  tag: z.string().min(1).max(MAX_NAME_LENGTH).optional().describe('Instances with this tag'),
  attributes: attributesSchema.optional(),
  createdAfter: timeSchema.optional(),
  createdBefore: timeSchema.optional(),
  updatedAfter: timeSchema.optional(),
  updatedBefore: timeSchema.optional(),
  search: z.string().min(1).max(MAX_INSTANCE_ID_LENGTH).optional().describe('Text that the id contains'),
};

/** A filter as it travels. */
export type WireFilter = z.output<z.ZodObject<typeof filterShape>>;

/**
 * Makes a filter that the client takes.
 *
 * @param filter - as it came in
 * @returns the same without absent fields, times as dates
 */
export function toFilter(filter: WireFilter): FilterOptions {
  const { name, status, version, parent, tag, attributes, createdAfter, createdBefore, updatedAfter, updatedBefore, search } = filter;
  return {
    ...(name !== undefined && { name }),
    ...(status !== undefined && { status }),
    ...(version !== undefined && { version }),
    ...(parent !== undefined && { parent }),
    ...(tag !== undefined && { tag }),
    ...(attributes !== undefined && { attributes }),
    ...(createdAfter !== undefined && { createdAfter: new Date(createdAfter) }),
    ...(createdBefore !== undefined && { createdBefore: new Date(createdBefore) }),
    ...(updatedAfter !== undefined && { updatedAfter: new Date(updatedAfter) }),
    ...(updatedBefore !== undefined && { updatedBefore: new Date(updatedBefore) }),
    ...(search !== undefined && { search }),
  };
}
