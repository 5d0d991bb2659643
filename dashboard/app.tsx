// The frame of all pages: navigation, connection, theme, help, login. Neighbours: pages/*, lib/router.ts.
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Dialog } from './components/dialog.tsx';
import { Login } from './components/login.tsx';
import { Problem } from './components/problem.tsx';
import { Toasts } from './components/toasts.tsx';
import { Loading } from './components/loading.tsx';
import { isUnreachable, loginNeeded, meta, read, setToken, token, type Meta } from './lib/api.ts';
import { shortcuts, useShortcuts } from './lib/keys.ts';
import { go, hrefOf, route, type Route } from './lib/router.ts';
import { connection, interruption } from './lib/stream.ts';
import { toVisible } from './lib/format.ts';
import { nextTheme, theme } from './lib/theme.ts';
import { useLoad } from './lib/use-load.ts';
import { InstancePage } from './pages/instance.tsx';
import { InstancesPage } from './pages/instances.tsx';
import { LogsPage } from './pages/logs.tsx';
import { QueuesPage } from './pages/queues.tsx';
import { RuntimesPage } from './pages/runtimes.tsx';

const THEME_SIGNS = { system: '◐', light: '☀', dark: '☾' } as const;

/**
 * The dashboard.
 *
 * @returns frame and page
 */
export function App(): JSX.Element {
  const isHelpOpen = useSignal(false);
  const known = useLoad<Meta>(token.value ?? '', (signal) => read('meta', {}, signal));
  useEffect(() => {
    if (known.value.value !== null) meta.value = known.value.value;
  }, [known.value.value]);

  useShortcuts('Everywhere', [
    { keys: '?', label: 'Show the shortcuts', run: () => (isHelpOpen.value = true) },
    { keys: 'g i', label: 'Go to the instances', run: () => go(hrefOf('instances')) },
    { keys: 'g q', label: 'Go to the queues', run: () => go(hrefOf('queues')) },
    { keys: 'g r', label: 'Go to the runtimes', run: () => go(hrefOf('runtimes')) },
    { keys: 'g l', label: 'Go to the logs', run: () => meta.value?.has.logs === true && go(hrefOf('logs')) },
    { keys: 't', label: 'Switch the theme', run: nextTheme },
  ]);

  return (
    <>
      <a class="skip" href="#main" onClick={skipToMain}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={hrefOf('instances')}>
          <span aria-hidden="true" class="logo" />
          duraloom
        </a>
        <nav aria-label="Pages">
          <NavLink to="instances" pages={['instances', 'instance']}>
            Instances
          </NavLink>
          <NavLink to="queues" pages={['queues']}>
            Queues
          </NavLink>
          <NavLink to="runtimes" pages={['runtimes']}>
            Runtimes
          </NavLink>
          {meta.value?.has.logs === true && (
            <NavLink to="logs" pages={['logs']}>
              Logs
            </NavLink>
          )}
        </nav>
        <div class="top-tools">
          {meta.value?.isReadOnly === true && (
            <span class="note" title="This server shows everything and changes nothing: it was started so.">
              Read-only
            </span>
          )}
          <Connection />
          <button
            type="button"
            class="quiet"
            aria-label={`Theme: ${theme.value}. Switch`}
            title={`Theme: ${theme.value}`}
            onClick={nextTheme}
          >
            <span aria-hidden="true">{THEME_SIGNS[theme.value]}</span>
          </button>
          <button
            type="button"
            class="quiet"
            aria-label="Keyboard shortcuts"
            title="Keyboard shortcuts (?)"
            onClick={() => (isHelpOpen.value = true)}
          >
            <span aria-hidden="true">?</span>
          </button>
          {token.value !== null && (
            <button type="button" class="quiet small" onClick={() => setToken(null)}>
              Sign out
            </button>
          )}
        </div>
      </header>
      <Interruption />
      <main id="main" tabIndex={-1}>
        {loginNeeded.value ? (
          <Login />
        ) : meta.value === null ? (
          <>
            <Problem error={known.error.value} what="Asking the server what it is" retry={known.reload} />
            {known.error.value === null && <Loading />}
          </>
        ) : (
          <Page />
        )}
      </main>
      <Toasts />
      {isHelpOpen.value && <Help onClose={() => (isHelpOpen.value = false)} />}
    </>
  );
}

