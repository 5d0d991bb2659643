// The messages of lib/toasts.ts on the screen, in a region that screen readers read out.
import type { JSX } from 'preact';
import { dismiss, toasts } from '../lib/toasts.ts';

/**
 * Shows the messages.
 *
 * @returns a live region
 */
export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, kind, text }) => (
        <div key={id} class={`toast ${kind}`}>
          <strong>{kind === 'done' ? 'Done' : 'Failed'}</strong>
          <span>{text}</span>
          <button type="button" class="quiet" aria-label="Dismiss the message" onClick={() => dismiss(id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
