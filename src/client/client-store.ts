// What a client needs of a store. Neighbours: provider/provider.ts declares the methods, client.ts calls no others.
//
// Everything goes in and comes out as data, so that a store can be served to another thread: only `signal` cannot cross. Whoever serves it
// drops the signal; waits end by themselves after `waitMs`, and clients give up on a signal without the store's help.
import type { Provider } from '../provider/provider.ts';

/** The methods of a provider that clients call. */
export const CLIENT_STORE_METHODS = [
  'startInstances',
  'enqueueMessages',
  'publish',
  'controlInstances',
  'readInstances',
  'listInstances',
  'readHistory',
  'readValues',
  'readWorkItems',
  'waitForInstance',
  'listRuntimes',
  'readQueueDepths',
  'countWaiting',
  'listExecutions',
  'deleteInstances',
  'pruneExecutions',
  'peekQueue',
  'editQueues',
  'exportInstances',
  'importInstances',
] as const;

/** The part of a provider that a client needs. Every provider is one. */
export type ClientStore = Pick<Provider, 'name' | (typeof CLIENT_STORE_METHODS)[number]>;
