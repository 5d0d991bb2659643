// Keyboard shortcuts: who has some registers them while it is on the screen; `?` lists them.
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

/** A key and what it does. */
export type Shortcut = { readonly keys: string; readonly label: string; readonly run: () => void };

/** All that hold now, in groups. */
export const shortcuts = signal<readonly { readonly group: string; readonly list: readonly Shortcut[] }[]>([]);

/** A sequence such as `g i` must be typed within this time. */
const SEQUENCE_MS = 1200;

let typed = '';
let typedAtMs = 0;

addEventListener('keydown', (event) => {
  // Out of a field, so that the other keys mean something again.
  if (event.key === 'Escape' && event.target instanceof HTMLInputElement) event.target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  if (document.querySelector('dialog[open]') !== null) return;
  const sequence = typed !== '' && event.timeStamp - typedAtMs < SEQUENCE_MS ? `${typed} ${event.key}` : event.key;
  typed = event.key.length === 1 ? event.key : '';
  typedAtMs = event.timeStamp;
  const all = shortcuts.value.flatMap(({ list }) => list);
  const found = all.find(({ keys }) => keys === sequence) ?? all.find(({ keys }) => keys === event.key);
  if (found === undefined) return;
  event.preventDefault();
  typed = '';
  found.run();
});

/**
 * Registers shortcuts while the component is there.
 *
 * @param group - title of their group
 * @param list - the shortcuts: always the same keys; what they do is that of the last render
 */
export function useShortcuts(group: string, list: readonly Shortcut[]): void {
  const latest = useRef(list);
  latest.current = list;
  useEffect(() => {
    const entry = { group, list: list.map(({ keys, label }, index) => ({ keys, label, run: () => latest.current[index]?.run() })) };
    shortcuts.value = [...shortcuts.value, entry];
    return () => {
      shortcuts.value = shortcuts.value.filter((one) => one !== entry);
    };
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !['checkbox', 'radio', 'range', 'button'].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}
