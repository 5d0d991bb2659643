// An execution as Mermaid text, to be copied into a document that draws it.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { toMermaid } from '../../src/surfaces/views/mermaid.ts';
import type { HistoryEvent } from '../../src/types/history-event.ts';
import { CopyButton } from '../components/copy-button.tsx';

const KINDS = { sequence: 'Sequence diagram', gantt: 'Gantt chart' } as const;

/**
 * Shows the text of a diagram.
 *
 * @param props - the events of the execution
 * @returns a choice of kinds and the text
 */
export function Diagrams({ events }: { readonly events: readonly HistoryEvent[] }): JSX.Element {
  const kind = useSignal<keyof typeof KINDS>('sequence');
  const text = useMemo(() => toMermaid(events, { kind: kind.value }), [events, kind.value]);
  return (
    <section class="panel stack" aria-labelledby="diagram-title">
      <h2 id="diagram-title">Mermaid text</h2>
      <p class="muted">Paste it into a Markdown block that begins with ```mermaid, as GitHub, GitLab and many editors draw it.</p>
      <div class="toolbar" role="group" aria-label="Kind of diagram">
        {(Object.keys(KINDS) as (keyof typeof KINDS)[]).map((name) => (
          <button key={name} type="button" class="chip plain-chip" aria-pressed={kind.value === name} onClick={() => (kind.value = name)}>
            {KINDS[name]}
          </button>
        ))}
        <CopyButton label="Copy" text={() => text} />
      </div>
      <pre tabIndex={0} aria-label="Mermaid text">
        {text}
      </pre>
    </section>
  );
}
