// Parents, children and their children, as a tree of links.
import type { JSX } from 'preact';
import { Loading } from '../components/loading.tsx';
import { Problem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { read } from '../lib/api.ts';
import { toVisible } from '../lib/format.ts';
import { instanceHref } from '../lib/router.ts';
import type { Instance, Tree } from '../lib/types.ts';
import { useLoad } from '../lib/use-load.ts';

const MOST_INSTANCES = 1000;
const REFRESH_MS = 3000;

/**
 * Shows an instance among its relatives.
 *
 * @param props - the instance
 * @returns its parent and the tree below it
 */
export function Family({ instance }: { readonly instance: Instance }): JSX.Element {
  const path = `instances/${encodeURIComponent(instance.instanceId)}/tree`;
  const tree = useLoad<Tree>(path, (signal) => read(path, { limit: MOST_INSTANCES }, signal), {
    everyMs: REFRESH_MS,
    revision: `${instance.eventCount} ${instance.status}`,
  });
  return (
    <section class="panel" aria-labelledby="family-title">
      <h2 id="family-title">Parent and children</h2>
      <p>
        {instance.parentInstanceId === null ? (
          <span class="muted">It has no parent.</span>
        ) : (
          <>
            Parent: <a href={instanceHref(instance.parentInstanceId, { tab: 'family' })}>{toVisible(instance.parentInstanceId)}</a>
          </>
        )}
      </p>
      <Problem error={tree.error.value} what="Loading the tree" retry={tree.reload} />
      {tree.value.value === null && tree.error.value === null && <Loading />}
      {tree.value.value !== null && (
        <ul class="tree">
          <Branch tree={tree.value.value} here={instance.instanceId} />
        </ul>
      )}
    </section>
  );
}

function Branch({ tree, here }: { readonly tree: Tree; readonly here: string }): JSX.Element {
  const { instance, children, isTruncated } = tree;
  const isHere = instance.instanceId === here;
  return (
    <li>
      <span class="tree-row">
        <Status status={instance.status} />
        {isHere ? (
          <strong>{toVisible(instance.instanceId)}</strong>
        ) : (
          <a href={instanceHref(instance.instanceId, { tab: 'family' })}>{toVisible(instance.instanceId)}</a>
        )}
        <span class="muted">{toVisible(instance.name)}</span>
      </span>
      {children.length > 0 && (
        <ul>
          {children.map((child) => (
            <Branch key={child.instance.instanceId} tree={child} here={here} />
          ))}
        </ul>
      )}
      {isTruncated && <p class="muted">There are more. Open a child to see those below it.</p>}
      {isHere && children.length === 0 && <p class="muted">It has no children.</p>}
    </li>
  );
}
