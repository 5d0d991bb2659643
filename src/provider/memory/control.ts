// Ending and stopping instances from outside of their own turns. Neighbours: instances.ts, turns.ts (children of a quarantined instance,
// terminations by a parent), memory-store.ts (operators).
import { isEnded } from '../../types/instance.ts';
import type { InstanceRecord, InstanceStatus } from '../../types/instance.ts';
import type { CloseChildren, ControlOutcome, ControlRequest, NewInstance, StartOutcome } from '../provider.ts';
import type { Instances } from './instances.ts';
import type { StoredInstance } from './stored-instance.ts';

/**
 * Starts an instance by its policy. The parent of a living one that it replaces is told, its children are closed.
 *
 * @param instances - the instances
 * @param start - the start
 * @param nowMs - the time, epoch milliseconds
 * @returns what became of it
 */
export function startInstance(instances: Instances, start: NewInstance, nowMs: number): StartOutcome {
  const old = instances.get(start.instanceId);
  if (old === undefined) {
    instances.add(start, 1);
    return 'started';
  }
  if (!mayReplace(old, start)) return 'exists';
  // The children are closed while nobody has the id: what they tell their parent is not for the new instance, and nothing closes that one.
  instances.remove(old);
  if (start.closeChildren !== null) closeChildren(instances, start.instanceId, start.closeChildren, nowMs);
  instances.add(start, old.record.executionId + 1);
  const parent = isEnded(old.record.status) ? null : old.record.parent;
  if (parent !== null && old.parentNotice !== null) instances.enqueue({ instanceId: parent.instanceId, payload: old.parentNotice });
  return 'replaced';
}

/**
 * Does what an operator wishes.
 *
 * @param instances - the instances
 * @param request - the wish
 * @param nowMs - the time, epoch milliseconds
 * @returns what became of it
 */
export function controlInstance(instances: Instances, request: ControlRequest, nowMs: number): ControlOutcome {
  const instance = instances.get(request.instanceId);
  if (instance === undefined) return 'notFound';
  if (isEnded(instance.record.status)) return 'ended';
  if (request.kind === 'terminate') {
    terminate(instances, instance, request.output, request.closeChildren, nowMs);
    if (request.parentMessage !== null) instances.enqueue(request.parentMessage);
    return 'done';
  }
  const isStopped = instance.record.status === 'Suspended' || instance.record.status === 'Quarantined';
  if (isStopped === (request.kind === 'suspend')) return 'unchanged';
  // A hand-out that ends by it does not count.
  if (request.kind === 'suspend') for (const message of instance.handedOut) message.attempt -= 1;
  const change = request.kind === 'suspend' ? ({ status: 'Suspended' } as const) : resumed(instance);
  instance.record = { ...instance.record, ...change, updatedAtMs: nowMs };
  instances.settle(instance);
  return 'done';
}

/**
 * Ends an instance as Terminated, and its children as they want it.
 *
 * @param instances - the instances
 * @param instance - which, living
 * @param output - its output
 * @param closing - what happens to its children
 * @param nowMs - the time, epoch milliseconds
 */
export function terminate(instances: Instances, instance: StoredInstance, output: string, closing: CloseChildren, nowMs: number): void {
  instance.record = { ...instance.record, status: 'Terminated', output, updatedAtMs: nowMs, endedAtMs: nowMs };
  instances.clear(instance);
  instances.settle(instance);
  closeChildren(instances, instance.record.instanceId, closing, nowMs);
}

/**
 * Does to the living children of an instance what they want to happen when it ends.
 *
 * @param instances - the instances
 * @param parentId - whose children
 * @param closing - message and output
 * @param nowMs - the time, epoch milliseconds
 */
export function closeChildren(instances: Instances, parentId: string, closing: CloseChildren, nowMs: number): void {
  for (const child of instances.childrenOf(parentId)) {
    const { instanceId, status, onParentClose } = child.record;
    if (isEnded(status)) continue;
    if (onParentClose === 'terminate') {
      terminate(instances, child, closing.output, closing, nowMs);
      // A quarantined parent may be resumed, and waits for it then; one that ended takes no messages.
      if (child.parentNotice !== null) instances.enqueue({ instanceId: parentId, payload: child.parentNotice });
    } else if (onParentClose === 'cancel') instances.enqueue({ instanceId, payload: closing.cancelPayload });
  }
}

function mayReplace({ record }: StoredInstance, { policy, replacesEndedAtMs }: NewInstance): boolean {
  if (policy !== 'replaceTerminal') return policy === 'terminateExisting';
  return isEnded(record.status) && (replacesEndedAtMs === undefined || replacesEndedAtMs === record.endedAtMs);
}

function resumed(instance: StoredInstance): Pick<InstanceRecord, 'status' | 'output'> {
  for (const message of instance.messages) message.attempt = 0;
  const { executionId, lastEventId } = instance.record;
  const status: InstanceStatus = executionId === instance.firstExecutionId && lastEventId === 0 ? 'Pending' : 'Running';
  return { status, output: null };
}
