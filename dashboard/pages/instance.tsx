// One instance: its state and what can be done to it, why it waits, and its history as timeline, list, time travel and diagrams.
import { useSignal, type Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { JsonView } from '../components/json-view.tsx';
import { Loading } from '../components/loading.tsx';
import { Moment } from '../components/moment.tsx';
import { Problem } from '../components/problem.tsx';
import { hasEnded, Status } from '../components/status.tsx';
import { Tabs } from '../components/tabs.tsx';
import { Actions, type OpenDialog } from '../instance/actions.tsx';
import { Diagrams } from '../instance/diagrams.tsx';
import { EventList } from '../instance/event-list.tsx';
import { Family } from '../instance/family.tsx';
import { Nondeterminism } from '../instance/nondeterminism.tsx';
import { Timeline } from '../instance/timeline.tsx';
import { TimeTravel } from '../instance/time-travel.tsx';
import { ValuesPanel } from '../instance/values.tsx';
import { WaitingPanel } from '../instance/waiting-panel.tsx';
import { loginNeeded, meta, read, recoveries, token } from '../lib/api.ts';
import { formatDuration, formatNumber, plural, toVisible } from '../lib/format.ts';
import { InstanceData } from '../lib/instance-data.ts';
import { now } from '../lib/now.ts';
import { hrefOf, instanceHref, route, setQuery } from '../lib/router.ts';
import type { Execution, Instance } from '../lib/types.ts';
import { useLoad } from '../lib/use-load.ts';
import { LogTail } from './logs.tsx';

const TABS = [
  { id: '', label: 'Overview' },
  { id: 'timeline', label: 'Timeline' },
  { id: 'history', label: 'History' },
  { id: 'travel', label: 'Time travel' },
  { id: 'family', label: 'Family' },
  { id: 'diagrams', label: 'Diagrams' },
  { id: 'logs', label: 'Logs' },
] as const;

type TabId = (typeof TABS)[number]['id'];

/**
 * The page of an instance.
 *
 * @param props - its id
 * @returns the page
 */
export function InstancePage({ id }: { readonly id: string }): JSX.Element {
  const chosen = route.value.query.get('execution');
  const data = useMemo(() => new InstanceData(id, chosen === null ? null : Number(chosen)), [id, chosen, token.value, loginNeeded.value]);
  useEffect(() => () => data.stop(), [data]);
  useEffect(() => {
    // The server is back: what it could not be asked for is asked for now.
    if (recoveries.value > 0 && (data.error.value !== null || data.state.value === null)) void data.reload();
  }, [recoveries.value]);
  const open = useSignal<OpenDialog | null>(null);
  const state = data.state.value;
  const wanted = route.value.query.get('tab') ?? '';
  const tabs = TABS.filter((tab) => tab.id !== 'logs' || meta.value?.has.logs === true);
  const tab = tabs.find((one) => one.id === wanted)?.id ?? '';
  if (state === null) {
    return (
      <>
        <h1>{toVisible(id)}</h1>
        <Problem error={data.error.value} what="Loading the instance" retry={() => void data.reload()} />
        {data.error.value === null ? <Loading /> : <a href={hrefOf('instances')}>All instances</a>}
      </>
    );
  }
  return (
    <>
      <Head state={state} data={data} open={open} />
      {data.isDeleted.value && (
        <p class="problem" role="alert">
          This instance was deleted. What you see is what was known of it.
        </p>
      )}
      <Problem error={data.error.value} what="Loading the history" retry={() => void data.reload()} />
      <Tabs
        label="Views of the instance"
        tabs={tabs}
        chosen={tab}
        fills={tab === 'history' || tab === 'timeline' || tab === 'logs'}
        onChoose={(next) => setQuery({ tab: next })}
      >
        <TabContent tab={tab} state={state} data={data} open={open} />
      </Tabs>
    </>
  );
}

type PartProps = { readonly state: Instance; readonly data: InstanceData; readonly open: Signal<OpenDialog | null> };

function TabContent({ tab, state, data, open }: PartProps & { readonly tab: TabId }): JSX.Element {
  const events = data.events.value;
  if (!data.isWhole.value && events.length === 0 && data.error.value === null) return <Loading />;
  switch (tab) {
    case '':
      return <Overview state={state} data={data} open={open} />;
    case 'timeline':
      return <Timeline events={events} isOpen={!hasEnded(state.status) && data.executionId.value === state.executionId} />;
    case 'history':
      return <EventList events={events} />;
    case 'travel':
      return <TimeTravel events={events} />;
    case 'family':
      return <Family instance={state} />;
    case 'diagrams':
      return <Diagrams events={events} />;
    case 'logs':
      return <LogTail level="" instanceId={state.instanceId} />;
  }
}

function Head({ state, data, open }: PartProps): JSX.Element {
  const startMs = Date.parse(state.createdAt);
  const endMs = state.endedAt === null ? now.value : Date.parse(state.endedAt);
  return (
    <div class="stack">
      <div class="head-grid">
        <h1>
          {toVisible(state.instanceId)} <Status status={state.status} />
        </h1>
        {meta.value?.isReadOnly === false && !data.isDeleted.value && (
          <Actions instance={state} open={open} onDone={() => hasEnded(state.status) && void data.check()} />
        )}
      </div>
      <dl class="facts">
        <Fact name="Orchestration">
          {toVisible(state.name)} {state.version}
        </Fact>
        <Fact name="Created">
          <Moment at={state.createdAt} />
        </Fact>
        <Fact name="Updated">
          <Moment at={state.updatedAt} />
        </Fact>
        <Fact name={state.endedAt === null ? 'Age' : 'Took'}>{formatDuration(Math.max(0, endMs - startMs))}</Fact>
        <Fact name="Priority">{state.priority}</Fact>
        {state.parentInstanceId !== null && (
          <Fact name="Parent">
            <a href={instanceHref(state.parentInstanceId)}>{toVisible(state.parentInstanceId)}</a>
          </Fact>
        )}
        <Executions state={state} shown={data.executionId.value} />
        <Fact name="Events">{formatNumber(data.events.value.length)}</Fact>
      </dl>
      {Object.keys(state.attributes).length > 0 && <AttributeList attributes={state.attributes} />}
    </div>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: JSX.Element['props']['children'] }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function AttributeList({ attributes }: { readonly attributes: Instance['attributes'] }): JSX.Element {
  return (
    <ul class="attributes" aria-label="Attributes">
      {Object.entries(attributes).map(([name, value]) => (
        <li key={name} class="attribute">
          {toVisible(value === true ? name : `${name} = ${String(value)}`)}
        </li>
      ))}
    </ul>
  );
}

function Executions({ state, shown }: { readonly state: Instance; readonly shown: number }): JSX.Element | null {
  const path = `instances/${encodeURIComponent(state.instanceId)}/executions`;
  const known = useLoad<{ readonly executions: readonly Execution[] }>(
    state.executionId > 1 ? `${path} ${state.executionId}` : null,
    (signal) => read(path, {}, signal),
  );
  if (state.executionId <= 1) return null;
  const list = known.value.value?.executions ?? [];
  return (
    <Fact name="Execution">
      <select
        aria-label="Execution"
        value={shown}
        onChange={(event) => {
          const next = Number(event.currentTarget.value);
          setQuery({ execution: next === state.executionId ? '' : String(next), event: '' });
        }}
      >
        {list.length === 0 && <option value={shown}>{shown}</option>}
        {list.map(({ executionId, status, eventCount }) => (
          <option key={executionId} value={executionId}>
            {`${executionId}${executionId === state.executionId ? ' (current)' : ''}: ${status}, ${plural(eventCount, 'event')}`}
          </option>
        ))}
      </select>
    </Fact>
  );
}

function Overview({ state, data, open }: PartProps): JSX.Element {
  const events = data.events.value;
  const revision = `${state.status} ${state.updatedAt} ${events.length}`;
  return (
    <div class="columns">
      <div class="stack">
        <Nondeterminism state={state} events={events} />
        {!hasEnded(state.status) && !data.isDeleted.value && (
          <WaitingPanel id={state.instanceId} revision={revision} onAct={(dialog) => (open.value = dialog)} />
        )}
        {state.error !== undefined && <Failed error={state.error} />}
        <section class="panel" aria-labelledby="data-title">
          <h2 id="data-title">Data</h2>
          <InputAndResult state={state} events={events} />
        </section>
      </div>
      <div class="stack">
        <section class="panel" aria-labelledby="custom-title">
          <h2 id="custom-title">Custom status</h2>
          {state.customStatus === undefined || state.customStatus === null ? (
            <p class="muted">It has set none.</p>
          ) : (
            <JsonView label="Now" value={state.customStatus} open />
          )}
        </section>
        <ValuesPanel id={state.instanceId} revision={`${state.status} ${events.length}`} />
      </div>
    </div>
  );
}

function InputAndResult({ state, events }: { readonly state: Instance; readonly events: readonly HistoryEvent[] }): JSX.Element {
  const [started] = events;
  return (
    <>
      {started === undefined && <p class="muted">It has not begun yet: its history is empty.</p>}
      {started?.kind === 'OrchestrationStarted' && <JsonView label="Input" value={started.input} open />}
      {state.status === 'Completed' && <JsonView label="Result" value={state.result} open />}
    </>
  );
}

function Failed({ error: top }: { readonly error: NonNullable<Instance['error']> }): JSX.Element {
  const chain: (typeof top)[] = [];
  for (let error: Instance['error'] = top; error !== undefined; error = error.cause) chain.push(error);
  return (
    <section class="panel" aria-labelledby="error-title">
      <h2 id="error-title">Error</h2>
      {chain.map((error, index) => (
        <p key={index} class="error-text">
          {index > 0 && <span class="muted">Caused by </span>}
          <strong>{error.name}</strong>
          {error.code !== undefined && <code class="code"> {error.code}</code>}: {toVisible(error.message)}
        </p>
      ))}
    </section>
  );
}
