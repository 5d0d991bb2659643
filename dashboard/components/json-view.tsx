// Shows a JSON value as a tree that opens and closes. Everything is text to it: markup in a value stays text. Large values are cut until asked for.
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { plural, toVisible } from '../lib/format.ts';
import { CopyButton } from './copy-button.tsx';

/** Longest string that is shown at once, in UTF-16 units. */
const TEXT_UNITS = 400;
/** Entries of an object or array that are shown at once. */
const ENTRIES = 100;
/** Entries of everything that is open from the start. */
const OPEN_ENTRIES = 12;

type Props = { readonly value: unknown; readonly label: string; readonly open?: boolean };

/**
 * Shows a value with a button that copies it.
 *
 * @param props - the value and what it is
 * @returns the tree
 */
export function JsonView({ value, label, open }: Props): JSX.Element {
  return (
    <div class="json">
      <div class="json-tools">
        <span class="label">{label}</span>
        <CopyButton label="Copy" text={() => JSON.stringify(value, null, 2) ?? 'undefined'} />
      </div>
      <Node value={value} depth={open === true ? -2 : 0} />
    </div>
  );
}

function Node({ value, depth, name }: { readonly value: unknown; readonly depth: number; readonly name?: string }): JSX.Element {
  if (typeof value === 'object' && value !== null) return <Branch value={value} depth={depth} {...(name === undefined ? {} : { name })} />;
  return (
    <div class="json-leaf">
      <Key name={name} />
      {typeof value === 'string' ? <Text text={value} /> : <span class={`json-${typeof value}`}>{String(value)}</span>}
    </div>
  );
}

function Branch({ value, depth, name }: { readonly value: object; readonly depth: number; readonly name?: string }): JSX.Element {
  const entries = Array.isArray(value) ? value.map((item, index): [string, unknown] => [String(index), item]) : Object.entries(value);
  const isOpen = useSignal(depth < 1 ? entries.length <= OPEN_ENTRIES * 2 || depth < 0 : depth < 2 && entries.length <= OPEN_ENTRIES / 3);
  const shown = useSignal(ENTRIES);
  const [before, after] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  if (entries.length === 0) {
    return (
      <div class="json-leaf">
        <Key name={name} />
        <span class="json-size">{`${before}${after}`}</span>
      </div>
    );
  }
  return (
    <details open={isOpen.value} onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>
        <Key name={name} />
        <span class="json-size">
          {before} {plural(entries.length, Array.isArray(value) ? 'item' : 'field')} {after}
        </span>
      </summary>
      {isOpen.value && (
        <div class="json-children">
          {entries.slice(0, shown.value).map(([key, child]) => (
            <Node key={key} name={key} value={child} depth={depth + 1} />
          ))}
          {entries.length > shown.value && (
            <button type="button" class="quiet small" onClick={() => (shown.value += ENTRIES * 10)}>
              Show more of {plural(entries.length - shown.value, 'entry')}
            </button>
          )}
        </div>
      )}
    </details>
  );
}

function Key({ name }: { readonly name: string | undefined }): ComponentChildren {
  return name === undefined ? null : <span class="json-key">{toVisible(name)}: </span>;
}

function Text({ text }: { readonly text: string }): JSX.Element {
  const isWhole = useSignal(text.length <= TEXT_UNITS);
  return (
    <>
      <span class="json-string">
        &quot;{toVisible(isWhole.value ? text : text.slice(0, TEXT_UNITS))}
        {isWhole.value ? '"' : '…'}
      </span>
      {!isWhole.value && (
        <button type="button" class="quiet small" onClick={() => (isWhole.value = true)}>
          Show all of {plural(text.length, 'character')}
        </button>
      )}
    </>
  );
}
