// What activities and rows have to agree on. Apart, because the modules that threads load may export definitions only.

/** How long an activity of the rows W1d and W5 takes. */
export const ACTIVITY_MS = 10;
