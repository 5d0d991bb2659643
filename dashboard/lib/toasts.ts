// Short messages about what was done or went wrong; read out by screen readers. Neighbour: components/toasts.tsx.
import { signal } from '@preact/signals';

/** A message on the screen. */
export type Toast = { readonly id: number; readonly kind: 'done' | 'failed'; readonly text: string };

/** Errors stay until they are dismissed. */
const SHOWN_MS = 6000;

/** The messages on the screen, oldest first. */
export const toasts = signal<readonly Toast[]>([]);

let lastId = 0;

/**
 * Shows a message.
 *
 * @param kind - what it is about
 * @param text - the message
 */
export function tell(kind: Toast['kind'], text: string): void {
  lastId += 1;
  const id = lastId;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text }];
  if (kind === 'done') setTimeout(() => dismiss(id), SHOWN_MS);
}

/**
 * Takes a message away.
 *
 * @param id - of the message
 */
export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}
