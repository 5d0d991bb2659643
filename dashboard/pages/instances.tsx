// The list of instances: filters, which live in the URL, sorting, live rows, selection and bulk actions.
import { useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo, useRef } from 'preact/hooks';
import { BULK_ACTIONS, BulkDialog, type BulkAction, type BulkTarget } from '../components/bulk-dialog.tsx';
import { Moment } from '../components/moment.tsx';
import { Problem } from '../components/problem.tsx';
import { Status, STATUSES } from '../components/status.tsx';
import { VirtualTable, type Column } from '../components/virtual-table.tsx';
import { loginNeeded, meta, read, token } from '../lib/api.ts';
import { oneLine } from '../lib/describe-event.ts';
import { countConditions, readFilter, TEXT_FIELDS, toConditions, toQuery, type Filter } from '../lib/filter.ts';
import { formatNumber, plural, toVisible } from '../lib/format.ts';
import { describeWaiting, InstanceList } from '../lib/instance-list.ts';
import { useShortcuts } from '../lib/keys.ts';
import { instanceHref, route, setQuery } from '../lib/router.ts';
import type { InstanceRow } from '../lib/types.ts';
import { useLoad } from '../lib/use-load.ts';

type Counts = {
  readonly count: number;
  readonly isExact: boolean;
  readonly byStatus: Readonly<Record<string, { readonly count: number; readonly isExact: boolean }>>;
};

const ROW_PX = 38;
/** How long after the last key a filter is applied. */
const TYPING_MS = 250;
const COUNTS_MS = 4000;

/**
 * The page with all instances.
 *
 * @returns the page
 */
export function InstancesPage(): JSX.Element {
  const filter = readFilter(route.value.query);
  const attempts = useSignal(0);
  const key = JSON.stringify([toQuery(filter), filter.orderBy, filter.direction, token.value, loginNeeded.value, attempts.value]);
  const list = useMemo(() => new InstanceList({ ...toQuery(filter), orderBy: filter.orderBy, direction: filter.direction }), [key]);
  useEffect(() => () => list.stop(), [list]);

  const counts = useLoad<Counts>(
    JSON.stringify(toQuery({ ...filter, status: [] })),
    (signal) => read('instance-counts', toQuery({ ...filter, status: [] }), signal),
    { everyMs: COUNTS_MS },
  );

  const selected = useSignal<ReadonlySet<string>>(new Set());
  const bulk = useSignal<{ readonly action: BulkAction; readonly target: BulkTarget } | null>(null);
  const rows = list.rows.value ?? [];
  const canWrite = meta.value?.isReadOnly === false;

  useShortcuts('Instances', [
    { keys: '/', label: 'Search', run: () => document.querySelector<HTMLInputElement>('#search')?.focus() },
    { keys: 'j', label: 'Go into the table', run: () => focusFirstRow() },
    { keys: 'x', label: 'Select the row, or not', run: () => toggleFocused() },
  ]);

  const toggle = (id: string): void => {
    const next = new Set(selected.value);
    if (!next.delete(id)) next.add(id);
    selected.value = next;
  };
  const toggleFocused = (): void => {
    const row = document.activeElement?.closest<HTMLElement>('tr[data-index]');
    const id = row === null || row === undefined ? undefined : (list.rows.value ?? [])[Number(row.dataset['index'])]?.instanceId;
    if (id !== undefined && meta.value?.isReadOnly === false) toggle(id);
  };

  const onNearEnd = useCallback(() => list.loadMore(), [list]);
  const onVisible = useCallback((first: number, last: number) => list.see(first, last), [list]);
  const shownCounts = counts.value.value;
  return (
    <>
      <div class="page-head">
        <h1>Instances</h1>
        <p class="muted" role="status">
          {shownCounts === null ? '' : `${countText(total(shownCounts, filter))} ${countConditions(filter) > 0 ? 'match' : 'in all'}`}
        </p>
      </div>
      <StatusFilter filter={filter} counts={shownCounts} />
      <Filters filter={filter} />
      <Problem error={list.error.value ?? counts.error.value} what="Loading the list" retry={() => (attempts.value += 1)} />
      {canWrite && (
        <BulkBar
          selected={selected.value.size}
          matching={shownCounts === null ? '' : countText(total(shownCounts, filter))}
          hasConditions={countConditions(filter) > 0}
          onClear={() => (selected.value = new Set())}
          onAction={(action, isAll) =>
            (bulk.value = {
              action,
              target: isAll ? { kind: 'filter', filter: toConditions(filter) } : { kind: 'selection', ids: [...selected.value] },
            })
          }
        />
      )}
      <VirtualTable
        label="Instances"
        className="instances"
        columns={columnsOf(filter, canWrite)}
        count={rows.length}
        rowPx={ROW_PX}
        rowKey={(index) => rows[index]?.instanceId ?? index}
        onNearEnd={onNearEnd}
        rowProps={(index) => (selected.value.has(rows[index]?.instanceId ?? '') ? { class: 'selected' } : {})}
        onVisible={onVisible}
        row={(index) => {
          const row = rows[index];
          return row === undefined ? null : (
            <Row row={row} canSelect={canWrite} isSelected={selected.value.has(row.instanceId)} onToggle={() => toggle(row.instanceId)} />
          );
        }}
        empty={
          list.rows.value === null
            ? list.error.value === null && 'Loading…'
            : list.hasMore.value
              ? 'Looking further back…'
              : countConditions(filter) > 0
                ? 'No instance matches. Take a condition away.'
                : 'There are no instances yet. Start one with client.startOrchestration() or duraloom start.'
        }
      />
      {bulk.value !== null && (
        <BulkDialog
          {...bulk.value}
          onClose={(isDone) => {
            bulk.value = null;
            if (isDone) selected.value = new Set();
            counts.reload();
          }}
        />
      )}
    </>
  );
}

