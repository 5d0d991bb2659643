// How instances are shown: colours of statuses, rows, failures. Neighbours: list.ts, show.ts, tree.ts, watch.ts.
import { InstanceError, type Client, type InstanceState, type InstanceStatus, type InstanceSummary } from '../../../index.ts';
import { toFailure, type Failure } from '../../../types/failure.ts';
import type { Paint } from '../io.ts';
import type { Cell } from '../table.ts';
import { moment } from '../text.ts';

/**
 * Gives the colour of a status.
 *
 * @param status - of an instance or execution
 * @returns the colour
 */
export function paintOf(status: string): Paint {
  const paints: Readonly<Record<InstanceStatus | 'ContinuedAsNew', Paint>> = {
    Pending: 'dim',
    Running: 'cyan',
    Suspended: 'yellow',
    Completed: 'green',
    Failed: 'red',
    Cancelled: 'magenta',
    Terminated: 'magenta',
    Quarantined: 'red',
    ContinuedAsNew: 'dim',
  };
  return Object.hasOwn(paints, status) ? paints[status as InstanceStatus] : 'dim';
}

/**
 * Makes a cell of a status.
 *
 * @param status - the status
 * @returns the cell
 */
export function statusCell(status: string): Cell {
  return { text: status, paint: paintOf(status) };
}

/** Heading of `toRow`. */
export const ROW_HEADING = ['ID', 'NAME', 'VERSION', 'STATUS', 'EVENTS', 'CREATED', 'WAITS FOR'] as const;

/**
 * Makes the row of an instance.
 *
 * @param instance - the instance
 * @returns its cells
 */
export function toRow(instance: InstanceSummary): readonly Cell[] {
  const { instanceId, name, version, status, eventCount, createdAt, damage } = instance;
  const last = damage === null ? describeWaits(instance) : damageCell(damage);
  return [instanceId, name, version ?? '', statusCell(status), eventCount, moment(createdAt), last];
}

/**
 * Makes the cell of something that cannot be read.
 *
 * @param damage - what, and why
 * @returns the cell
 */
export function damageCell(damage: string): Cell {
  return { text: `damaged: ${damage}`, paint: 'red' };
}

function describeWaits({ waitingFor, status }: InstanceSummary): string {
  if (waitingFor === null) return '';
  const { activities, runningActivities, timers, nextTimerAt, messages, children } = waitingFor;
  const parts = [
    count(activities, 'activity', 'activities', runningActivities > 0 ? ` (${runningActivities} running)` : ''),
    count(timers, 'timer', 'timers', nextTimerAt === null ? '' : ` (next ${moment(nextTimerAt)})`),
    count(children, 'child', 'children', ''),
    count(messages, 'message', 'messages', ''),
  ];
  const text = parts.filter((part) => part !== '').join(', ');
  // It is in no queue: only what is not there tells of it.
  return text === '' && status === 'Running' ? 'an event' : text;
}

function count(number: number, one: string, many: string, more: string): string {
  return number === 0 ? '' : `${number} ${number === 1 ? one : many}${more}`;
}

/**
 * Describes a failure with its causes, a line each.
 *
 * @param error - of an instance or event
 * @returns text of users: clean it
 */
export function describeFailure(error: unknown): string {
  const lines: string[] = [];
  for (let failure: Failure | undefined = toFailure(error); failure !== undefined; failure = failure.cause) {
    const code = failure.code === undefined ? '' : ` (${failure.code})`;
    lines.push(`${lines.length === 0 ? '' : 'because of '}${failure.name}: ${failure.message}${code}`);
  }
  return lines.join('; ');
}

/**
 * Reads an instance that must be there.
 *
 * @param client - of the store
 * @param instanceId - its id
 * @returns its state
 * @throws {InstanceError} `INSTANCE_NOT_FOUND`
 */
export async function readInstance(client: Client, instanceId: string): Promise<InstanceState> {
  const state = await client.getState(instanceId);
  if (state !== null) return state;
  throw new InstanceError(
    'INSTANCE_NOT_FOUND',
    instanceId,
    `there is no instance '${instanceId}' in this store. Check the id: duraloom list`,
  );
}
