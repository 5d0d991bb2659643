// Loaded by the activity threads. Activities do the real work and may do anything.
import { defineActivity } from 'duraloom';

export const greet = defineActivity('greet', async (_ctx, name: string) => `Hello, ${name}!`);
