// Activities have no versions: what an old orchestration calls must stay.
import { defineActivity } from 'duraloom';

export const charge = defineActivity('charge', (_ctx, cents: number) => `charged ${cents} cents`);

/** Since version 2. */
export const tax = defineActivity('tax', (_ctx, cents: number) => Math.round(cents * 0.19));
