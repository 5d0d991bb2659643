// A saga: each step that succeeds leaves its compensation behind; a failure runs them in reverse order.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

export const bookTrip = defineOrchestration('bookTrip', async (ctx, kinds: readonly string[]) => {
  const { book, undo } = ctx.activities<typeof activities>();
  const bookings: string[] = [];
  try {
    for (const kind of kinds) bookings.push(await book({ trip: ctx.instanceId, kind }));
    return { booked: bookings, undone: [] };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    ctx.log.warn(`the trip fails: ${reason}`);
    const undone = bookings.toReversed();
    for (const booking of undone) await undo(booking);
    return { booked: [], undone, reason };
  }
});
