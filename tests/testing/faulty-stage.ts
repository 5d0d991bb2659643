// What the tests of fault injection share: stores on a simulated clock, and short forms of the calls. Neighbours: faulty.test.ts,
// faulty-kinds.test.ts.
import type { NewInstance, OrchestrationAck, OrchestrationItem, Provider, WorkItem, WorkItemAck } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import { SqliteProvider } from 'duraloom/sqlite';
import { faulty, SimulatedClock, type Fault, type FaultPlan, type FaultyOperation, type FaultyProvider } from 'duraloom/testing';
import { onTestFinished } from 'vitest';
import { stage } from '../support/integration-stage.ts';
import { openPostgres } from '../support/postgres.ts';

export const STORES = ['memory', 'sqlite', 'postgres'] as const;
export const LOCK_MS = 30_000;

export type Store = {
  readonly faults: FaultyProvider;
  /** The store without faults. */
  readonly real: Provider;
  readonly clock: SimulatedClock;
};

/** Opens a store with faults; a real file for SQLite. Closed when the test is over. */
export async function open(kind: (typeof STORES)[number], plan: FaultPlan): Promise<Store> {
  const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
  const real = await openReal(kind, clock);
  const faults = faulty(real, plan, { clock });
  onTestFinished(() => faults.close());
  return { faults, real, clock };
}

/** Opens a store on a simulated clock. */
export async function openReal(kind: (typeof STORES)[number], clock: SimulatedClock): Promise<Provider> {
  switch (kind) {
    case 'memory':
      return new MemoryProvider({ clock });
    case 'sqlite':
      return await SqliteProvider.open(stage().file(), { clock, synchronous: 'NORMAL' });
    case 'postgres':
      return await openPostgres({ clock });
  }
}

/** A plan in which one fault hits the first call of an operation. */
export function once(operation: FaultyOperation, fault: Fault, call = 1): FaultPlan {
  return { seed: 7, script: [{ operation, call, fault }] };
}

export function newInstance(instanceId: string): NewInstance {
  return {
    instanceId,
    name: 'order',
    version: null,
    payload: `start ${instanceId}`,
    parent: null,
    onParentClose: 'cancel',
    policy: 'fail',
    priority: 0,
    startAtMs: null,
    delayMs: 0,
    closeChildren: null,
    parentNotice: null,
    attributes: null,
  };
}

/** A turn that takes all messages and schedules activities with these events. */
export function ackOf(item: OrchestrationItem, activities: readonly number[] = []): OrchestrationAck {
  return {
    instanceId: item.instanceId,
    lockToken: item.lockToken,
    executionId: item.executionId,
    baseEventId: item.lastEventId,
    version: null,
    page: { lastEventId: item.lastEventId + 1, events: 'started' },
    consumedMessageIds: item.messages.map(({ messageId }) => messageId),
    status: 'Running',
    output: null,
    customStatus: undefined,
    workItems: activities.map((eventId) => ({ eventId, name: 'charge', payload: 'p', routing: null })),
    timers: [],
    messages: [],
    starts: [],
    cancelledActivities: [],
    cancelledTimers: [],
    next: null,
    effects: null,
    closeChildren: null,
  };
}

export async function fetchTurns(provider: Provider, maxItems = 10): Promise<readonly OrchestrationItem[]> {
  return (await provider.fetchOrchestrationItems({ maxItems, lockMs: LOCK_MS, waitMs: 0 })).items;
}

export async function fetchWork(provider: Provider, maxItems = 10): Promise<readonly WorkItem[]> {
  return (await provider.fetchWorkItems({ maxItems, lockMs: LOCK_MS, waitMs: 0 })).items;
}

/** Starts an instance with activities that are queued, and hands them out. */
export async function withWork(provider: Provider, count: number): Promise<readonly WorkItem[]> {
  await provider.startInstances([newInstance('a')]);
  const events = Array.from({ length: count }, (_, index) => index + 1);
  await provider.ackOrchestrationItems((await fetchTurns(provider)).map((item) => ackOf(item, events)));
  return await fetchWork(provider);
}

/** Acks of activities. */
export function answersTo(items: readonly WorkItem[]): readonly WorkItemAck[] {
  return items.map(({ instanceId, executionId, eventId, lockToken }) => ({
    instanceId,
    executionId,
    eventId,
    lockToken,
    completionPayload: `done ${eventId}`,
  }));
}

/** Which activities of the instance are left, as people see them. */
export async function leftOf(provider: Provider): Promise<readonly number[]> {
  return (await provider.readWorkItems('a')).map(({ eventId }) => eventId);
}
