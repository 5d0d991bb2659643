// Rules for ids and names that end up as keys in the store. Neighbour: limits.ts.
import { ArgumentError } from './errors.ts';
import { MAX_INSTANCE_ID_LENGTH, MAX_NAME_LENGTH } from './limits.ts';
import { show } from './show.ts';

/** Separates a parent's id from the part that names its child; ids chosen by people must not contain it (T3). */
const CHILD_SEPARATOR = '::';

/** Begins the names that duraloom makes itself. */
const RESERVED_PREFIX = 'duraloom:';

/** Tag of the work items that every runtime runs by itself, in its main thread. */
export const SYSTEM_TAG = 'duraloom:system';

/** Activity that reads a key-value pair of another instance: see `ctx.getValueFromInstance`. */
export const READ_VALUE_ACTIVITY = 'duraloom:readValue';

/** Mailbox of a subscription: what is before the pattern. */
export const TOPIC_MAILBOX_PREFIX = 'duraloom:topic:';

/** Version of a definition that names none. */
export const DEFAULT_VERSION = '1.0.0';

/**
 * Checks an instance id that a person or program chose.
 *
 * @param instanceId - the id
 * @returns the id
 * @throws {ArgumentError} when it is empty, too long, has broken Unicode or the reserved `::`
 */
export function assertInstanceId(instanceId: string): string {
  assertText(instanceId, 'instance id', MAX_INSTANCE_ID_LENGTH);
  if (instanceId.includes(CHILD_SEPARATOR)) {
    throw new ArgumentError(`Expected instance id without '::' (it marks automatic child ids), got '${instanceId}'`);
  }
  return instanceId;
}

/**
 * Checks the name of an orchestration, activity or event.
 *
 * @param name - the name
 * @param what - what it names, for the error message
 * @returns the name
 * @throws {ArgumentError} when it is empty, too long, has broken Unicode or begins with the reserved `duraloom:`
 */
export function assertName(name: string, what: string): string {
  assertText(name, what, MAX_NAME_LENGTH);
  if (name.startsWith(RESERVED_PREFIX))
    throw new ArgumentError(`Expected ${what} without '${RESERVED_PREFIX}' (it is reserved), got '${name}'`);
  return name;
}

/**
 * Makes the id of a child whose start gave none. Holds the parent's execution, so that the same code in the next execution
 * gets another child (T3).
 *
 * @param parent - the parent's link: its instance, execution and the event that schedules the child
 * @returns the child's instance id
 * @throws {ArgumentError} when the chain of parents makes it longer than an id may be
 */
export function childInstanceId(parent: ParentLink): string {
  const id = `${parent.instanceId}${CHILD_SEPARATOR}${parent.executionId}.${parent.eventId}`;
  assertText(id, 'automatic child instance id', MAX_INSTANCE_ID_LENGTH);
  return id;
}

/** Where a child's answer goes: the parent's instance, the execution that started the child, and the event that says so (T1, T2). */
export type ParentLink = {
  readonly instanceId: string;
  readonly executionId: number;
  readonly eventId: number;
};

/**
 * Compares parent links.
 *
 * @param left - a link
 * @param right - another; undefined: no parent
 * @returns true when both mean the same child
 */
export function isSameLink(left: ParentLink, right: ParentLink | undefined): boolean {
  return left.instanceId === right?.instanceId && left.executionId === right.executionId && left.eventId === right.eventId;
}

/**
 * Checks text that ends up as a key in the store.
 *
 * @param value - from a caller
 * @param what - what it is, for the message
 * @param maxLength - in UTF-16 units
 * @throws {ArgumentError} when it is empty, too long or no well-formed text without NUL
 */
export function assertText(value: unknown, what: string, maxLength: number): asserts value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > maxLength) {
    const got = typeof value === 'string' ? `${value.length} characters` : show(value);
    throw new ArgumentError(`Expected ${what} to be a string of 1 to ${maxLength} characters, got ${got}`);
  }
  assertWellFormed(value, what);
}

/**
 * Checks text that a store keeps as it is.
 *
 * @param value - from a caller
 * @param what - what it is, for the message
 * @throws {ArgumentError} when it has broken Unicode or NUL
 */
export function assertWellFormed(value: string, what: string): void {
  // The store keeps UTF-8: a lone surrogate would come back as another text.
  if ((value as WellFormed).isWellFormed() && !value.includes('\0')) return;
  throw new ArgumentError(`Expected ${what} to be well-formed text without NUL, got '${(value as WellFormed).toWellFormed()}'`);
}

/** Part of ES2024, present since Node 20; the pure folders are compiled against ES2023. */
type WellFormed = string & { isWellFormed(): boolean; toWellFormed(): string };
