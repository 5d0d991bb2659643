// Asks for the bearer token of the server. It is kept until the tab is closed.
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { messageOf, read, setToken, token } from '../lib/api.ts';

/**
 * The form for the token.
 *
 * @returns the form
 */
export function Login(): JSX.Element {
  const typed = useSignal('');
  const problem = useSignal(token.value === null ? '' : 'The server does not take this token.');
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (typed.value === '') return;
    token.value = typed.value;
    try {
      await read('meta');
      setToken(typed.value);
    } catch (error) {
      token.value = null;
      problem.value = messageOf(error);
      typed.value = '';
      input.current?.focus();
    }
  };
  return (
    <form class="login panel" onSubmit={(event) => void submit(event)}>
      <h1>Sign in</h1>
      <p>This server asks for a token: the one with which duraloom serve was started.</p>
      <label class="field">
        Token
        <input
          ref={input}
          type="password"
          autocomplete="current-password"
          value={typed.value}
          aria-describedby="login-problem"
          onInput={(event) => (typed.value = event.currentTarget.value)}
        />
      </label>
      <p id="login-problem" role="alert" class="failed-text">
        {problem.value}
      </p>
      <button type="submit" class="primary">
        Sign in
      </button>
    </form>
  );
}
