// Of an instance whose code no longer follows its history: what history has, what the code does instead, and where in the code.
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { toNondeterminism } from '../../src/surfaces/views/nondeterminism.ts';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { instanceHref } from '../lib/router.ts';
import type { Instance } from '../lib/types.ts';

type Props = { readonly state: Instance; readonly events: readonly HistoryEvent[] };

/**
 * Shows both sides; nothing when the instance has another trouble, or none.
 *
 * @param props - the instance and its history
 * @returns the panel
 */
export function Nondeterminism({ state, events }: Props): JSX.Element | null {
  const view = useMemo(() => toNondeterminism(state.error, events), [state.error, events]);
  if (view === null) return null;
  const { eventId, recorded, emitted, location, same, lines } = view;
  return (
    <section class="panel stack" aria-labelledby="parting-title">
      <h2 id="parting-title">Code and history part at event #{eventId}</h2>
      <p>
        The code that runs now does not decide as it did. Put the old way back, or guard the change with <code>ctx.patched</code>; then
        retry the instance.
      </p>
      <div class="sides">
        <div class="side side-recorded">
          <h3>Recorded in history</h3>
          <code>{recorded === null ? '(history ends here)' : <Differing text={recorded} same={same} />}</code>
        </div>
        <div class="side side-emitted">
          <h3>Emitted by the code now</h3>
          <code>
            <Differing text={emitted} same={same} />
          </code>
        </div>
      </div>
      {location !== null && (
        <p>
          In the code: <code>{location.text.replace(/^at /, '')}</code>
        </p>
      )}
      {lines.length > 0 && (
        <pre tabIndex={0} aria-label="Events around the place">
          {lines.map(({ side, eventId: id, text }, index) => (
            <div key={index} class={side === 'history' ? 'diff-recorded' : side === 'code' ? 'diff-emitted' : ''}>
              {{ both: '  ', history: '− ', code: '+ ' }[side]}
              {String(id).padStart(5)} {text}
            </div>
          ))}
        </pre>
      )}
      <p>
        <a href={instanceHref(state.instanceId, { tab: 'travel', event: String(Math.max(0, eventId - 1)) })}>What it knew right before</a>
      </p>
    </section>
  );
}

/** Marks what is between the beginning and the end that both sides share. */
function Differing({
  text,
  same,
}: {
  readonly text: string;
  readonly same: { readonly start: number; readonly end: number };
}): JSX.Element {
  const end = text.length - same.end;
  return (
    <>
      {text.slice(0, same.start)}
      {end > same.start && <mark>{text.slice(same.start, end)}</mark>}
      {text.slice(Math.max(end, same.start))}
    </>
  );
}
