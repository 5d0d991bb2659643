// The key-value pairs that an orchestration keeps.
import type { JSX } from 'preact';
import { JsonView } from '../components/json-view.tsx';
import { Problem } from '../components/problem.tsx';
import { toVisible } from '../lib/format.ts';
import { read } from '../lib/api.ts';
import { useLoad } from '../lib/use-load.ts';

type Values = { readonly values: readonly { readonly key: string; readonly value: unknown }[] };

/**
 * Shows the pairs of an instance.
 *
 * @param props - the instance; `revision` changes when something happened to it
 * @returns a list
 */
export function ValuesPanel({ id, revision }: { readonly id: string; readonly revision: string }): JSX.Element {
  const values = useLoad<Values>(id, (signal) => read(`instances/${encodeURIComponent(id)}/values`, {}, signal), { revision });
  const list = values.value.value?.values ?? [];
  return (
    <section class="panel" aria-labelledby="values-title">
      <h2 id="values-title">Key-values</h2>
      <Problem error={values.error.value} what="Loading the values" retry={values.reload} />
      {list.length === 0 ? (
        <p class="muted">{values.value.value === null ? 'Loading…' : 'It keeps none.'}</p>
      ) : (
        list.map(({ key, value }) => <JsonView key={key} label={toVisible(key)} value={value} />)
      )}
    </section>
  );
}
