// Activities of the process of row W10 that is killed: they are under way until then. Loaded in its activity threads.
import { defineActivity, type ActivityDefinition } from 'duraloom';

/** Stands for `work` of activities.ts. */
export const work: ActivityDefinition<'work', number, { readonly r: number }> = defineActivity('work', () => new Promise(() => undefined));
