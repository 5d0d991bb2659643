// The end of the log, as it grows. Only servers that run in the host's own process, or keep its lines, have one.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { LogEntry } from '../../src/surfaces/operations/log-source.ts';
import { JsonView } from '../components/json-view.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Problem } from '../components/problem.tsx';
import { VirtualTable, type Column } from '../components/virtual-table.tsx';
import { loginNeeded, token } from '../lib/api.ts';
import { formatClock, formatMoment, formatNumber, toVisible } from '../lib/format.ts';
import { now } from '../lib/now.ts';
import { instanceHref, route, setQuery } from '../lib/router.ts';
import { listen } from '../lib/stream.ts';

const ROW_PX = 28;
const MOST_ENTRIES = 5000;
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

const COLUMNS: readonly Column[] = [
  { id: 'time', head: 'Time', className: 'c-log-time' },
  { id: 'level', head: 'Level', className: 'c-log-level' },
  { id: 'instance', head: 'Instance', className: 'c-log-instance' },
  { id: 'message', head: 'Message', className: 'c-log-message' },
];

/**
 * The page of the log.
 *
 * @returns the page
 */
export function LogsPage(): JSX.Element {
  const level = route.value.query.get('level') ?? '';
  const instanceId = route.value.query.get('instance') ?? '';
  return (
    <>
      <div class="page-head">
        <h1>Logs</h1>
        <label class="field inline">
          Level
          <select value={level} onChange={(event) => setQuery({ level: event.currentTarget.value })}>
            <option value="">all</option>
            {LEVELS.map((name) => (
              <option key={name} value={name}>
                {name} and above
              </option>
            ))}
          </select>
        </label>
        <label class="field inline">
          Instance
          <input
            value={instanceId}
            placeholder="all"
            spellcheck={false}
            autocomplete="off"
            onChange={(event) => setQuery({ instance: event.currentTarget.value })}
          />
        </label>
      </div>
      <LogTail level={level} instanceId={instanceId} />
    </>
  );
}

/**
 * Shows log lines as they come, newest first.
 *
 * @param props - the lowest level and the instance; empty: all
 * @returns a table
 */
export function LogTail({ level, instanceId }: { readonly level: string; readonly instanceId: string }): JSX.Element {
  const entries = useSignal<readonly LogEntry[]>([]);
  const lost = useSignal(0);
  const error = useSignal<unknown>(null);
  const open = useSignal<LogEntry | null>(null);
  useEffect(() => {
    entries.value = [];
    lost.value = 0;
    error.value = null;
    let arrived: LogEntry[] = [];
    let frame = 0;
    const show = (): void => {
      frame = 0;
      entries.value = [...arrived.toReversed(), ...entries.value].slice(0, MOST_ENTRIES);
      arrived = [];
    };
    const stop = listen(
      'streams/logs',
      { level, instanceId },
      {
        onEvent: ({ event, data }) => {
          if (event === 'log') {
            arrived.push(JSON.parse(data) as LogEntry);
            if (frame === 0) frame = requestAnimationFrame(show);
          } else if (event === 'gap') {
            lost.value += (JSON.parse(data) as { readonly missed: number }).missed;
          }
        },
        onRefused: (refusal) => (error.value = refusal),
      },
    );
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, [level, instanceId, token.value, loginNeeded.value]);
  return (
    <>
      <Problem error={error.value} what="Reading the log" />
      {lost.value > 0 && <p class="muted">{formatNumber(lost.value)} lines are no longer kept by the server.</p>}
      <VirtualTable
        label="Log lines, newest first"
        className="logs"
        columns={COLUMNS}
        count={entries.value.length}
        rowPx={ROW_PX}
        rowKey={(index) => entries.value[index]?.seq ?? 0}
        row={(index) => {
          const entry = entries.value[index];
          return entry === undefined ? null : <EntryRow entry={entry} onOpen={() => (open.value = entry)} />;
        }}
        empty="No line so far. New ones appear here as they are written."
      />
      {open.value !== null && (
        <Dialog title="Log line" onClose={() => (open.value = null)} className="wide">
          <JsonView label="Entry" value={open.value} open />
        </Dialog>
      )}
    </>
  );
}

function EntryRow({ entry, onOpen }: { readonly entry: LogEntry; readonly onOpen: () => void }): JSX.Element {
  const instanceId = entry.fields['instanceId'];
  return (
    <>
      <td class="c-log-time" title={formatMoment(entry.atMs)}>
        {formatClock(entry.atMs, now.value)}
      </td>
      <td class="c-log-level">
        <span class={`level level-${entry.level}`}>{entry.level}</span>
      </td>
      <td class="c-log-instance">{typeof instanceId === 'string' && <a href={instanceHref(instanceId)}>{toVisible(instanceId)}</a>}</td>
      <td class="c-log-message">
        <button type="button" class="link" onClick={onOpen} title={entry.message}>
          {toVisible(entry.message)}
        </button>
      </td>
    </>
  );
}
