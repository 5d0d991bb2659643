// Statuses, and what the store tells about an instance. Neighbours: provider.ts returns these, client.ts shows them.
import type { ParentClosePolicy } from './history-event.ts';
import type { ParentLink } from './names.ts';

/** State of an instance. `Quarantined`: it failed too often to run (poison) and waits for an operator. */
export type InstanceStatus = 'Pending' | 'Running' | 'Suspended' | 'Completed' | 'Failed' | 'Cancelled' | 'Terminated' | 'Quarantined';

/** All of them. Complete by type: a status cannot be forgotten. */
export const INSTANCE_STATUSES: readonly InstanceStatus[] = Object.keys({
  Pending: true,
  Running: true,
  Suspended: true,
  Completed: true,
  Failed: true,
  Cancelled: true,
  Terminated: true,
  Quarantined: true,
} satisfies Record<InstanceStatus, true>) as InstanceStatus[];

/** State of one execution of an instance. */
export type ExecutionStatus = InstanceStatus | 'ContinuedAsNew';

/** An instance as the store knows it; payloads are still encoded. */
export type InstanceRecord = {
  readonly instanceId: string;
  readonly name: string;
  /** Version of the running code; null until the first turn when the start named none. */
  readonly version: string | null;
  readonly status: InstanceStatus;
  /** Current execution, from 1; grows with each continue-as-new. */
  readonly executionId: number;
  /** Id of the last event of the current execution; 0 before its first turn. */
  readonly lastEventId: number;
  /** Encoded result when Completed; encoded `Failure` when Failed, Cancelled, Terminated or Quarantined; else null. */
  readonly output: string | null;
  /** Encoded custom status, null when never set or reset. */
  readonly customStatus: string | null;
  /** Grows by one with every change of the custom status; 0 when never set. */
  readonly customStatusVersion: number;
  /** Encoded search attributes, null when there are none. */
  readonly attributes: string | null;
  readonly parent: ParentLink | null;
  /** What happens to it when its parent ends first. */
  readonly onParentClose: ParentClosePolicy;
  /** 0 to 9. */
  readonly priority: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** When it ended; null: it has not. */
  readonly endedAtMs: number | null;
};

/**
 * Tells whether an instance has ended: no turn of it will run again.
 *
 * @param status - the instance's status
 * @returns true for Completed, Failed, Cancelled and Terminated
 */
export function isEnded(status: InstanceStatus): boolean {
  switch (status) {
    case 'Completed':
    case 'Failed':
    case 'Cancelled':
    case 'Terminated':
      return true;
    case 'Pending':
    case 'Running':
    case 'Suspended':
    case 'Quarantined':
      return false;
  }
}
