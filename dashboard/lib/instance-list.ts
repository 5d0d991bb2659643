// The rows of the list, in pages. The first page is live by a stream; of the others, those on the screen are read again every second, as often as the
// server looks for the stream. Neighbour: pages/instances.tsx.
//
// L1. A page begins where the one before it ends: whenever one is read again, the cursor of the next one changes with it.
// L2. Rows that were pushed out of a page stand at the beginning of the next one until that one is read, too.
// L3. Nothing grows for ever: a page that is not on the screen and has been pushed too much into goes, and all behind it; scrolling loads them again.
// L4. Above the screen nothing moves: while the first page is not on it, its news wait.
// L5. A page may have no rows and not be the last one: what is wanted is read on and on, until there are rows or the list ends. Stretches without rows
//     are read once only, or a filter that nothing meets would keep the server busy.
import { signal } from '@preact/signals';
import { isSilence, read, type ApiError } from './api.ts';
import { listen } from './stream.ts';
import type { InstancePage, InstanceRow, Query } from './types.ts';

const FIRST_PAGE = 100;
const NEXT_PAGE = 200;
const LARGEST_PAGE = 2 * NEXT_PAGE;
/** How often pages on the screen are read again. */
const REFRESH_MS = 1000;

type Page = {
  /** Where it begins; null: at the beginning of the list. */
  readonly cursor: string | null;
  readonly rows: readonly InstanceRow[];
  /** Index of its first row in the list. */
  readonly from: number;
};

/** A list that is shown. Ended by `stop`. */
export class InstanceList {
  /** The rows so far, in order; null: not one page has come. */
  readonly rows = signal<readonly InstanceRow[] | null>(null);
  /** What went wrong last, in the server's words; null: nothing. */
  readonly error = signal<unknown>(null);
  /** Whether there may be more rows than those so far. */
  readonly hasMore = signal(false);

  readonly #query: Query;
  readonly #stop = new AbortController();
  #pages: readonly Page[] = [];
  /** Where the page after the last one begins; null: there is none. */
  #next: string | null = null;
  /** News of the first page that wait until it is on the screen. */
  #news: InstancePage | null = null;
  #isLoading = false;
  /** More rows were asked for, and none have come since. */
  #isMoreWanted = false;
  #visible: readonly [number, number] = [0, 0];
  #timer: ReturnType<typeof setTimeout>;

  /**
   * @param query - filter and order
   */
  constructor(query: Query) {
    this.#query = query;
    const stopStream = listen(
      'streams/instances',
      { ...query, limit: FIRST_PAGE },
      {
        onEvent: ({ event, data }) => {
          if (event === 'instances') this.#takeFirst(JSON.parse(data) as InstancePage);
        },
        onRefused: (error: ApiError) => (this.error.value = error),
      },
    );
    this.#stop.signal.addEventListener('abort', stopStream);
    this.#timer = setTimeout(() => void this.#refresh(), REFRESH_MS);
  }

  /** Ends it: nothing is loaded any more. */
  stop(): void {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  /**
   * Notes which rows are on the screen.
   *
   * @param first - index of the first
   * @param last - index after the last
   */
  see(first: number, last: number): void {
    this.#visible = [first, last];
    if (this.#news !== null && this.#isSeen(0)) this.#takeFirst(this.#news);
  }

  /** Asks for more rows: they are loaded as soon as that is possible. */
  loadMore(): void {
    this.#isMoreWanted = true;
    void this.#load();
  }

  #takeFirst(page: InstancePage): void {
    if (this.#pages.length > 0 && !this.#isSeen(0)) {
      this.#news = page;
      return;
    }
    this.#news = null;
    this.#take(0, null, page);
  }

  /** Loads, then waits. */
  async #refresh(): Promise<void> {
    if (document.visibilityState === 'visible') await this.#load(() => this.#readAgain());
    if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => void this.#refresh(), REFRESH_MS);
  }

