// "Why is it waiting?": each thing that an instance waits for, since when, who can take it, when it is due, and what to do about it.
import type { ComponentChildren, JSX } from 'preact';
import { JsonView } from '../components/json-view.tsx';
import { Moment, Since } from '../components/moment.tsx';
import { Problem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { meta, read } from '../lib/api.ts';
import { plural, toVisible } from '../lib/format.ts';
import { hrefOf, instanceHref } from '../lib/router.ts';
import type { Wait, WaitingExplanation } from '../lib/types.ts';
import { useLoad } from '../lib/use-load.ts';
import type { OpenDialog } from './actions.tsx';

const REFRESH_MS = 3000;
/** Waits that the sentence names. */
const MOST_NAMED = 3;

type Props = {
  readonly id: string;
  /** Changes when something happened to the instance. */
  readonly revision: string;
  /** Opens the dialog of an action that helps. */
  readonly onAct: (dialog: OpenDialog) => void;
};

/**
 * Explains why an instance waits.
 *
 * @param props - the instance
 * @returns the panel
 */
export function WaitingPanel({ id, revision, onAct }: Props): JSX.Element {
  const known = useLoad<WaitingExplanation>(id, (signal) => read(`instances/${encodeURIComponent(id)}/waiting`, {}, signal), {
    everyMs: REFRESH_MS,
    revision,
  });
  const explanation = known.value.value;
  return (
    <section class="panel waiting" aria-labelledby="waiting-title">
      <h2 id="waiting-title">Why is it waiting?</h2>
      <Problem error={known.error.value} what="Asking" retry={known.reload} />
      {explanation === null && known.error.value === null && <p class="muted">Loading…</p>}
      {explanation !== null && (
        <>
          <p class="summary" aria-live="polite">
            {explanation.waits.length === 0 ? explanation.summary : `It waits for ${inWords(explanation.waits)}.`}
          </p>
          {explanation.waits.length > 0 && (
            <ul class="waits">
              {explanation.waits.map((wait, index) => (
                <li key={'eventId' in wait ? wait.eventId : `${wait.kind} ${index}`} class={wait.problem === null ? '' : 'has-problem'}>
                  <WaitRow wait={wait} id={id} status={explanation.status} onAct={onAct} />
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </section>
  );
}

function inWords(waits: readonly Wait[]): string {
  const names = waits.slice(0, MOST_NAMED).map((wait) => nameOf(wait));
  const more = waits.length > MOST_NAMED ? ` or ${plural(waits.length - MOST_NAMED, 'more thing')}` : '';
  return `${names.join(' or ')}${more}`;
}

type RowProps = { readonly wait: Wait; readonly id: string; readonly status: string; readonly onAct: (dialog: OpenDialog) => void };

function WaitRow({ wait, id, status, onAct }: RowProps): JSX.Element {
  const name = nameOf(wait);
  return (
    <>
      <div class="wait-head">
        <strong>{`${name.slice(0, 1).toUpperCase()}${name.slice(1)}`}</strong>
        {'since' in wait && (
          <span class="muted">
            for <Since at={wait.since} />
          </span>
        )}
        {'eventId' in wait && (
          <a class="muted" href={instanceHref(id, { tab: 'history', event: String(wait.eventId) })}>
            event #{wait.eventId}
          </a>
        )}
      </div>
      {wait.problem !== null && (
        <p class="wait-problem">
          <strong>Problem:</strong> {toVisible(wait.problem)}
        </p>
      )}
      <dl class="facts">
        {factsOf(wait).map(([fact, value]) => (
          <div key={fact}>
            <dt>{fact}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {wait.kind === 'activity' && wait.heartbeat !== undefined && wait.heartbeat !== null && (
        <JsonView label="Last heartbeat" value={wait.heartbeat} />
      )}
      <p class="advice">
        <Advice wait={wait} status={status} onAct={onAct} />
      </p>
    </>
  );
}

function nameOf(wait: Wait): string {
  switch (wait.kind) {
    case 'turn':
      return 'its next turn';
    case 'activity':
      return toVisible(`activity ${wait.name}`);
    case 'timer':
      return 'a timer';
    case 'event':
      return toVisible(`event ${wait.name}`);
    case 'topic':
      return toVisible(`a message of topic ${wait.pattern}`);
    case 'child':
      return toVisible(`child ${wait.instanceId}`);
    case 'operator':
      return 'an operator';
  }
}

type Fact = readonly [name: string, value: ComponentChildren];

function factsOf(wait: Wait): readonly Fact[] {
  switch (wait.kind) {
    case 'turn':
      return [
        ['State', wait.isLocked ? 'running' : 'ready'],
        ['Brings', plural(wait.messages, 'message')],
        ...(wait.dueAt === null ? [] : [['Due', <Moment at={wait.dueAt} />] as const]),
        ...(wait.attempt > 1 ? [['Handed out', `${wait.attempt} times`] as const] : []),
        ['Can be taken by', <Takers runtimes={wait.runtimes} />],
      ];
    case 'activity':
      return [
        ['State', STATES[wait.state]],
        ...(wait.attempt > 0 ? [['Attempt', String(wait.attempt)] as const] : []),
        ...(wait.dueAt === null ? [] : [[DUE[wait.state], <Moment at={wait.dueAt} />] as const]),
        ...(wait.tag === null ? [] : [['Tag', toVisible(wait.tag)] as const]),
        ...(wait.sessionId === null ? [] : [['Session', toVisible(wait.sessionId)] as const]),
        ...(wait.limitKey === null ? [] : [['Limit', toVisible(wait.limitKey)] as const]),
        ['Can be taken by', <Takers runtimes={wait.runtimes} />],
      ];
    case 'timer':
      return [['Due', <Moment at={wait.dueAt} />]];
    case 'event':
    case 'topic':
      return [];
    case 'child':
      return [
        ['Orchestration', toVisible(wait.name)],
        ['Status', wait.status === null ? 'unknown' : <Status status={wait.status} />],
      ];
    case 'operator':
      return [['Reason', toVisible(wait.reason)]];
  }
}

const STATES = { queued: 'waits for a worker', running: 'running', delayed: 'waits for its next attempt', missing: 'in no queue' } as const;
const DUE = { queued: 'Ready', running: 'Its lease ends', delayed: 'Next attempt', missing: 'Due' } as const;

function Takers({ runtimes }: { readonly runtimes: readonly string[] }): JSX.Element {
  if (runtimes.length === 0) return <>no runtime</>;
  return (
    <a href={hrefOf('runtimes')} title={runtimes.join('\n')}>
      {plural(runtimes.length, 'runtime')}
    </a>
  );
}

/** What to do. Where something is wrong, the problem says it already. */
function Advice({ wait, status, onAct }: Omit<RowProps, 'id'>): ComponentChildren {
  const canAct = meta.value?.isReadOnly === false;
  switch (wait.kind) {
    case 'turn':
      return wait.problem === null ? 'Nothing needs to be done: a runtime runs it soon.' : null;
    case 'activity':
      return wait.problem === null ? ACTIVITY_ADVICE[wait.state] : null;
    case 'timer':
      return wait.problem === null ? 'Nothing needs to be done: it fires by itself.' : null;
    case 'event':
      return canAct ? (
        <button type="button" class="small" onClick={() => onAct({ name: 'raise', eventName: wait.name })}>
          Raise {toVisible(wait.name)}…
        </button>
      ) : (
        'It goes on when somebody raises the event.'
      );
    case 'topic':
      return 'It goes on when somebody publishes to a topic that matches.';
    case 'child':
      return <a href={instanceHref(wait.instanceId)}>See what the child waits for</a>;
    case 'operator': {
      const isSuspended = status === 'Suspended';
      return canAct ? (
        <button type="button" class="small" onClick={() => onAct({ name: isSuspended ? 'resume' : 'retry' })}>
          {isSuspended ? 'Resume…' : 'Retry…'}
        </button>
      ) : null;
    }
  }
}

const ACTIVITY_ADVICE = {
  queued: 'Nothing needs to be done: a runtime takes it when it has room.',
  running: 'Nothing needs to be done: it is being worked on.',
  delayed: 'Nothing needs to be done: it is tried again by itself.',
  missing: 'Nothing needs to be done: its completion is on its way.',
} as const;
