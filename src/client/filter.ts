// Which instances callers mean → what the store is asked, and back: places in lists as text. Neighbours: listing.ts, bulk.ts, transfer.ts.
import type { InstanceFilter, InstanceOrder, ListPosition } from '../provider/management.ts';
import { readArray, readOptions, readTime, type FieldNames } from '../types/arguments.ts';
import { encodeAttributes, type Attributes } from '../types/attributes.ts';
import { ArgumentError } from '../types/errors.ts';
import { INSTANCE_STATUSES, type InstanceStatus } from '../types/instance.ts';
import { MAX_INSTANCE_ID_LENGTH, MAX_NAME_LENGTH } from '../types/limits.ts';
import { assertText } from '../types/names.ts';
import { show } from '../types/show.ts';
import { assertTarget } from './requests.ts';

/** Which instances: all that is given must hold. */
export type InstanceFilterOptions = {
  /** Name of the orchestration. */
  readonly name?: string;
  /** One of these. */
  readonly status?: InstanceStatus | readonly InstanceStatus[];
  /** Version of the running code. */
  readonly version?: string;
  /** Only children of this instance. */
  readonly parent?: string;
  /** Only those with this attribute set to `true`. */
  readonly tag?: string;
  /** Only those with all of these attributes, with just these values. */
  readonly attributes?: Attributes;
  /** Started at this moment or later; `createdBefore`: earlier. */
  readonly createdAfter?: Date;
  readonly createdBefore?: Date;
  /** Changed last at this moment or later; `updatedBefore`: earlier. */
  readonly updatedAfter?: Date;
  readonly updatedBefore?: Date;
  /** Text that the id contains, just so. */
  readonly search?: string;
};

/** The names of the fields of a filter. */
export const FILTER_FIELDS: FieldNames<InstanceFilterOptions> = {
  name: true,
  status: true,
  version: true,
  parent: true,
  tag: true,
  attributes: true,
  createdAfter: true,
  createdBefore: true,
  updatedAfter: true,
  updatedBefore: true,
  search: true,
};

/** Order and direction of a list. */
export type ListOrder = { readonly orderBy: InstanceOrder; readonly descending: boolean };

/**
 * Checks a filter.
 *
 * @param given - from a caller
 * @returns what the store is asked
 * @throws {ArgumentError} when a field is none
 */
export function toFilter(given: InstanceFilterOptions | undefined): InstanceFilter {
  const { name, status, version, parent, tag, attributes, search, ...times } = readOptions(given, 'the filter', FILTER_FIELDS);
  for (const [what, text] of Object.entries({ name, version, tag })) if (text !== undefined) assertText(text, what, MAX_NAME_LENGTH);
  if (search !== undefined) assertText(search, 'search', MAX_INSTANCE_ID_LENGTH);
  const { createdAfter, createdBefore, updatedAfter, updatedBefore } = times;
  // Checked before it is taken apart.
  const wanted = attributes === undefined ? [] : encodeAttributes(attributes).list;
  const tagged = tag === undefined ? [] : encodeAttributes({ [tag]: true }).list;
  return {
    ...(name !== undefined && { name }),
    ...(status !== undefined && { statuses: toStatuses(status) }),
    ...(version !== undefined && { version }),
    ...(parent !== undefined && { parentInstanceId: assertTarget(parent) }),
    ...((attributes !== undefined || tag !== undefined) && { attributes: [...wanted, ...tagged] }),
    ...(createdAfter !== undefined && { createdFromMs: readTime(createdAfter, 'createdAfter') }),
    ...(createdBefore !== undefined && { createdBeforeMs: readTime(createdBefore, 'createdBefore') }),
    ...(updatedAfter !== undefined && { updatedFromMs: readTime(updatedAfter, 'updatedAfter') }),
    ...(updatedBefore !== undefined && { updatedBeforeMs: readTime(updatedBefore, 'updatedBefore') }),
    ...(search !== undefined && { search }),
  };
}

/**
 * Writes a place in a list as text.
 *
 * @param order - of the list
 * @param position - the place; null: the end
 * @returns the cursor; null at the end
 */
export function toCursor(order: ListOrder, position: ListPosition | null): string | null {
  return position === null ? null : `${prefixOf(order)}${position.at}.${position.seq}.${encodeURIComponent(position.instanceId)}`;
}

/**
 * Reads a cursor.
 *
 * @param order - of the list that goes on
 * @param cursor - from a caller; undefined: none
 * @returns the place; null: the first page
 * @throws {ArgumentError} when it is none, or one of a list in another order
 */
export function readCursor(order: ListOrder, cursor: unknown): ListPosition | null {
  if (cursor === undefined) return null;
  const prefix = prefixOf(order);
  if (typeof cursor === 'string' && cursor.startsWith(prefix)) {
    const [, at = '', seq = '', encoded = ''] = /^(-?\d{1,16})\.(-?\d{1,16})\.(.*)$/su.exec(cursor.slice(prefix.length)) ?? [];
    const instanceId = decodeId(encoded);
    if (at !== '' && instanceId !== null) return { at: Number(at), seq: Number(seq), instanceId };
  }
  throw new ArgumentError(
    `Expected \`cursor\` to be the \`cursor\` of a page of the same list, in the same order, got ${show(cursor)}. Without one the list begins anew`,
  );
}

function prefixOf({ orderBy, descending }: ListOrder): string {
  return `${orderBy}.${descending ? 'desc' : 'asc'}.`;
}

function decodeId(encoded: string): string | null {
  try {
    const instanceId = decodeURIComponent(encoded);
    return instanceId.length > MAX_INSTANCE_ID_LENGTH || instanceId.includes('\0') ? null : instanceId;
  } catch {
    // Broken escapes: no cursor of ours.
    return null;
  }
}

function toStatuses(given: InstanceStatus | readonly InstanceStatus[]): readonly InstanceStatus[] {
  const statuses = readArray(given) ?? [given];
  if (statuses.length > 0 && statuses.every(isStatus)) return statuses;
  throw new ArgumentError(`Expected \`status\` to be one or more of ${INSTANCE_STATUSES.join(', ')}, got ${show(given)}`);
}

function isStatus(value: unknown): value is InstanceStatus {
  return INSTANCE_STATUSES.some((status) => status === value);
}
