// Light, dark, or as the system has it. Remembered in this browser. The colours themselves are in styles.css.
import { effect, signal } from '@preact/signals';

/** Which colours are shown. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'duraloom:theme';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

/** What the user chose. */
export const theme = signal<Theme>(readTheme());

/** Grows whenever the colours on the screen change: charts, which are drawn, look at it. */
export const themeChanges = signal(0);

effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
  themeChanges.value = themeChanges.peek() + 1;
});

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (themeChanges.value += 1));

/** Goes to the next choice. */
export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system';
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // A browser that keeps nothing: the choice holds until the page is closed.
  }
}

function readTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return THEMES.find((name) => name === kept) ?? 'system';
  } catch {
    return 'system';
  }
}
