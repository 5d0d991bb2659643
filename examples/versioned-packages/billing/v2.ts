// Version 2: invoices with tax.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

export const invoice2_0 = defineOrchestration(
  'invoice',
  async (ctx, amount: number) => {
    // Plain names: the prefix that the host chose is put before them.
    const { charge, tax } = ctx.activities<typeof activities>();
    const cents = Math.round(amount * 100);
    const added = await tax(cents);
    return `${await charge(cents + added)}, ${added} of them tax`;
  },
  { version: '2.0.0' },
);
