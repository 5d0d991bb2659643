// How a loop ends the thread that it runs in, when it cannot go on: so that main hears of it and gives back what it had.
// Neighbours: the entries of the threads; inline the pool closes the channel instead (thread-pool.ts).

/**
 * Ends this thread with an error that nobody handles.
 *
 * @param error - why
 */
export function endThread(error: unknown): void {
  // Not here: the caller may be a promise.
  process.nextTick(() => {
    // With a handler of user code the thread would live on, and nobody would answer in it.
    process.removeAllListeners('uncaughtException');
    throw error;
  });
}
