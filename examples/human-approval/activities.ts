// What happens after the decision.
import { defineActivity } from 'duraloom';

/** An expense that was approved. */
type Payment = { readonly title: string; readonly amount: number };

export const pay = defineActivity('pay', async (ctx, { title, amount }: Payment) => `paid ${amount} for ${title} (${ctx.instanceId})`);