function focusFirstRow(): void {
  document.querySelector<HTMLElement>('.virtual tr[data-index] a')?.focus();
}

function total(counts: Counts, { status }: Filter): { readonly count: number; readonly isExact: boolean } {
  if (status.length === 0) return counts;
  const chosen = status.flatMap((name) => counts.byStatus[name] ?? []);
  return { count: chosen.reduce((sum, { count }) => sum + count, 0), isExact: chosen.every(({ isExact }) => isExact) };
}

function countText({ count, isExact }: { readonly count: number; readonly isExact: boolean }): string {
  return isExact ? plural(count, 'instance') : `${formatNumber(count)}+ instances`;
}

function columnsOf({ orderBy, direction }: Filter, canSelect: boolean): readonly Column[] {
  const sortable = (id: string, text: string, className: string): Column => {
    const isSorted = orderBy === id;
    const isDown = direction === 'desc';
    return {
      id,
      className,
      sort: isSorted ? (isDown ? 'descending' : 'ascending') : undefined,
      head: (
        <button
          type="button"
          class="sort"
          onClick={() => setQuery({ orderBy: id === 'createdAt' ? '' : id, direction: isSorted && isDown ? 'asc' : '' })}
        >
          {text}
          <span aria-hidden="true">{isSorted ? (isDown ? ' ↓' : ' ↑') : ''}</span>
        </button>
      ),
    };
  };
  return [
    ...(canSelect ? [{ id: 'select', head: <span class="hidden">Selected</span>, className: 'c-check' }] : []),
    { id: 'status', head: 'Status', className: 'c-status' },
    sortable('id', 'Instance', 'c-id'),
    { id: 'name', head: 'Orchestration', className: 'c-name' },
    { id: 'waiting', head: 'Waiting for', className: 'c-waiting' },
    { id: 'custom', head: 'Custom status', className: 'c-custom' },
    { id: 'events', head: 'Events', className: 'c-number' },
    sortable('createdAt', 'Created', 'c-time'),
    { id: 'updated', head: 'Updated', className: 'c-time c-updated' },
    sortable('endedAt', 'Ended', 'c-time c-ended'),
  ];
}

type RowProps = { readonly row: InstanceRow; readonly canSelect: boolean; readonly isSelected: boolean; readonly onToggle: () => void };

function Row({ row, canSelect, isSelected, onToggle }: RowProps): JSX.Element {
  const custom = row.damage === null ? (row.customStatus ?? null) : `Damaged: ${row.damage}`;
  const customText = custom === null ? '' : shortText(custom);
  const waiting = describeWaiting(row);
  return (
    <>
      {canSelect && (
        <td class="c-check">
          <input type="checkbox" checked={isSelected} onChange={onToggle} aria-label={`Select ${row.instanceId}`} />
        </td>
      )}
      <td class="c-status">
        <Status status={row.status} />
      </td>
      <td class="c-id">
        <a href={instanceHref(row.instanceId)} title={row.instanceId}>
          {toVisible(row.instanceId)}
        </a>
      </td>
      <td class="c-name" title={row.version === null ? row.name : `${row.name} ${row.version}`}>
        {row.name} <span class="muted">{row.version}</span>
      </td>
      <td class="c-waiting" title={waiting}>
        {waiting}
      </td>
      <td class="c-custom" title={customText}>
        {customText}
      </td>
      <td class="c-number">{formatNumber(row.eventCount)}</td>
      <td class="c-time">
        <Moment at={row.createdAt} />
      </td>
      <td class="c-time c-updated">
        <Moment at={row.updatedAt} />
      </td>
      <td class="c-time c-ended">
        <Moment at={row.endedAt} />
      </td>
    </>
  );
}

/** A custom status may be large: the row shows its beginning. One of few plain fields is shown without the signs of JSON. */
function shortText(value: unknown): string {
  const isFlat =
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every((part) => typeof part !== 'object');
  return isFlat
    ? oneLine(
        Object.entries(value)
          .map(([name, part]) => `${name}: ${String(part)}`)
          .join(', '),
      )
    : oneLine(value);
}

