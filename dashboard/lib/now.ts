// A clock for the screen: ticks once a second while the page is visible.
import { signal } from '@preact/signals';

/** Now, in epoch milliseconds, to the second. */
export const now = signal(Date.now());

setInterval(() => {
  if (document.visibilityState === 'visible') now.value = Date.now();
}, 1000);
