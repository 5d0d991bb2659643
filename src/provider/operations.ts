// The operations of a provider by name, for wrappers around any provider. Neighbours: instrumented.ts, deadline.ts.
import type { Provider } from './provider.ts';

/** An operation of a provider: what asks its store for something. */
export type Operation = Exclude<keyof Provider, 'name' | 'isRemote' | 'stats'>;

/** Operations that wait on purpose. */
export const LONG_POLLS: ReadonlySet<Operation> = new Set<Operation>([
  'fetchOrchestrationItems',
  'fetchWorkItems',
  'waitForInstance',
  'receiveSessionMessages',
]);

/** All of them. */
export const OPERATIONS: readonly Operation[] = [
  'startInstances',
  'enqueueMessages',
  'fetchOrchestrationItems',
  'ackOrchestrationItems',
  'abandonOrchestrationItems',
  'renewOrchestrationLocks',
  'readHistory',
  'fetchWorkItems',
  'ackWorkItems',
  'abandonWorkItems',
  'renewWorkLocks',
  'renewSessions',
  'receiveSessionMessages',
  'publish',
  'controlInstances',
  'readValues',
  'readWorkItems',
  'reportRuntime',
  'listRuntimes',
  'readInstances',
  'listInstances',
  'waitForInstance',
  'readQueueDepths',
  'countWaiting',
  'listExecutions',
  'deleteInstances',
  'pruneExecutions',
  'peekQueue',
  'editQueues',
  'exportInstances',
  'importInstances',
  'close',
];
