// Bookings and their compensations. An activity may run more than once, so what it does outside needs a key that stays the same:
// here the trip and the kind of booking.
import { defineActivity } from 'duraloom';

/** One thing to book for a trip. */
type Booking = { readonly trip: string; readonly kind: string };

export const book = defineActivity('book', (ctx, { trip, kind }: Booking) => {
  // What the car company answers.
  if (kind === 'car') throw new Error('no car left');
  ctx.log.info(`booked the ${kind}`);
  return `${trip}/${kind}`;
});

export const undo = defineActivity('undo', (ctx, booking: string) => {
  ctx.log.info(`gave back ${booking}`);
});
