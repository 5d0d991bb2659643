// The demo store's code after a careless change: the licence is charged before it is reserved.
import { defineOrchestration } from 'duraloom';

export { campaign, film, mailing, order, ping, refund, shipment, tally } from './orchestrations.ts';

/** As in `orchestrations.ts`, with another first step. */
export const renewal = defineOrchestration('renewal', async (ctx, customer: string) => {
  await ctx.scheduleActivity('charge', { order: customer, amount: 10 });
  await ctx.waitForEvent('paid');
  return 'renewed';
});
