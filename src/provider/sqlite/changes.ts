// What the running transaction changed that somebody may wait for. Neighbours: whoever changes it notes it, sqlite-provider.ts wakes the
// waiters after the commit and forgets it with a rollback. Noting too much only costs a look.

/** Names of what changed. */
export type StoreChanges = {
  /** Instances that ended, stopped or were replaced, whose custom status or values changed, or whose messages with a key were received. */
  readonly instances: Set<string>;
  /** Sessions that got messages. */
  readonly sessions: Set<string>;
};
