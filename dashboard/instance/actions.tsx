// What can be done to an instance, each with a dialog that says what will happen.
import { useSignal, type Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { Dialog } from '../components/dialog.tsx';
import { Problem } from '../components/problem.tsx';
import { hasEnded } from '../components/status.tsx';
import { write } from '../lib/api.ts';
import { plural, toVisible } from '../lib/format.ts';
import { useShortcuts } from '../lib/keys.ts';
import { go, hrefOf } from '../lib/router.ts';
import { tell } from '../lib/toasts.ts';
import type { Instance } from '../lib/types.ts';

/** Name of an action. */
export type ActionName = 'raise' | 'cancel' | 'terminate' | 'suspend' | 'resume' | 'retry' | 'delete';

/** A dialog that is open; `eventName`: of the event that is offered. */
export type OpenDialog = { readonly name: ActionName; readonly eventName?: string };

type Action = {
  readonly label: string;
  /** What it does, in the dialog. */
  readonly explains: string;
  readonly isDestructive: boolean;
  readonly takesReason: boolean;
  readonly applies: (instance: Instance) => boolean;
};

const ACTIONS: Readonly<Record<ActionName, Action>> = {
  raise: {
    label: 'Raise event',
    explains: 'The orchestration gets the event when it waits for its name, now or later.',
    isDestructive: false,
    takesReason: false,
    applies: ({ status }) => !hasEnded(status),
  },
  suspend: {
    label: 'Suspend',
    explains: 'No turn runs until it is resumed. Activities that run already go on.',
    isDestructive: false,
    takesReason: false,
    applies: ({ status }) => !hasEnded(status) && status !== 'Suspended' && status !== 'Quarantined',
  },
  resume: {
    label: 'Resume',
    explains: 'It goes on where it was.',
    isDestructive: false,
    takesReason: false,
    applies: ({ status }) => status === 'Suspended',
  },
  retry: {
    label: 'Retry',
    explains:
      'A quarantined instance goes on where it was. One that has ended starts again from the beginning, with the same id, name and input; ' +
      'its history of before is replaced.',
    isDestructive: false,
    takesReason: false,
    applies: ({ status }) => ['Quarantined', 'Failed', 'Cancelled', 'Terminated'].includes(status),
  },
  cancel: {
    label: 'Cancel',
    explains: 'The orchestration is asked to end: it may clean up first.',
    isDestructive: true,
    takesReason: true,
    applies: ({ status }) => !hasEnded(status),
  },
  terminate: {
    label: 'Terminate',
    explains: 'It ends at once, without cleaning up. This cannot be undone.',
    isDestructive: true,
    takesReason: true,
    applies: ({ status }) => !hasEnded(status),
  },
  delete: {
    label: 'Delete',
    explains: 'The instance, its histories and its descendants are removed. This cannot be undone.',
    isDestructive: true,
    takesReason: false,
    applies: ({ parentInstanceId }) => parentInstanceId === null,
  },
};

type ActionsProps = {
  readonly instance: Instance;
  /** The dialog that is open; others may open one, too. */
  readonly open: Signal<OpenDialog | null>;
  /** Told that something was done. */
  readonly onDone: () => void;
};

/**
 * The buttons of an instance.
 *
 * @param props - the instance
 * @returns a row of buttons
 */
export function Actions({ instance, open, onDone }: ActionsProps): JSX.Element {
  useShortcuts('Instance', [
    { keys: 'e', label: 'Raise an event', run: () => ACTIONS.raise.applies(instance) && (open.value = { name: 'raise' }) },
  ]);
  const names = (Object.keys(ACTIONS) as ActionName[]).filter((name) => ACTIONS[name].applies(instance));
  const close = (isDone: boolean): void => {
    open.value = null;
    if (isDone) onDone();
  };
  return (
    <div class="actions" role="group" aria-label="Actions">
      {names.map((name) => (
        <button key={name} type="button" class={ACTIONS[name].isDestructive ? 'danger-quiet' : ''} onClick={() => (open.value = { name })}>
          {ACTIONS[name].label}
          {'…'}
        </button>
      ))}
      <OpenedDialog dialog={open.value} instance={instance} onClose={close} />
    </div>
  );
}

type OpenedProps = DialogProps & { readonly dialog: OpenDialog | null };

function OpenedDialog({ dialog, instance, onClose }: OpenedProps): JSX.Element | null {
  if (dialog === null) return null;
  if (dialog.name === 'raise') return <RaiseDialog instance={instance} offered={dialog.eventName ?? ''} onClose={onClose} />;
  return <ActionDialog name={dialog.name} instance={instance} onClose={onClose} />;
}

type DialogProps = { readonly instance: Instance; readonly onClose: (isDone: boolean) => void };

function ActionDialog({ name, instance, onClose }: DialogProps & { readonly name: Exclude<ActionName, 'raise'> }): JSX.Element {
  const action = ACTIONS[name];
  const reason = useSignal('');
  const isBusy = useSignal(false);
  const error = useSignal<unknown>(null);
  const isAlive = !hasEnded(instance.status);
  const force = useSignal(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    isBusy.value = true;
    try {
      const { isDone, text } = await perform(name, instance.instanceId, { reason: reason.value, force: force.value });
      tell(isDone ? 'done' : 'failed', text);
      onClose(true);
      if (name === 'delete') go(hrefOf('instances'));
    } catch (thrown) {
      error.value = thrown;
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={toVisible(`${action.label} ${instance.instanceId}`)} onClose={() => onClose(false)}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{action.explains}</p>
        {action.takesReason && (
          <label class="field">
            Reason (optional)
            <input value={reason.value} maxLength={500} onInput={(event) => (reason.value = event.currentTarget.value)} />
          </label>
        )}
        {name === 'delete' && isAlive && (
          <label class="check">
            <input type="checkbox" checked={force.value} onChange={(event) => (force.value = event.currentTarget.checked)} /> It has not
            ended: delete it all the same
          </label>
        )}
        <Problem error={error.value} what={action.label} />
        <div class="dialog-actions">
          <button type="button" onClick={() => onClose(false)}>
            Back
          </button>
          <button
            type="submit"
            class={action.isDestructive ? 'danger' : 'primary'}
            disabled={isBusy.value || (name === 'delete' && isAlive && !force.value)}
          >
            {action.label}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function RaiseDialog({ instance, offered, onClose }: DialogProps & { readonly offered: string }): JSX.Element {
  const name = useSignal(offered);
  const data = useSignal('');
  const isBusy = useSignal(false);
  const error = useSignal<unknown>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    isBusy.value = true;
    try {
      const body = { name: name.value, ...(data.value.trim() === '' ? {} : { data: parseData(data.value) }) };
      const { delivered } = await write<{ readonly delivered: boolean }>(
        'POST',
        `instances/${encodeURIComponent(instance.instanceId)}/raise`,
        body,
      );
      if (delivered) tell('done', `Event '${toVisible(name.value)}' was raised.`);
      else tell('failed', `The instance has ended: event '${toVisible(name.value)}' was not delivered.`);
      onClose(true);
    } catch (thrown) {
      error.value = thrown;
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={toVisible(`Raise an event to ${instance.instanceId}`)} onClose={() => onClose(false)}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{ACTIONS.raise.explains}</p>
        <label class="field">
          Name
          <input
            required
            autofocus={offered === ''}
            value={name.value}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </label>
        <label class="field">
          Data (JSON, optional)
          <textarea
            rows={5}
            autofocus={offered !== ''}
            spellcheck={false}
            value={data.value}
            onInput={(event) => (data.value = event.currentTarget.value)}
          />
        </label>
        <Problem error={error.value} what="Raising the event" />
        <div class="dialog-actions">
          <button type="button" onClick={() => onClose(false)}>
            Back
          </button>
          <button type="submit" class="primary" disabled={isBusy.value}>
            Raise
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** The browser's message says where it is wrong, but not of what it speaks. */
function parseData(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new SyntaxError(`The data is no JSON: ${error instanceof Error ? error.message : String(error)}. Text needs quotes.`);
  }
}

type Answers = { readonly done?: boolean; readonly delivered?: boolean; readonly how?: string; readonly instances?: number };

async function perform(
  name: Exclude<ActionName, 'raise'>,
  id: string,
  { reason, force }: { readonly reason: string; readonly force: boolean },
): Promise<{ readonly isDone: boolean; readonly text: string }> {
  const path = `instances/${encodeURIComponent(id)}`;
  if (name === 'delete') {
    const { instances = 0 } = await write<Answers>('DELETE', path, undefined, { force });
    return instances === 0
      ? { isDone: false, text: 'The instance was gone already.' }
      : { isDone: true, text: instances === 1 ? 'The instance was deleted.' : `${plural(instances, 'instance')} were deleted.` };
  }
  const { done, delivered, how } = await write<Answers>('POST', `${path}/${name}`, reason === '' ? {} : { reason });
  if (done === false || delivered === false) return { isDone: false, text: `There was nothing to ${name}: see its status.` };
  return { isDone: true, text: doneText(name, how) };
}

function doneText(name: Exclude<ActionName, 'raise' | 'delete'>, how: string | undefined): string {
  switch (name) {
    case 'cancel':
      return 'The instance was asked to end.';
    case 'terminate':
      return 'The instance was terminated.';
    case 'suspend':
      return 'The instance is suspended.';
    case 'resume':
      return 'The instance goes on.';
    case 'retry':
      return how === 'restarted' ? 'The instance was started again.' : 'The instance goes on.';
  }
}
