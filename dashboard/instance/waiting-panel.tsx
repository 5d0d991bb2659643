// "Why is it waiting?": what the server says about each thing that an instance waits for, since when, and what is wrong with it if anything is.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { JsonView } from '../components/json-view.tsx';
import { Moment } from '../components/moment.tsx';
import { Problem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { read } from '../lib/api.ts';
import { plural } from '../lib/format.ts';
import { instanceHref } from '../lib/router.ts';
import type { Wait, WaitingExplanation } from '../lib/types.ts';
import { useLoad } from '../lib/use-load.ts';

const REFRESH_MS = 3000;

type Props = {
  readonly id: string;
  /** Changes when something happened to the instance. */
  readonly revision: string;
};

/**
 * Explains why an instance waits.
 *
 * @param props - the instance
 * @returns the panel
 */
export function WaitingPanel({ id, revision }: Props): JSX.Element {
  const known = useLoad<WaitingExplanation>(id, (signal) => read(`instances/${encodeURIComponent(id)}/waiting`, {}, signal));
  useEffect(() => known.reload(), [revision]);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === 'visible' && known.reload(), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  const explanation = known.value.value;
  return (
    <section class="panel waiting" aria-labelledby="waiting-title">
      <h2 id="waiting-title">Why is it waiting?</h2>
      <Problem error={known.error.value} what="Asking" retry={known.reload} />
      {explanation !== null && (
        <>
          <p class="summary" aria-live="polite">
            {explanation.summary}
          </p>
          {explanation.waits.length > 0 && (
            <ul class="waits">
              {explanation.waits.map((wait, index) => (
                <li key={`${wait.kind} ${wait.eventId ?? index}`} class={wait.problem === null ? '' : 'has-problem'}>
                  <WaitRow wait={wait} id={id} summary={explanation.summary} />
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </section>
  );
}

type WaitProps = { readonly wait: Wait; readonly id: string; readonly summary: string };

function WaitRow({ wait, id, summary }: WaitProps): JSX.Element {
  return (
    <>
      <div class="wait-head">
        <strong>{nameOf(wait)}</strong>
        {wait.since !== null && wait.since !== undefined && (
          <span class="muted">
            since <Moment at={wait.since} />
          </span>
        )}
        {wait.eventId !== undefined && (
          <a class="muted" href={instanceHref(id, { tab: 'history', event: String(wait.eventId) })}>
            event #{wait.eventId}
          </a>
        )}
      </div>
      {wait.problem !== null && (
        <p class="wait-problem">
          <strong>Problem:</strong> {wait.problem}
        </p>
      )}
      <Details wait={wait} summary={summary} />
    </>
  );
}

function nameOf(wait: Wait): string {
  switch (wait.kind) {
    case 'turn':
      return 'Its next turn';
    case 'activity':
      return `Activity ${wait.name ?? ''}`;
    case 'timer':
      return 'A timer';
    case 'event':
      return `Event ${wait.name ?? ''}`;
    case 'topic':
      return `A message of topic ${wait.pattern ?? ''}`;
    case 'child':
      return `Child ${wait.instanceId ?? ''}`;
    case 'operator':
      return 'An operator';
  }
}

function Details({ wait, summary }: Omit<WaitProps, 'id'>): JSX.Element {
  const facts: (readonly [string, ComponentChildren])[] = [];
  if (wait.state !== undefined) facts.push(['State', wait.state]);
  if (wait.kind === 'turn') {
    facts.push(['State', wait.isLocked === true ? 'running now' : 'ready']);
    if (wait.messages !== undefined) facts.push(['Brings', plural(wait.messages, 'message')]);
  }
  if (wait.attempt !== undefined && wait.attempt > 0) facts.push(['Attempt', String(wait.attempt)]);
  if (wait.dueAt !== null && wait.dueAt !== undefined) facts.push(['Due', <Moment at={wait.dueAt} />]);
  if (wait.lockedUntil !== null && wait.lockedUntil !== undefined) facts.push(['Its lock ends', <Moment at={wait.lockedUntil} />]);
  if (wait.kind === 'child') {
    facts.push(['Orchestration', wait.name ?? '']);
    if (wait.status !== null && wait.status !== undefined) facts.push(['Status', <Status status={wait.status} />]);
    facts.push(['Instance', <a href={instanceHref(wait.instanceId ?? '')}>{wait.instanceId}</a>]);
  }
  if (wait.tag !== null && wait.tag !== undefined) facts.push(['Tag', wait.tag]);
  if (wait.sessionId !== null && wait.sessionId !== undefined) facts.push(['Session', wait.sessionId]);
  if (wait.limitKey !== null && wait.limitKey !== undefined) facts.push(['Limit', wait.limitKey]);
  if (wait.reason !== undefined && !summary.includes(wait.reason)) facts.push(['Reason', wait.reason]);
  if (wait.runtimes !== undefined) facts.push(['Can be taken by', wait.runtimes.length === 0 ? 'no runtime' : wait.runtimes.join(', ')]);
  return (
    <>
      {facts.length > 0 && (
        <dl class="facts">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {wait.heartbeat !== undefined && wait.heartbeat !== null && <JsonView label="Last heartbeat" value={wait.heartbeat} />}
    </>
  );
}
