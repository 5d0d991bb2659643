// A table of which only the rows on the screen exist: 100,000 of them scroll like 100. It stays a real table for screen readers, with the whole
// count and each row's number. Arrow keys go from row to row; Tab goes through one row and out: it would never end otherwise.
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

/** A column of a table. */
export type Column = {
  readonly id: string;
  readonly head: ComponentChildren;
  /** Class of the head and of the column: it says how wide it is and when it is hidden. */
  readonly className?: string;
  /** How the rows are sorted by it. */
  readonly sort?: 'ascending' | 'descending' | undefined;
};

type Props = {
  readonly label: string;
  readonly columns: readonly Column[];
  readonly count: number;
  readonly rowPx: number;
  /** The cells of a row. */
  readonly row: (index: number) => ComponentChildren;
  /** What a row is of: its element, and the focus in it, goes with that when rows come and go above it. */
  readonly rowKey: (index: number) => string | number;
  readonly rowProps?: (index: number) => JSX.HTMLAttributes<HTMLTableRowElement>;
  /** The last rows came near: load more. */
  readonly onNearEnd?: () => void;
  /** Told which rows are on the screen. */
  readonly onVisible?: (first: number, last: number) => void;
  /** Row to bring into view; changes scroll to it. */
  readonly shown?: number | null;
  readonly empty?: ComponentChildren;
  readonly className?: string;
};

/** What can have the focus in a row; the first of the second list has it when the row is gone to. */
const CONTROLS = 'a, button, input';
const MAIN_CONTROLS = 'a, button';

/** Rows beyond both borders of the screen. Reason: the browser scrolls before the script draws. */
const MARGIN_ROWS = 12;

/**
 * Shows a long table.
 *
 * @param props - its columns and rows
 * @returns the table in its own scrolling region
 */
export function VirtualTable(props: Props): JSX.Element {
  const { count, rowPx, columns } = props;
  const place = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(600);
  const wanted = useRef<number | null>(null);
  /** The row that Tab goes to. */
  const current = useRef(0);

  useLayoutEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => (height.value = element.clientHeight));
    observer.observe(element);
    height.value = element.clientHeight;
    return () => observer.disconnect();
  }, []);

  const first = Math.max(0, Math.min(count, Math.floor(top.value / rowPx)) - MARGIN_ROWS);
  const last = Math.min(count, Math.ceil((top.value + height.value) / rowPx) + MARGIN_ROWS);

  const { onNearEnd, onVisible, shown } = props;
  useEffect(() => onVisible?.(first, last), [first, last, onVisible]);
  useEffect(() => {
    if (last >= count - MARGIN_ROWS) onNearEnd?.();
  }, [last, count, onNearEnd]);

  const reveal = (index: number): void => {
    const element = place.current;
    if (element === null) return;
    const headPx = element.querySelector('thead')?.clientHeight ?? 0;
    const from = index * rowPx;
    if (from < element.scrollTop) element.scrollTop = from;
    else if (from + rowPx + headPx > element.scrollTop + element.clientHeight)
      element.scrollTop = from + rowPx + headPx - element.clientHeight;
  };

  useEffect(() => {
    if (shown !== null && shown !== undefined) reveal(shown);
  }, [shown]);

  // A row that was to get the focus exists only after it was drawn.
  useEffect(() => {
    if (wanted.current === null) return;
    const row = place.current?.querySelector<HTMLElement>(`tr[data-index="${wanted.current}"]`);
    if (row === null || row === undefined) return;
    wanted.current = null;
    (row.querySelector<HTMLElement>(MAIN_CONTROLS) ?? row).focus({ preventScroll: true });
  });

  const rove = (): void => {
    const element = place.current;
    if (element === null) return;
    const rows = [...element.querySelectorAll<HTMLElement>('tr[data-index]')];
    const focused = rows.find((row) => row.contains(document.activeElement));
    if (focused !== undefined) current.current = Number(focused.dataset['index']);
    const isDrawn = rows.some(({ dataset }) => Number(dataset['index']) === current.current);
    if (!isDrawn) current.current = Math.min(count - 1, Math.ceil(element.scrollTop / rowPx));
    for (const row of rows) {
      const tabIndex = Number(row.dataset['index']) === current.current ? 0 : -1;
      for (const control of row.querySelectorAll<HTMLElement>(CONTROLS)) control.tabIndex = tabIndex;
    }
  };
  useLayoutEffect(rove);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return;
    const pageRows = Math.max(1, Math.floor(height.value / rowPx) - 2);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: pageRows, PageUp: -pageRows, Home: -count, End: count };
    const step = Object.hasOwn(steps, event.key) ? steps[event.key as keyof typeof steps] : undefined;
    if (step === undefined || count === 0) return;
    const row = event.target instanceof Element ? event.target.closest('tr[data-index]') : null;
    const from = row instanceof HTMLElement ? Number(row.dataset['index']) : Math.ceil(top.value / rowPx) - 1;
    event.preventDefault();
    event.stopPropagation();
    focusRow(Math.max(0, Math.min(count - 1, from + step)));
  };

  const focusRow = (index: number): void => {
    wanted.current = index;
    reveal(index);
    const element = place.current;
    // Nothing is drawn again when nothing scrolled: then the row is there.
    const row = element?.querySelector<HTMLElement>(`tr[data-index="${index}"]`);
    if (row === null || row === undefined) return;
    wanted.current = null;
    (row.querySelector<HTMLElement>(MAIN_CONTROLS) ?? row).focus({ preventScroll: true });
  };

  return (
    // A region that scrolls must be reachable by keyboard.
    <div
      class={`virtual ${props.className ?? ''}`}
      ref={place}
      tabIndex={0}
      role="region"
      aria-label={props.label}
      onScroll={(event) => (top.value = event.currentTarget.scrollTop)}
      onKeyDown={onKeyDown}
      onFocusIn={rove}
    >
      <table aria-rowcount={count + 1}>
        <caption class="hidden">{props.label}</caption>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map(({ id, head, className, sort }) => (
              <th key={id} scope="col" class={className} aria-sort={sort}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <Spacer px={first * rowPx} />}
          {Array.from({ length: Math.max(0, last - first) }, (_, offset) => {
            const index = first + offset;
            return (
              <tr
                key={props.rowKey(index)}
                data-index={index}
                aria-rowindex={index + 2}
                style={{ height: `${rowPx}px` }}
                {...props.rowProps?.(index)}
              >
                {props.row(index)}
              </tr>
            );
          })}
          {last < count && <Spacer px={(count - last) * rowPx} />}
        </tbody>
      </table>
      {count === 0 && props.empty !== undefined && <div class="empty">{props.empty}</div>}
    </div>
  );
}

/** One cell, not one over all columns: it would bring back those that are hidden on small screens. */
function Spacer({ px }: { readonly px: number }): JSX.Element {
  return (
    <tr aria-hidden="true" class="spacer">
      <td style={{ height: `${px}px` }} />
    </tr>
  );
}
