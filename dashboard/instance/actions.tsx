// What can be done to an instance, each with a dialog that says what will happen.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { Dialog } from '../components/dialog.tsx';
import { Problem } from '../components/problem.tsx';
import { hasEnded } from '../components/status.tsx';
import { write } from '../lib/api.ts';
import { useShortcuts } from '../lib/keys.ts';
import { go, hrefOf } from '../lib/router.ts';
import { tell } from '../lib/toasts.ts';
import type { Instance } from '../lib/types.ts';

type ActionName = 'raise' | 'cancel' | 'terminate' | 'suspend' | 'resume' | 'retry' | 'delete';

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
      'A quarantined instance goes on where it was. One that has ended starts again from the beginning, with the same id, name and input.',
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

/**
 * The buttons of an instance.
 *
 * @param props - the instance, and who is told that something was done
 * @returns a row of buttons
 */
export function Actions({ instance, onDone }: { readonly instance: Instance; readonly onDone: () => void }): JSX.Element {
  const open = useSignal<ActionName | null>(null);
  useShortcuts('Instance', [{ keys: 'e', label: 'Raise an event', run: () => (open.value = 'raise') }]);
  const names = (Object.keys(ACTIONS) as ActionName[]).filter((name) => ACTIONS[name].applies(instance));
  const close = (isDone: boolean): void => {
    open.value = null;
    if (isDone) onDone();
  };
  return (
    <div class="actions" role="group" aria-label="Actions">
      {names.map((name) => (
        <button key={name} type="button" class={ACTIONS[name].isDestructive ? 'danger-quiet' : ''} onClick={() => (open.value = name)}>
          {ACTIONS[name].label}
          {'…'}
        </button>
      ))}
      {open.value === 'raise' && <RaiseDialog instance={instance} onClose={close} />}
      {open.value !== null && open.value !== 'raise' && <ActionDialog name={open.value} instance={instance} onClose={close} />}
    </div>
  );
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
      tell('done', await perform(name, instance.instanceId, { reason: reason.value, force: force.value }));
      onClose(true);
      if (name === 'delete') go(hrefOf('instances'));
    } catch (thrown) {
      error.value = thrown;
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={`${action.label} ${instance.instanceId}`} onClose={() => onClose(false)}>
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

function RaiseDialog({ instance, onClose }: DialogProps): JSX.Element {
  const name = useSignal('');
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
      if (delivered) tell('done', `Event '${name.value}' was raised.`);
      else tell('failed', `The instance has ended: event '${name.value}' was not delivered.`);
      onClose(true);
    } catch (thrown) {
      error.value = thrown;
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={`Raise an event to ${instance.instanceId}`} onClose={() => onClose(false)}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{ACTIONS.raise.explains}</p>
        <label class="field">
          Name
          <input
            required
            value={name.value}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </label>
        <label class="field">
          Data (JSON, optional)
          <textarea rows={5} spellcheck={false} value={data.value} onInput={(event) => (data.value = event.currentTarget.value)} />
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
): Promise<string> {
  const path = `instances/${encodeURIComponent(id)}`;
  if (name === 'delete') {
    const { instances = 0 } = await write<Answers>('DELETE', path, undefined, { force });
    return instances === 1 ? 'The instance was deleted.' : `${instances} instances were deleted.`;
  }
  const { done, delivered, how } = await write<Answers>('POST', `${path}/${name}`, reason === '' ? {} : { reason });
  if (done === false || delivered === false) return 'Nothing was to be done: the instance is already there, or has ended.';
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
