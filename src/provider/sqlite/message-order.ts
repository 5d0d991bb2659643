// In which order messages are handed out. Neighbours: orchestrator-queue.ts hands them out, dumps.ts takes them along.

/** What of a message tells its place. */
export type OrderedMessage = {
  readonly message_id: number;
  /** 0: the start message; else see migrations.ts. */
  readonly visible_at: number;
  readonly arrived_at: number;
  readonly timer_id: number | null;
};

/**
 * Puts messages in the order of their arrival, a timer arriving when it is due; but messages keep their own order also when the clock jumped back.
 *
 * @param rows - of one instance, in the order of the table
 * @returns the same in the order of the hand-out
 */
export function inOrder<Row extends OrderedMessage>(rows: readonly Row[]): readonly Row[] {
  // Most turns have no timer, or nothing else: the store's order is right then.
  if (!rows.some((row) => row.timer_id !== null) || rows.every((row) => row.timer_id !== null)) return rows;
  const messages = rows.filter((row) => row.timer_id === null);
  const timers = rows.filter((row) => row.timer_id !== null);
  const ordered: Row[] = [];
  for (const message of messages) {
    while (message.visible_at > 0 && timers[0] !== undefined && isOlder(timers[0], message)) ordered.push(...timers.splice(0, 1));
    ordered.push(message);
  }
  return [...ordered, ...timers];
}

/** Equally old: who was added first comes first. */
function isOlder(timer: OrderedMessage, message: OrderedMessage): boolean {
  return timer.visible_at === message.arrived_at ? timer.message_id < message.message_id : timer.visible_at < message.arrived_at;
}
