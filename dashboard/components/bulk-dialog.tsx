// Does one thing to many instances: shows first what would happen, asks, then shows how it goes on.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError, messageOf, write } from '../lib/api.ts';
import { formatNumber, plural } from '../lib/format.ts';
import type { BulkResult } from '../lib/types.ts';
import { Dialog } from './dialog.tsx';
import { Problem } from './problem.tsx';

/** What can be done to many. */
export const BULK_ACTIONS = ['cancel', 'terminate', 'suspend', 'resume', 'retry', 'delete'] as const;

/** One of them. */
export type BulkAction = (typeof BULK_ACTIONS)[number];

/** To whom it is done: all that match a filter, or those that were selected. */
export type BulkTarget =
  | { readonly kind: 'filter'; readonly filter: Readonly<Record<string, unknown>> }
  | { readonly kind: 'selection'; readonly ids: readonly string[] };

type Props = { readonly action: BulkAction; readonly target: BulkTarget; readonly onClose: (isDone: boolean) => void };

type Phase = 'checking' | 'asking' | 'working' | 'finished';
type Progress = { readonly done: number; readonly skipped: number; readonly failed: number };
type Trouble = { readonly instanceId: string; readonly message: string };

/** Instances of one call: as many as give a progress bar something to do. */
const BATCH = 500;
/** Instances of one call at most, as the server has it. */
const MOST = 10_000;
const NEEDS_REASON: ReadonlySet<BulkAction> = new Set(['cancel', 'terminate']);
const DESTRUCTIVE: ReadonlySet<BulkAction> = new Set(['cancel', 'terminate', 'delete']);

/**
 * The dialog of a bulk action.
 *
 * @param props - the action and its targets
 * @returns the dialog
 */
