// What the package does.
import { defineActivity } from 'duraloom';

/** The name is one that the other package has, too: the prefix keeps them apart. */
export const charge = defineActivity('charge', (_ctx, parcel: string) => `loaded ${parcel}`);
