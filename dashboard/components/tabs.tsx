// Tabs as the accessibility patterns have them: arrow keys move between them, only the chosen one is in the tab order.
import type { ComponentChildren, JSX } from 'preact';
import { useId } from 'preact/hooks';

type Props<Id extends string> = {
  readonly label: string;
  readonly tabs: readonly { readonly id: Id; readonly label: string }[];
  readonly chosen: Id;
  readonly onChoose: (id: Id) => void;
  readonly children: ComponentChildren;
  /** True: the content takes the rest of the page and scrolls by itself. */
  readonly fills?: boolean;
};

/**
 * Shows tabs and the content of the chosen one.
 *
 * @param props - the tabs
 * @returns tab list and panel
 */
export function Tabs<Id extends string>({ label, tabs, chosen, onChoose, children, fills }: Props<Id>): JSX.Element {
  const prefix = useId();
  const onKeyDown = (event: JSX.TargetedKeyboardEvent<HTMLElement>): void => {
    const at = tabs.findIndex(({ id }) => id === chosen);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = tabs[(next + tabs.length) % tabs.length];
    if (tab === undefined) return;
    onChoose(tab.id);
    document.querySelector<HTMLElement>(`[id="${prefix}-${tab.id}"]`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
        {tabs.map(({ id, label: text }) => (
          <button
            key={id}
            id={`${prefix}-${id}`}
            type="button"
            class="tab"
            role="tab"
            aria-selected={id === chosen}
            aria-controls={`${prefix}-panel`}
            tabIndex={id === chosen ? 0 : -1}
            onClick={() => onChoose(id)}
          >
            {text}
          </button>
        ))}
      </div>
      <div id={`${prefix}-panel`} class={fills === true ? 'fills' : ''} role="tabpanel" aria-labelledby={`${prefix}-${chosen}`}>
        {children}
      </div>
    </>
  );
}
