// Lets a test decide when an activity goes on, in every thread of this process. Neighbour: integration/fixtures/activities.ts waits on it.

/** Name of the channel between the threads of a process. */
export const GATE_CHANNEL = 'duraloom-integration-gate';

/** Lets the activities that hold under a key go on. */
export function release(key: string): void {
  const channel = new BroadcastChannel(GATE_CHANNEL);
  channel.postMessage(key);
  channel.close();
}
