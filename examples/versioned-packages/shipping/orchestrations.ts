// Ships, then sends an invoice by the other package.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

/** What is to be sent. */
type Parcel = { readonly title: string; readonly price: number };

export const ship = defineOrchestration('ship', async (ctx, { title, price }: Parcel) => {
  const { charge } = ctx.activities<typeof activities>();
  const loaded = await charge(title);
  // A name that begins with '/' is taken as it is. This package was written for version 1 of the other one.
  const invoice = await ctx.scheduleSubOrchestration<string>('/billing.invoice', price, { version: '^1.0' });
  return `${loaded}, ${invoice}`;
});
