// The rows of the list: the first page is live, by a stream; further pages are loaded as the user comes near them, and what is on the screen of
// them is read again from time to time. Neighbour: pages/instances.tsx.
import { signal } from '@preact/signals';
import { read, type ApiError } from './api.ts';
import { listen } from './stream.ts';
import type { InstancePage, InstanceRow, Query } from './types.ts';

const FIRST_PAGE = 100;
const NEXT_PAGE = 500;
/** How often a page on the screen is read again. */
const REFRESH_MS = 4000;

/** How rows are ordered. */
export type Order = { readonly orderBy: string; readonly direction: string };

/** A list that is shown. Ended by `stop`. */
export class InstanceList {
  /** The rows so far, in order; null: not one page has come. */
  readonly rows = signal<readonly InstanceRow[] | null>(null);
  /** What went wrong last, in the server's words; null: nothing. */
  readonly error = signal<unknown>(null);
  /** True: there are more rows than `rows`. */
  readonly hasMore = signal(false);

  readonly #query: Query;
  readonly #order: Order;
  readonly #stop = new AbortController();
  /** Cursor of the page that each row came with; rows of the live page have none. */
  readonly #cursorOf = new Map<string, string>();
  #next: string | null = null;
  #isLoading = false;
  #visible: readonly [number, number] = [0, 0];
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(query: Query, order: Order) {
    this.#query = { ...query, ...order };
    this.#order = order;
    const stopStream = listen(
      'streams/instances',
      { ...this.#query, limit: FIRST_PAGE },
      {
        onEvent: ({ event, data }) => {
          if (event === 'instances') this.#takeFirst(JSON.parse(data) as InstancePage);
        },
        onRefused: (error: ApiError) => (this.error.value = error),
      },
    );
    this.#stop.signal.addEventListener('abort', stopStream);
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS);
  }

  /** Ends it: nothing is loaded any more. */
  stop(): void {
    this.#stop.abort();
    clearInterval(this.#timer);
  }

  /**
   * Notes which rows are on the screen.
   *
   * @param first - index of the first
   * @param last - index after the last
   */
  see(first: number, last: number): void {
    this.#visible = [first, last];
  }

  /** Loads the page after the last one. */
  async loadMore(): Promise<void> {
    const cursor = this.#next;
    if (cursor === null || this.#isLoading) return;
    this.#isLoading = true;
    try {
      const page = await read<InstancePage>('instances', { ...this.#query, cursor, limit: NEXT_PAGE }, this.#stop.signal);
      const rows = this.rows.value ?? [];
      const known = new Set(rows.map(({ instanceId }) => instanceId));
      for (const { instanceId } of page.instances) this.#cursorOf.set(instanceId, cursor);
      this.#next = page.cursor;
      this.hasMore.value = page.cursor !== null;
      this.error.value = null;
      this.rows.value = [...rows, ...page.instances.filter(({ instanceId }) => !known.has(instanceId))];
    } catch (error) {
      if (!this.#stop.signal.aborted) this.error.value = error;
    } finally {
      this.#isLoading = false;
    }
  }

  /** Rows that the live page has pushed out stay; those that it would still have are gone. */
  #takeFirst(page: InstancePage): void {
    const before = this.rows.value ?? [];
    const live = new Set(page.instances.map(({ instanceId }) => instanceId));
    for (const id of live) this.#cursorOf.delete(id);
    const end = page.instances.at(-1);
    const rest =
      page.cursor === null || end === undefined
        ? []
        : before.filter((row) => !live.has(row.instanceId) && compareRows(row, end, this.#order) > 0);
    if (rest.length === 0) this.#next = page.cursor;
    this.hasMore.value = this.#next !== null;
    this.error.value = null;
    this.rows.value = [...page.instances, ...rest];
  }

  /** Reads the pages on the screen again; rows of them that are no longer there go. */
  async #refresh(): Promise<void> {
    const rows = this.rows.value;
    if (rows === null || document.visibilityState !== 'visible') return;
    const cursors = new Set<string>();
    for (const { instanceId } of rows.slice(...this.#visible)) {
      const cursor = this.#cursorOf.get(instanceId);
      if (cursor !== undefined) cursors.add(cursor);
    }
    for (const cursor of cursors) {
      try {
        const page = await read<InstancePage>('instances', { ...this.#query, cursor, limit: NEXT_PAGE }, this.#stop.signal);
        const fresh = new Map(page.instances.map((row) => [row.instanceId, row]));
        const end = page.cursor === null ? undefined : page.instances.at(-1);
        this.rows.value = (this.rows.value ?? []).flatMap((row) => {
          const newer = fresh.get(row.instanceId);
          if (newer !== undefined) return [newer];
          const isGone = this.#cursorOf.get(row.instanceId) === cursor && (end === undefined || compareRows(row, end, this.#order) < 0);
          return isGone ? [] : [row];
        });
      } catch (error) {
        if (!this.#stop.signal.aborted) this.error.value = error;
        return;
      }
    }
  }
}

/** As the server orders them: by the field, then by the id. Below 0: `a` comes first. */
function compareRows(a: InstanceRow, b: InstanceRow, { orderBy, direction }: Order): number {
  const sign = direction === 'desc' ? -1 : 1;
  const byId = a.instanceId < b.instanceId ? -1 : a.instanceId > b.instanceId ? 1 : 0;
  if (orderBy === 'id') return sign * byId;
  const [left, right] = orderBy === 'endedAt' ? [a.endedAt ?? '', b.endedAt ?? ''] : [a.createdAt, b.createdAt];
  const byTime = left < right ? -1 : left > right ? 1 : 0;
  return sign * (byTime === 0 ? byId : byTime);
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