function StatusFilter({ filter, counts }: { readonly filter: Filter; readonly counts: Counts | null }): JSX.Element {
  const toggle = (status: string): void => {
    const next = filter.status.includes(status) ? filter.status.filter((one) => one !== status) : [...filter.status, status];
    setQuery({ status: next.join(',') });
  };
  return (
    <div class="chips" role="group" aria-label="Status">
      {STATUSES.map((status) => {
        const count = counts?.byStatus[status];
        return (
          <button key={status} type="button" class="chip" aria-pressed={filter.status.includes(status)} onClick={() => toggle(status)}>
            <Status status={status} />
            <span class="count">{count === undefined ? '' : `${formatNumber(count.count)}${count.isExact ? '' : '+'}`}</span>
          </button>
        );
      })}
    </div>
  );
}

function Filters({ filter }: { readonly filter: Filter }): JSX.Element {
  const isOpen = useSignal(TEXT_FIELDS.some((name) => name !== 'search' && name !== 'name' && filter[name] !== ''));
  const hidden = useComputed(() => !isOpen.value);
  return (
    <form class="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <TextFilter id="search" name="search" label="Search in ids" value={filter.search} />
      <TextFilter name="name" label="Orchestration" value={filter.name} />
      <button type="button" aria-expanded={isOpen.value} aria-controls="more-filters" onClick={() => (isOpen.value = !isOpen.value)}>
        {isOpen.value ? 'Fewer filters' : 'More filters'}
      </button>
      {countConditions(filter) > 0 && (
        <button
          type="button"
          class="quiet"
          onClick={() => setQuery(Object.fromEntries(['status', ...TEXT_FIELDS].map((name) => [name, ''])))}
        >
          Clear filters
        </button>
      )}
      <div id="more-filters" class="more-filters" hidden={hidden.value}>
        <TextFilter name="version" label="Version" value={filter.version} />
        <TextFilter name="tag" label="Tag" value={filter.tag} />
        <TextFilter name="attributes" label="Attributes" value={filter.attributes} placeholder="customer=ada, vip" />
        <TextFilter name="createdAfter" label="Created after" value={filter.createdAfter} type="datetime-local" />
        <TextFilter name="createdBefore" label="Created before" value={filter.createdBefore} type="datetime-local" />
        <TextFilter name="updatedAfter" label="Updated after" value={filter.updatedAfter} type="datetime-local" />
        <TextFilter name="updatedBefore" label="Updated before" value={filter.updatedBefore} type="datetime-local" />
      </div>
    </form>
  );
}

type TextFilterProps = {
  readonly name: string;
  readonly label: string;
  readonly value: string;
  readonly id?: string;
  readonly type?: string;
  readonly placeholder?: string;
};

function TextFilter({ name, label, value, id, type = 'text', placeholder }: TextFilterProps): JSX.Element {
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const typed = useSignal(value);
  const sent = useRef(value);
  // Somebody else changed it, such as the back button.
  if (value !== sent.current) {
    clearTimeout(timer.current);
    sent.current = value;
    typed.value = value;
  }
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <label class="field">
      {label}
      <input
        id={id}
        type={type}
        value={typed.value}
        placeholder={placeholder}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => {
          const text = event.currentTarget.value;
          typed.value = text;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => {
            sent.current = text;
            setQuery({ [name]: text });
          }, TYPING_MS);
        }}
      />
    </label>
  );
}

type BulkBarProps = {
  readonly selected: number;
  readonly matching: string;
  /** Without any, all instances of the store would match: nobody means these by accident. */
  readonly hasConditions: boolean;
  readonly onClear: () => void;
  readonly onAction: (action: BulkAction, isAll: boolean) => void;
};

function BulkBar({ selected, matching, hasConditions, onClear, onAction }: BulkBarProps): JSX.Element {
  const wantsAll = useSignal(false);
  const isAll = wantsAll.value && hasConditions;
  const count = isAll ? 'all matching' : `${formatNumber(selected)} selected`;
  return (
    <div class="bulk" role="group" aria-label="Bulk actions">
      <label class="check">
        <input
          type="checkbox"
          checked={isAll}
          disabled={!hasConditions}
          onChange={(event) => (wantsAll.value = event.currentTarget.checked)}
        />{' '}
        All that match <span class="muted">({hasConditions ? matching : 'choose a status or another filter first'})</span>
      </label>
      <span aria-live="polite">{count}</span>
      {selected > 0 && (
        <button type="button" class="quiet small" onClick={onClear}>
          Clear selection
        </button>
      )}
      <span class={`bulk-actions ${isAll || selected > 0 ? '' : 'idle'}`}>
        {BULK_ACTIONS.map((action) => (
          <button
            key={action}
            type="button"
            class={`small ${action === 'delete' || action === 'terminate' ? 'danger-quiet' : ''}`}
            disabled={!isAll && selected === 0}
            onClick={() => onAction(action, isAll)}
          >
            {`${action[0]?.toUpperCase()}${action.slice(1)}…`}
          </button>
        ))}
      </span>
    </div>
  );
}