/** A link to `#main` would be a place of the dashboard. */
function skipToMain(event: MouseEvent): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('#main')?.focus();
}

function Page(): JSX.Element {
  const place = route.value;
  const title = titleOf(place);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${title} · duraloom`;
    // After a step to another page, screen readers and keys begin there.
    if (!isFirst.current) document.querySelector<HTMLElement>('#main')?.focus();
    isFirst.current = false;
  }, [title]);
  switch (place.page) {
    case 'instances':
      return <InstancesPage />;
    case 'instance':
      return <InstancePage key={place.id} id={place.id} />;
    case 'queues':
      return <QueuesPage />;
    case 'runtimes':
      return <RuntimesPage />;
    case 'logs':
      return <LogsPage />;
    case 'unknown':
      return (
        <>
          <h1>Not found</h1>
          <p>
            There is no page “{toVisible(place.path)}”. <a href={hrefOf('instances')}>Go to the instances</a>
          </p>
        </>
      );
  }
}

function titleOf(place: Route): string {
  switch (place.page) {
    case 'instances':
      return 'Instances';
    case 'instance':
      return place.id;
    case 'queues':
      return 'Queues';
    case 'runtimes':
      return 'Runtimes';
    case 'logs':
      return 'Logs';
    case 'unknown':
      return 'Not found';
  }
}

type NavLinkProps = { readonly to: string; readonly pages: readonly Route['page'][]; readonly children: ComponentChildren };

function NavLink({ to, pages, children }: NavLinkProps): JSX.Element {
  return (
    <a href={hrefOf(to)} aria-current={pages.includes(route.value.page) ? 'page' : undefined}>
      {children}
    </a>
  );
}

function Connection(): JSX.Element {
  const text = { none: '', live: 'Live', reconnecting: 'Reconnecting…' }[connection.value];
  return (
    <span class={`connection ${connection.value}`} role="status">
      {text}
    </span>
  );
}

/** What keeps news from the page: said once, over all of it. */
function Interruption(): JSX.Element | null {
  if (loginNeeded.value || (!isUnreachable.value && interruption.value === null)) return null;
  return (
    <p class="interruption" role="alert">
      {isUnreachable.value
        ? 'The server does not answer. What you see is from before. It is asked again until it answers.'
        : `Live updates are interrupted: ${interruption.value ?? ''}. They are tried again.`}
    </p>
  );
}

function Help({ onClose }: { readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      {shortcuts.value.map(({ group, list }) => (
        <section key={group}>
          <h3>{group}</h3>
          <dl class="keys">
            {list.map(({ keys, label }) => (
              <div key={keys}>
                <dt>
                  {keys.split(' ').map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dt>
                <dd>{label}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <section>
        <h3>In tables and dialogs</h3>
        <dl class="keys">
          <div>
            <dt>
              <kbd>↑</kbd>
              <kbd>↓</kbd>
            </dt>
            <dd>From row to row, also j and k</dd>
          </div>
          <div>
            <dt>
              <kbd>PgUp</kbd>
              <kbd>PgDn</kbd>
            </dt>
            <dd>A screen up or down; Home and End: first and last row</dd>
          </div>
          <div>
            <dt>
              <kbd>Tab</kbd>
            </dt>
            <dd>Through the row, then out of the table</dd>
          </div>
          <div>
            <dt>
              <kbd>Enter</kbd>
            </dt>
            <dd>Open the row</dd>
          </div>
          <div>
            <dt>
              <kbd>Esc</kbd>
            </dt>
            <dd>Close a dialog, leave a field</dd>
          </div>
        </dl>
      </section>
    </Dialog>
  );
}
