// The two queues: how deep they are, what lies in them, and what can be done to an item that is stuck.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { Dialog } from '../components/dialog.tsx';
import { JsonView } from '../components/json-view.tsx';
import { Moment } from '../components/moment.tsx';
import { Problem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { VirtualTable, type Column } from '../components/virtual-table.tsx';
import { meta, messageOf, read, write } from '../lib/api.ts';
import { oneLine } from '../lib/describe-event.ts';
import { formatNumber, toVisible } from '../lib/format.ts';
import { hrefOf, instanceHref, route, setQuery } from '../lib/router.ts';
import { tell } from '../lib/toasts.ts';
import type { QueueAction } from '../../src/client/queues.ts';
import type { InstancePage, QueueEntry, QueuePage } from '../lib/types.ts';
import { useLoad } from '../lib/use-load.ts';

/** `asked`: for what; the items of one queue are not shown as those of the other. */
type Answer = QueuePage & { readonly asked: string };
type Depths = { readonly orchestratorMessages: number; readonly workItems: number };

const ROW_PX = 36;
const REFRESH_MS = 3000;
const PAGE_ITEMS = 200;
/** From this attempt on an item is marked: it may be poison. */
const SUSPECT_ATTEMPT = 3;

const QUEUES = { orchestrator: 'Orchestrator messages', worker: 'Work items' } as const;

const COLUMNS: readonly Column[] = [
  { id: 'state', head: 'State', className: 'c-status' },
  { id: 'instance', head: 'Instance', className: 'c-id' },
  { id: 'what', head: 'What', className: 'c-what' },
  { id: 'attempt', head: 'Attempts', className: 'c-number' },
  { id: 'due', head: 'Due', className: 'c-time' },
  { id: 'actions', head: 'Actions', className: 'c-actions' },
];

/**
 * The page of the queues.
 *
 * @returns the page
 */
export function QueuesPage(): JSX.Element {
  const queue = route.value.query.get('queue') === 'worker' ? 'worker' : 'orchestrator';
  const instanceId = route.value.query.get('instance') ?? '';
  const pages = useSignal(1);
  const depths = useLoad<Depths>('depths', (signal) => read('queues', {}, signal), { everyMs: REFRESH_MS });
  const asked = `${queue} ${instanceId}`;
  const items = useLoad<Answer>(
    `${asked} ${pages.value}`,
    async (signal) => ({
      asked,
      ...(await readPages({ queue, instanceId, pages: pages.value }, signal)),
    }),
    { everyMs: REFRESH_MS },
  );
  const quarantined = useLoad<InstancePage>(
    'quarantined',
    (signal) => read('instances', { status: ['Quarantined'], limit: PAGE_ITEMS }, signal),
    { everyMs: REFRESH_MS },
  );
  const reload = (): void => {
    depths.reload();
    items.reload();
    quarantined.reload();
  };
  const open = useSignal<QueueEntry | null>(null);
  const dropped = useSignal<QueueEntry | null>(null);
  const edit = async (action: QueueAction, entry: QueueEntry): Promise<void> => {
    try {
      const { done } = await write<{ readonly done: boolean }>('POST', 'queues/edit', { action, item: refOf(entry) });
      tell(done ? 'done' : 'failed', done ? DONE[action] : 'The item is gone: somebody was faster.');
    } catch (error) {
      tell('failed', messageOf(error));
    }
    reload();
  };
  const onEdit =
    (entry: QueueEntry) =>
    (action: QueueAction): void => {
      open.value = null;
      if (action === 'drop') dropped.value = entry;
      else void edit(action, entry);
    };
  const shown = items.value.value?.asked === asked ? items.value.value : null;
  const list = shown?.items ?? [];
  const canWrite = meta.value?.isReadOnly === false;
  return (
    <>
      <div class="page-head">
        <h1>Queues</h1>
      </div>
      <Problem error={depths.error.value} what="Reading the depths" retry={depths.reload} />
      <div class="tabs" role="group" aria-label="Queue">
        {(['orchestrator', 'worker'] as const).map((name) => (
          <button
            key={name}
            type="button"
            class="tab"
            aria-pressed={queue === name}
            onClick={() => {
              pages.value = 1;
              setQuery({ queue: name === 'orchestrator' ? '' : name });
            }}
          >
            {QUEUES[name]}
            <span class="count">
              {depths.value.value === null
                ? ''
                : formatNumber(name === 'worker' ? depths.value.value.workItems : depths.value.value.orchestratorMessages)}
            </span>
          </button>
        ))}
      </div>
      <label class="field inline">
        Of instance
        <input
          value={instanceId}
          placeholder="all"
          spellcheck={false}
          autocomplete="off"
          onChange={(event) => setQuery({ instance: event.currentTarget.value })}
        />
      </label>
      <Problem error={items.error.value} what="Reading the queue" retry={items.reload} />
      <VirtualTable
        label={QUEUES[queue]}
        className="queue"
        columns={canWrite ? COLUMNS : COLUMNS.slice(0, -1)}
        count={list.length}
        rowPx={ROW_PX}
        rowKey={(index) => keyOf(list[index])}
        onNearEnd={() => {
          if (list.length >= pages.value * PAGE_ITEMS && shown !== null && shown.cursor !== null && !items.isLoading.value)
            pages.value += 1;
        }}
        row={(index) => {
          const entry = list[index];
          return entry === undefined ? null : (
            <EntryRow entry={entry} canWrite={canWrite} onOpen={() => (open.value = entry)} onEdit={onEdit(entry)} />
          );
        }}
        empty={shown === null ? items.error.value === null && 'Loading…' : EMPTY[queue]}
      />
      <Quarantined page={quarantined.value.value} error={quarantined.error.value} />
      {open.value !== null && (
        <Dialog title={titleOf(open.value)} onClose={() => (open.value = null)} className="wide">
          <JsonView label="Item" value={open.value} open />
          {canWrite && (
            <div class="dialog-actions">
              <EditButtons entry={open.value} onEdit={onEdit(open.value)} />
            </div>
          )}
        </Dialog>
      )}
      {dropped.value !== null && (
        <Dialog title={`Drop ${titleOf(dropped.value)}`} onClose={() => (dropped.value = null)}>
          <p>
            {dropped.value.kind === 'workItem'
              ? 'The activity fails as “dropped from its queue by an operator”: the orchestration sees the failure and can go on.'
              : 'The message is lost: the orchestration never gets it, and may wait for ever.'}{' '}
            This cannot be undone.
          </p>
          <div class="dialog-actions">
            <button type="button" onClick={() => (dropped.value = null)}>
              Keep it
            </button>
            <button
              type="button"
              class="danger"
              onClick={() => {
                const entry = dropped.value;
                dropped.value = null;
                if (entry !== null) void edit('drop', entry);
              }}
            >
              Drop
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}

const EMPTY = {
  orchestrator: 'The queue is empty: no event, answer or timer waits for an orchestration.',
  worker: 'The queue is empty: no activity waits or runs.',
} as const;

const DONE: Readonly<Record<QueueAction, string>> = {
  unlock: 'The item is free: the next fetch may take it.',
  moveBack: 'The item is at the end of the queue, with its attempts forgotten.',
  drop: 'The item was dropped.',
};

type EntryRowProps = {
  readonly entry: QueueEntry;
  readonly canWrite: boolean;
  readonly onOpen: () => void;
  readonly onEdit: (action: QueueAction) => void;
};

function EntryRow({ entry, canWrite, onOpen, onEdit }: EntryRowProps): JSX.Element {
  const { lockedUntil, visibleAt, attempt } = entry;
  const state = stateOf(entry);
  return (
    <>
      <td class="c-status">
        <span class={`state state-${state}`}>{state}</span>
      </td>
      <td class="c-id">
        <a href={instanceHref(entry.instanceId)} title={entry.instanceId}>
          {toVisible(entry.instanceId)}
        </a>
      </td>
      <td class="c-what">
        <button type="button" class="link" onClick={onOpen} title={summaryOf(entry)}>
          {summaryOf(entry)}
        </button>
      </td>
      <td class="c-number">{attempt >= SUSPECT_ATTEMPT ? <strong class="failed-text">{attempt} (suspect)</strong> : attempt}</td>
      <td class="c-time">
        {lockedUntil !== null ? (
          <span class="muted">
            lock ends <Moment at={lockedUntil} />
          </span>
        ) : visibleAt === null ? (
          'now'
        ) : (
          <Moment at={visibleAt} />
        )}
      </td>
      {canWrite && (
        <td class="c-actions">
          <EditButtons entry={entry} onEdit={onEdit} />
        </td>
      )}
    </>
  );
}

type EditButtonsProps = { readonly entry: QueueEntry; readonly onEdit: (action: QueueAction) => void };

function EditButtons({ entry, onEdit }: EditButtonsProps): JSX.Element {
  return (
    <>
      <button
        type="button"
        class="small"
        disabled={entry.lockedUntil === null}
        title={entry.lockedUntil === null ? 'Nobody has it' : 'Take it from who has it'}
        onClick={() => onEdit('unlock')}
      >
        Unlock
      </button>
      <button type="button" class="small" onClick={() => onEdit('moveBack')}>
        Move back
      </button>
      <button type="button" class="small danger-quiet" onClick={() => onEdit('drop')}>
        Drop…
      </button>
    </>
  );
}

function Quarantined({ page, error }: { readonly page: InstancePage | null; readonly error: unknown }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="quarantined-title">
      <h2 id="quarantined-title">Quarantined instances</h2>
      <p class="muted">They failed too often to run, and wait for an operator: look why, then retry them.</p>
      <Problem error={error} what="Reading the quarantined instances" />
      {page === null && error === null && <p class="muted">Loading…</p>}
      {page?.instances.length === 0 && <p>There are none.</p>}
      {page !== null && page.instances.length > 0 && (
        <ul class="plain">
          {page.instances.map((row) => (
            <li key={row.instanceId}>
              <Status status={row.status} /> <a href={instanceHref(row.instanceId)}>{toVisible(row.instanceId)}</a>{' '}
              <span class="muted">{toVisible(`${row.name}: ${row.error?.message ?? 'no reason is known'}`)}</span>
            </li>
          ))}
        </ul>
      )}
      {page !== null && page.cursor !== null && <a href={hrefOf('instances', { status: 'Quarantined' })}>Show all</a>}
    </section>
  );
}

type Wanted = { readonly queue: string; readonly instanceId: string; readonly pages: number };

async function readPages({ queue, instanceId, pages }: Wanted, signal: AbortSignal): Promise<QueuePage> {
  let cursor: string | null = null;
  const items: QueueEntry[] = [];
  for (let page = 0; page < pages; page += 1) {
    const answer: QueuePage = await read(`queues/${queue}/items`, { instanceId, cursor: cursor ?? undefined, limit: PAGE_ITEMS }, signal);
    for (const item of answer.items) items.push(item);
    ({ cursor } = answer);
    if (cursor === null) break;
  }
  return { items, cursor };
}

function keyOf(entry: QueueEntry | undefined): string {
  return entry === undefined ? '' : JSON.stringify(refOf(entry));
}

function refOf(entry: QueueEntry): object {
  const { kind, instanceId } = entry;
  return entry.kind === 'message'
    ? { kind, instanceId, messageId: entry.messageId }
    : { kind, instanceId, executionId: entry.executionId, eventId: entry.eventId };
}

function stateOf({ lockedUntil, visibleAt }: QueueEntry): 'locked' | 'delayed' | 'ready' {
  if (lockedUntil !== null) return 'locked';
  return visibleAt !== null && Date.parse(visibleAt) > Date.now() ? 'delayed' : 'ready';
}

function summaryOf(entry: QueueEntry): string {
  if (entry.damage !== null) return toVisible(`Damaged: ${entry.damage}`);
  if (entry.kind === 'workItem') return `${toVisible(entry.name)} (event #${entry.eventId}) ${oneLine(entry.input)}`;
  const { kind, name } = (entry.message ?? {}) as { readonly kind?: unknown; readonly name?: unknown };
  return toVisible(`${typeof kind === 'string' ? kind : 'Message'} ${typeof name === 'string' ? name : ''}`.trim());
}

function titleOf(entry: QueueEntry): string {
  return toVisible(`${entry.kind === 'workItem' ? entry.name : `message ${entry.messageId}`} of ${entry.instanceId}`);
}