export function BulkDialog({ action, target, onClose }: Props): JSX.Element {
  const phase = useSignal<Phase>('checking');
  const check = useSignal<BulkResult | null>(null);
  const error = useSignal<unknown>(null);
  const progress = useSignal<Progress>({ done: 0, skipped: 0, failed: 0 });
  const troubles = useSignal<readonly Trouble[]>([]);
  const reason = useSignal('');
  const force = useSignal(false);
  const isStopped = useRef(false);

  useEffect(() => {
    const run = async (): Promise<void> => {
      try {
        if (target.kind === 'filter')
          check.value = await write<BulkResult>('POST', 'bulk', { action, filter: target.filter, dryRun: true, limit: MOST });
        phase.value = 'asking';
      } catch (thrown) {
        error.value = thrown;
      }
    };
    void run();
    return () => {
      isStopped.current = true;
    };
  }, []);

  const wanted = target.kind === 'selection' ? target.ids.length : (check.value?.done ?? 0);
  const unfit = check.value?.skipped ?? 0;
  const sample = target.kind === 'selection' ? target.ids : (check.value?.sample ?? []);

  const work = async (): Promise<void> => {
    phase.value = 'working';
    try {
      await (target.kind === 'selection' ? workOnSelection(target.ids) : workOnFilter(target.filter));
    } catch (thrown) {
      error.value = thrown;
    }
    phase.value = 'finished';
  };

  const add = (change: Partial<Progress>, failures: readonly Trouble[] = []): void => {
    const { done, skipped, failed } = progress.value;
    progress.value = { done: done + (change.done ?? 0), skipped: skipped + (change.skipped ?? 0), failed: failed + (change.failed ?? 0) };
    troubles.value = [...troubles.value, ...failures].slice(0, 100);
  };

  const workOnSelection = async (ids: readonly string[]): Promise<void> => {
    const left = [...ids];
    const worker = async (): Promise<void> => {
      for (let id = left.shift(); id !== undefined && !isStopped.current; id = left.shift()) await workOnOne(id);
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
  };

  const workOnOne = async (id: string): Promise<void> => {
    const path = `instances/${encodeURIComponent(id)}`;
    try {
      const answer =
        action === 'delete'
          ? await write<{ readonly instances: number }>('DELETE', path, undefined, { force: force.value })
          : await write<{ readonly done?: boolean; readonly delivered?: boolean }>('POST', `${path}/${action}`, bodyOf());
      const isDone = 'instances' in answer ? answer.instances > 0 : (answer.done ?? answer.delivered ?? true);
      add(isDone ? { done: 1 } : { skipped: 1 });
    } catch (thrown) {
      // An instance that has ended, or is gone, is none of its business: the same as in bulk actions of the server.
      if (thrown instanceof ApiError && ['INSTANCE_ENDED', 'INSTANCE_ALIVE', 'INSTANCE_NOT_FOUND'].includes(thrown.code))
        add({ skipped: 1 });
      else add({ failed: 1 }, [{ instanceId: id, message: messageOf(thrown) }]);
    }
  };

  const bodyOf = (): Readonly<Record<string, unknown>> => (NEEDS_REASON.has(action) && reason.value !== '' ? { reason: reason.value } : {});

  const workOnFilter = async (filter: Readonly<Record<string, unknown>>): Promise<void> => {
    const forced = action === 'delete' && force.value ? { force: true } : {};
    let left = force.value ? wanted + unfit : wanted;
    while (left > 0 && !isStopped.current) {
      const limit = Math.min(left, batchOf(action));
      const result = await write<BulkResult>('POST', 'bulk', { action, filter, limit, ...bodyOf(), ...forced });
      add({ done: result.done, failed: result.failed }, result.failures);
      left -= result.done + result.failed;
      if (result.done + result.failed < limit || result.done === 0) break;
    }
    // Those that did not fit from the beginning, and those that no longer do.
    if (!isStopped.current) add({ skipped: left + (force.value ? 0 : unfit) });
  };

  const total = progress.value.done + progress.value.skipped + progress.value.failed;
  const isOver = phase.value === 'finished';
  return (
    <Dialog title={`${titleOf(action)} instances`} onClose={() => onClose(isOver)}>
      <Problem error={error.value} what="The action" />
      {phase.value === 'checking' && error.value === null && <p role="status">Looking what would happen…</p>}
      {phase.value === 'asking' && (
        <>
          <p>
            {target.kind === 'filter' ? 'Dry run: ' : ''}
            <strong>{plural(wanted, 'instance')}</strong>
            {wanted >= MOST ? ' (the first 10,000)' : ''} would be affected
            {unfit > 0 ? `, ${formatNumber(unfit)} skipped as they are` : ''}. {DESTRUCTIVE.has(action) && 'This cannot be undone.'}
          </p>
          {wanted > 0 && (
            <details>
              <summary>Which ones</summary>
              <ul class="sample">
                {sample.slice(0, 100).map((id) => (
                  <li key={id}>
                    <code>{id}</code>
                  </li>
                ))}
              </ul>
              {wanted > 100 && <p class="muted">and {formatNumber(wanted - 100)} more</p>}
            </details>
          )}
          {NEEDS_REASON.has(action) && (
            <label class="field">
              Reason (optional)
              <input value={reason.value} maxLength={500} onInput={(event) => (reason.value = event.currentTarget.value)} />
            </label>
          )}
          {action === 'delete' && (
            <label class="check">
              <input type="checkbox" checked={force.value} onChange={(event) => (force.value = event.currentTarget.checked)} /> Also those
              that still run
            </label>
          )}
          <div class="dialog-actions">
            <button type="button" onClick={() => onClose(false)}>
              Keep them
            </button>
            <button
              type="button"
              class={DESTRUCTIVE.has(action) ? 'danger' : 'primary'}
              disabled={wanted === 0 && !force.value}
              onClick={() => void work()}
            >
              {titleOf(action)} {plural(force.value ? wanted + unfit : wanted, 'instance')}
            </button>
          </div>
        </>
      )}
      {(phase.value === 'working' || isOver) && (
        <>
          <progress max={Math.max(wanted, total, 1)} value={isOver ? Math.max(wanted, total, 1) : total} aria-label="Progress" />
          <p role="status">
            {isOver ? 'Finished' : 'Working'}: {formatNumber(progress.value.done)} done, {formatNumber(progress.value.skipped)} skipped,{' '}
            {formatNumber(progress.value.failed)} failed.
          </p>
          {troubles.value.length > 0 && (
            <ul class="sample">
              {troubles.value.map(({ instanceId, message }) => (
                <li key={instanceId}>
                  <code>{instanceId}</code>: {message}
                </li>
              ))}
            </ul>
          )}
          <div class="dialog-actions">
            <button type="button" class={isOver ? 'primary' : ''} onClick={() => onClose(true)}>
              {isOver ? 'Close' : 'Stop'}
            </button>
          </div>
        </>
      )}
    </Dialog>
  );
}

/** What was asked to cancel stays until its next turn, and would be asked again by the next call: all at once. */
function batchOf(action: BulkAction): number {
  return action === 'cancel' ? MOST : BATCH;
}

function titleOf(action: BulkAction): string {
  return action[0]?.toUpperCase() + action.slice(1);
}
