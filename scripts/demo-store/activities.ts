// Activities of the demo store.
import { defineActivity } from 'duraloom';

/** Takes goods from the shelf. */
export const reserve = defineActivity('reserve', async (_ctx, item: string) => ({ item, shelf: `S-${item.length}` }));

/** Fails twice, then goes through: to have something to retry. */
export const charge = defineActivity('charge', async (ctx, { order, amount }: { readonly order: string; readonly amount: number }) => {
  ctx.log.info('charging', { attempt: ctx.attempt });
  if (ctx.attempt < 3) throw new Error(`the bank did not answer (try ${ctx.attempt})`);
  return { order, amount, receipt: `R-${order}` };
});

/** Never goes through. */
export const payOut = defineActivity('payOut', async (_ctx, amount: number) => {
  throw new Error(`the account has no ${amount} left`);
});

/** Prints a label. */
export const label = defineActivity('label', async (_ctx, parcel: string) => `label of ${parcel}`);

/** Renders something, for who has the machine for it. */
export const render = defineActivity('render', async (_ctx, scene: string) => `${scene}.png`);
