// Version 1 of the package, with the release that mended its rounding.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

export const invoice1_0 = defineOrchestration(
  'invoice',
  async (ctx, amount: number) => {
    const { charge } = ctx.activities<typeof activities>();
    return await charge(Math.floor(amount * 100));
  },
  { version: '1.0.0' },
);

export const invoice1_1 = defineOrchestration(
  'invoice',
  async (ctx, amount: number) => {
    const { charge } = ctx.activities<typeof activities>();
    return await charge(Math.round(amount * 100));
  },
  { version: '1.1.0' },
);
