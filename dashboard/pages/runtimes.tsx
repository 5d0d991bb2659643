// Runtimes and their threads, with charts that go on every second while the page is open.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { RuntimeStats } from '../../src/client/runtime-stats.ts';
import { Chart, type Line } from '../components/chart.tsx';
import { Moment } from '../components/moment.tsx';
import { Loading } from '../components/loading.tsx';
import { Problem } from '../components/problem.tsx';
import { loginNeeded, read, token } from '../lib/api.ts';
import { formatBytes, formatCompact, formatDuration, formatNumber, formatShare, plural } from '../lib/format.ts';
import { listen } from '../lib/stream.ts';
import type { RuntimeInfo } from '../lib/types.ts';
import { useLoad } from '../lib/use-load.ts';

type RuntimeSample = Pick<RuntimeInfo, 'runtimeId' | 'nodeId' | 'stats'> & { readonly isHere: boolean };
type Sample = {
  readonly at: string;
  readonly queues: { readonly orchestratorMessages: number; readonly workItems: number };
  readonly runtimes: readonly RuntimeSample[];
};

/** Points that are kept: ten minutes. */
const MOST_SAMPLES = 600;
const REFRESH_MS = 5000;

/**
 * The page of the runtimes.
 *
 * @returns the page
 */
export function RuntimesPage(): JSX.Element {
  const samples = useSignal<readonly Sample[]>([]);
  const error = useSignal<unknown>(null);
  const chosen = useSignal('');
  const runtimes = useLoad<{ readonly runtimes: readonly RuntimeInfo[] }>('runtimes', (signal) => read('runtimes', {}, signal), {
    everyMs: REFRESH_MS,
  });
  useEffect(
    () =>
      listen(
        'streams/stats',
        {},
        {
          onEvent: ({ event, data }) => {
            if (event !== 'stats') return;
            samples.value = [...samples.value.slice(1 - MOST_SAMPLES), JSON.parse(data) as Sample];
            error.value = null;
          },
          onRefused: (refusal) => (error.value = refusal),
        },
      ),
    [token.value, loginNeeded.value],
  );

  const latest = samples.value.at(-1);
  const known = latest?.runtimes ?? [];
  const runtimeId = known.some((one) => one.runtimeId === chosen.value)
    ? chosen.value
    : (known.find(({ stats }) => stats !== null) ?? known[0])?.runtimeId;
  const current = known.find((one) => one.runtimeId === runtimeId);
  return (
    <>
      <div class="page-head">
        <h1>Runtimes and threads</h1>
        {known.length > 1 && (
          <label class="field inline">
            Runtime
            <select value={runtimeId} onChange={(event) => (chosen.value = event.currentTarget.value)}>
              {known.map((one) => (
                <option key={one.runtimeId} value={one.runtimeId}>
                  {one.nodeId}
                  {one.isHere ? ' (this server)' : ''}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      <Problem error={error.value} what="Reading the figures" />
      <Problem error={runtimes.error.value} what="Reading the runtimes" retry={runtimes.reload} />
      {latest === undefined && error.value === null && <Loading />}
      {latest !== undefined && known.length === 0 && (
        <p class="empty">No runtime lives on this store: nothing runs. Start your program, or duraloom serve with its modules.</p>
      )}
      {runtimeId !== undefined && <Charts samples={samples.value} runtimeId={runtimeId} />}
      {current !== undefined && current.stats === null && (
        <p class="muted">This runtime has told no figures yet: it reports every few seconds.</p>
      )}
      {current !== undefined && current.stats !== null && <Threads stats={current.stats} />}
      <RuntimeTable rows={runtimes.value.value?.runtimes ?? null} />
    </>
  );
}

function Charts({ samples, runtimeId }: { readonly samples: readonly Sample[]; readonly runtimeId: string }): JSX.Element {
  const times = samples.map(({ at }) => Date.parse(at) / 1000);
  const stats = samples.map(({ runtimes }) => runtimes.find((one) => one.runtimeId === runtimeId)?.stats ?? null);
  const line = (label: string, pick: (one: RuntimeStats) => number | null | undefined): Line => ({
    label,
    values: stats.map((one) => (one === null ? null : (pick(one) ?? null))),
  });
  const charts: readonly (readonly [title: string, lines: readonly Line[], format: (value: number) => string])[] = [
    ['Throughput', [line('Turns', (one) => one.turnsPerSecond), line('Activities', (one) => one.activitiesPerSecond)], formatRate],
    [
      'Queue depth',
      [
        { label: 'Messages', values: samples.map(({ queues }) => queues.orchestratorMessages) },
        { label: 'Work items', values: samples.map(({ queues }) => queues.workItems) },
      ],
      formatCompact,
    ],
    [
      'Utilisation',
      [
        line('Main thread', (one) => one.main.utilisation),
        line('Replay threads', (one) => mean(one.replayThreads.map(({ utilisation }) => utilisation))),
        line('Activity threads', (one) => mean(one.activityThreads.map(({ utilisation }) => utilisation))),
      ],
      formatShare,
    ],
    [
      'Latency',
      [
        line('Longest wait for a thread', (one) => Math.max(0, ...one.activityThreads.map(({ longestWaitMs }) => longestWaitMs))),
        line('Commit', (one) => whenSome(one.store?.meanCommitMs)),
        line('Sync to disk', (one) => whenSome(one.store?.meanSyncMs)),
      ],
      formatDuration,
    ],
    [
      'Event-loop delay',
      [
        line('Median', (one) => one.main.loopDelay.p50Ms),
        line('99 % below', (one) => one.main.loopDelay.p99Ms),
        line('Longest', (one) => one.main.loopDelay.maxMs),
      ],
      formatDuration,
    ],
    ['In flight', [line('Turns', (one) => one.turnsInFlight), line('Activities', (one) => one.activitiesInFlight)], formatCompact],
    ['Cache hits', [{ label: 'Share of turns', values: cacheHits(stats) }], formatShare],
    ['Group commit', [line('Items per commit', (one) => whenSome(one.store?.meanItemsPerCommit))], formatCompact],
  ];
  return (
    <section class="charts" aria-label="Charts">
      {charts.map(([title, lines, format]) => (
        <Chart key={title} title={title} times={times} lines={lines} format={format} isShare={format === formatShare} />
      ))}
    </section>
  );
}

function formatRate(value: number): string {
  return `${formatCompact(value)}/s`;
}

/** A mean of nothing is told as 0: it is no point of a line. */
function whenSome(figure: number | undefined): number | null {
  return figure === undefined || figure === 0 ? null : figure;
}

/** Hits among the turns between one sample and the next; where no turn ran, there is no share. */
function cacheHits(stats: readonly (RuntimeStats | null)[]): readonly (number | null)[] {
  const sums = stats.map((one) =>
    one === null
      ? null
      : one.replayThreads.reduce((sum, { cacheHits: hits, cacheMisses }) => ({ hits: sum.hits + hits, misses: sum.misses + cacheMisses }), {
          hits: 0,
          misses: 0,
        }),
  );
  return sums.map((sum, index) => {
    const before = sums[index - 1];
    if (sum === null || before === null || before === undefined) return null;
    const hits = sum.hits - before.hits;
    const all = hits + sum.misses - before.misses;
    return all > 0 ? hits / all : null;
  });
}

/** Which activities a runtime takes. */
function tagsInWords(tags: RuntimeInfo['tags']): string {
  switch (tags) {
    case 'default':
      return 'those without a tag';
    case 'any':
      return 'all';
    case 'none':
      return 'no activities';
    default:
      return 'only' in tags ? `only ${tags.only.join(', ')}` : `those without a tag, and ${tags.defaultAnd.join(', ')}`;
  }
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function Threads({ stats }: { readonly stats: RuntimeStats }): JSX.Element {
  return (
    <section class="panel scroll-x" aria-labelledby="threads-title" tabIndex={0}>
      <h2 id="threads-title">Threads</h2>
      <table class="plain-table">
        <caption class="hidden">Threads</caption>
        <thead>
          <tr>
            <th scope="col">Thread</th>
            <th scope="col">Utilisation</th>
            <th scope="col">In flight</th>
            <th scope="col">Restarts</th>
            <th scope="col">Items per batch</th>
            <th scope="col">Cache</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">Main</th>
            <td>
              <Meter share={stats.main.utilisation} />
            </td>
            <td>{formatNumber(stats.turnsInFlight + stats.activitiesInFlight)}</td>
            <td>—</td>
            <td>—</td>
            <td>—</td>
          </tr>
          {stats.replayThreads.map((thread) => (
            <tr key={`replay ${thread.index}`}>
              <th scope="row">Replay {thread.index}</th>
              <td>
                <Meter share={thread.utilisation} />
              </td>
              <td>{plural(thread.turnsInFlight, 'turn')}</td>
              <td>{thread.restarts}</td>
              <td>{formatCompact(thread.meanSent)}</td>
              <td>
                {plural(thread.engines, 'engine')}, {formatBytes(thread.cacheBytes)}, {formatNumber(thread.cacheHits)} hits,{' '}
                {formatNumber(thread.cacheMisses)} misses, {plural(thread.evictions, 'eviction')}
              </td>
            </tr>
          ))}
          {stats.activityThreads.map((thread) => (
            <tr key={`activity ${thread.index}`}>
              <th scope="row">Activity {thread.index}</th>
              <td>
                <Meter share={thread.utilisation} />
              </td>
              <td>{plural(thread.activitiesInFlight, 'activity')}</td>
              <td>{thread.restarts}</td>
              <td>{formatCompact(thread.meanSent)}</td>
              <td>—</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Meter({ share }: { readonly share: number }): JSX.Element {
  return (
    <span class="meter">
      <meter min={0} max={1} high={0.85} optimum={0} value={share} aria-label="Utilisation" />
      {formatShare(share)}
    </span>
  );
}

/** `rows`: null: not known yet. */
function RuntimeTable({ rows }: { readonly rows: readonly RuntimeInfo[] | null }): JSX.Element {
  return (
    <section class="panel scroll-x" aria-labelledby="runtimes-title" tabIndex={0}>
      <h2 id="runtimes-title">Living runtimes</h2>
      {rows === null || rows.length === 0 ? (
        <p class="muted">{rows === null ? 'Loading…' : 'There are none.'}</p>
      ) : (
        <table class="plain-table">
          <caption class="hidden">Living runtimes</caption>
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">Seen</th>
              <th scope="col">Orchestrations</th>
              <th scope="col">Activities</th>
              <th scope="col">Takes activities with tags</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.runtimeId}>
                <th scope="row" title={row.runtimeId}>
                  {row.nodeId}
                </th>
                <td>
                  <Moment at={row.seenAt} />
                </td>
                <td>{row.orchestrations.map(({ name, version }) => `${name} ${version}`).join(', ') || '—'}</td>
                <td>{row.activities.map(({ name }) => name).join(', ') || '—'}</td>
                <td>{tagsInWords(row.tags)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