  /** Reads the pages on the screen again, one after the other. */
  async #readAgain(): Promise<void> {
    for (let index = 1; index < this.#pages.length; index += 1) {
      const cursor = this.#pages[index]?.cursor ?? null;
      if (cursor === null || !this.#isSeen(index) || this.#isBarren(index)) continue;
      const page = await this.#read(cursor);
      // The page before it was pushed into meanwhile: next time.
      if (this.#pages[index]?.cursor === cursor) this.#take(index, cursor, page);
    }
  }

  /** One request at a time. What is wanted then is loaded, too; what failed is tried again by the next refresh. */
  async #load(readFirst?: () => Promise<void>): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    try {
      await readFirst?.();
      while (this.#isMoreWanted && this.#next !== null) {
        const cursor: string = this.#next;
        const page = await this.#read(cursor);
        // The list may end elsewhere meanwhile.
        if (this.#next === cursor) this.#take(this.#pages.length, cursor, page);
      }
    } catch (error) {
      if (!this.#stop.signal.aborted && !isSilence(error)) this.error.value = error;
    } finally {
      this.#isLoading = false;
    }
  }

  #read(cursor: string): Promise<InstancePage> {
    return read<InstancePage>('instances', { ...this.#query, cursor, limit: NEXT_PAGE }, this.#stop.signal);
  }

  #take(index: number, cursor: string | null, { instances, cursor: end }: InstancePage): void {
    const pages = this.#pages.slice(0, index);
    pages.push({ cursor, rows: instances, from: 0 });
    let follows = end;
    const next = this.#pages[index + 1];
    if (end !== null && next !== undefined) {
      const before = this.#pages[index]?.rows ?? [];
      const stayed = new Set(instances.map(({ instanceId }) => instanceId));
      const pushed = before.slice(before.findLastIndex(({ instanceId }) => stayed.has(instanceId)) + 1);
      if (pushed.length + next.rows.length <= LARGEST_PAGE || this.#isSeen(index + 1)) {
        pages.push({ ...next, cursor: end, rows: [...pushed, ...next.rows] }, ...this.#pages.slice(index + 2));
        follows = this.#next;
      }
    }
    this.#next = follows;
    const count = this.rows.value?.length ?? 0;
    const shown = this.#show(pages);
    // Who sees the list asks again when its length changed; its end may be on the screen without that.
    if (shown > count) this.#isMoreWanted = false;
    if (this.#visible[1] >= shown) this.#isMoreWanted = true;
    if (this.#isMoreWanted) void this.#load();
  }

  /** A row is shown once, where it comes first: an instance that moved may stand in a page that was not read again. */
  #show(pages: readonly Page[]): number {
    const known = new Set<string>();
    const rows: InstanceRow[] = [];
    this.#pages = pages.map((page) => {
      const from = rows.length;
      const fresh = page.rows.filter(({ instanceId }) => !known.has(instanceId));
      for (const row of fresh) {
        known.add(row.instanceId);
        rows.push(row);
      }
      return { ...page, rows: fresh, from };
    });
    this.error.value = null;
    this.hasMore.value = this.#next !== null;
    this.rows.value = rows;
    return rows.length;
  }

  /** Without a row, as the page before it. One after rows is read again: rows that are added at the end of the list come into it. */
  #isBarren(index: number): boolean {
    return [index - 1, index].every((at) => this.#pages[at]?.rows.length === 0);
  }

  #isSeen(index: number): boolean {
    const page = this.#pages[index];
    const [first, last] = this.#visible;
    return page !== undefined && page.from <= last && first <= page.from + page.rows.length;
  }
}

/**
 * Says in a word what a row waits for.
 *
 * @param row - of the list
 * @returns such as `2 activities (1 running), 1 timer`; empty when it has ended
 */
export function describeWaiting({ waitingFor, status }: InstanceRow): string {
  if (waitingFor === null) return '';
  if (status === 'Suspended') return 'an operator (suspended)';
  if (status === 'Quarantined') return 'an operator (quarantined)';
  const count = (number: number, one: string, many: string): string =>
    number === 0 ? '' : `${number > 999 ? '1,000+' : number} ${number === 1 ? one : many}`;
  const { activities, runningActivities, timers, messages, children } = waitingFor;
  const running = runningActivities > 0 ? ` (${runningActivities} running)` : '';
  const parts = [
    activities > 0 ? `${count(activities, 'activity', 'activities')}${running}` : '',
    count(children, 'child', 'children'),
    count(timers, 'timer', 'timers'),
    messages > 0 ? 'its next turn' : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'an event' : parts.join(', ');
}
