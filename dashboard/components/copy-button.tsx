// Puts text on the clipboard.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { tell } from '../lib/toasts.ts';

type Props = { readonly text: () => string; readonly label: string };

/** How long it says that it was done. */
const SHOWN_MS = 1500;

/**
 * A button that copies.
 *
 * @param props - what to copy, and the button's label
 * @returns the button
 */
export function CopyButton({ text, label }: Props): JSX.Element {
  const isDone = useSignal(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      // Pages over plain HTTP from another machine have no clipboard: the old way has to do.
      if (!copyBySelection(text())) {
        tell('failed', 'The browser does not let this page copy. Select the text and copy it yourself.');
        return;
      }
    }
    isDone.value = true;
    setTimeout(() => (isDone.value = false), SHOWN_MS);
  };
  return (
    <button type="button" class="quiet small" onClick={() => void copy()}>
      {isDone.value ? 'Copied' : label}
    </button>
  );
}

function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea');
  area.value = text;
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const isDone = document.execCommand('copy');
  area.remove();
  return isDone;
}
