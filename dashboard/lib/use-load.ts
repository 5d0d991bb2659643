// Loads data for a component: the last answer stays on the screen while the next one is on its way, and an error is shown beside it.
import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { isSilence, loginNeeded, recoveries } from './api.ts';

/** What is known of something that is loaded. */
export type Loaded<T> = {
  readonly value: Signal<T | null>;
  readonly error: Signal<unknown>;
  readonly isLoading: Signal<boolean>;
  /** Loads again; calls while it loads are joined to one after it. */
  readonly reload: () => void;
};

/** When it is loaded again. */
export type Again = {
  /** Every so often while somebody can see the page. */
  readonly everyMs?: number;
  /** Whenever this changes. Unlike another key it does not end a request that is under way: what changes all the time would never be loaded. */
  readonly revision?: string;
};

/**
 * Loads data when the component appears and whenever the key changes.
 *
 * @param key - what is loaded; null: nothing
 * @param load - asks for it
 * @param again - when it is loaded again
 * @returns what is known
 */
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, { everyMs, revision }: Again = {}): Loaded<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal<unknown>(null);
  const isLoading = useSignal(false);
  const latest = useRef(load);
  latest.current = load;
  const again = useRef<() => void>(() => undefined);

  useEffect(() => {
    if (key === null) return undefined;
    const stop = new AbortController();
    let isBusy = false;
    let isWanted = false;
    const run = async (): Promise<void> => {
      if (isBusy) {
        isWanted = true;
        return;
      }
      isBusy = true;
      isLoading.value = true;
      try {
        const answer = await latest.current(stop.signal);
        if (stop.signal.aborted) return;
        value.value = answer;
        error.value = null;
      } catch (thrown) {
        if (!stop.signal.aborted && !isSilence(thrown)) error.value = thrown;
      } finally {
        isBusy = false;
        if (!stop.signal.aborted) {
          isLoading.value = false;
          if (isWanted) {
            isWanted = false;
            void run();
          }
        }
      }
    };
    again.current = () => void run();
    void run();
    return () => {
      stop.abort();
      again.current = () => undefined;
    };
  }, [key, loginNeeded.value, recoveries.value]);

  const known = useRef(revision);
  useEffect(() => {
    if (known.current !== revision) again.current();
    known.current = revision;
  }, [revision]);
  useEffect(() => {
    if (everyMs === undefined) return undefined;
    const timer = setInterval(() => document.visibilityState === 'visible' && again.current(), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);

  return { value, error, isLoading, reload: () => again.current() };
}
