// Calls of the HTTP API: one function for all, so that the token, errors and the read-only mode are looked after in one place.
import { signal } from '@preact/signals';
import type { Query } from './types.ts';

/** An answer that is no success, or none at all. */
export class ApiError extends Error {
  /** HTTP status; 0: the server did not answer. */
  readonly status: number;
  /** Code of the server's error, such as `INSTANCE_NOT_FOUND`. */
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

/** What the dashboard needs to know of the server. */
export type Meta = { readonly isReadOnly: boolean; readonly has: { readonly logs: boolean } };

type SendInit = Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> };

const TOKEN_KEY = 'duraloom:token';
/** How often a server that does not answer is asked again. */
const PROBE_MS = 1000;
/** Where the API is, seen from the page. */
const API_BASE = new URL('api/v1/', document.baseURI);

/** The bearer token of this tab; null: none is needed, or none was given yet. */
export const token = signal<string | null>(sessionStorage.getItem(TOKEN_KEY));

/** What the server is; null: not known yet. */
export const meta = signal<Meta | null>(null);

/** True: the server wants a token that it has not been given. */
export const loginNeeded = signal(false);

/** True: the server did not answer when it was asked last. It is asked again until it does. */
export const isUnreachable = signal(false);

/** Grows when the server answers again: what could not be loaded is loaded then. */
export const recoveries = signal(0);

/**
 * Keeps a token until the tab is closed.
 *
 * @param value - the token; null: forget it
 */
export function setToken(value: string | null): void {
  token.value = value;
  if (value === null) sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, value);
  loginNeeded.value = value === null;
}

/**
 * Writes the URL of a route.
 *
 * @param path - below the API, without a leading slash
 * @param query - its parameters
 * @returns the whole URL
 */
export function urlOf(path: string, query: Query = {}): URL {
  const url = new URL(path, API_BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === '') continue;
    if (typeof value === 'object') for (const one of value) url.searchParams.append(name, one);
    else url.searchParams.set(name, String(value));
  }
  return url;
}

/**
 * Sends a request to the API.
 *
 * @param url - from `urlOf`
 * @param init - as for fetch
 * @returns the answer, whose status is a success
 * @throws {ApiError} otherwise; a 401 asks the user for a token, too
 */
export async function send(url: URL, init: SendInit = {}): Promise<Response> {
  const headers = { ...init.headers, ...(token.value === null ? {} : { authorization: `Bearer ${token.value}` }) };
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, cache: 'no-store', credentials: 'same-origin', redirect: 'error' });
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    if (!isUnreachable.value) {
      isUnreachable.value = true;
      setTimeout(() => void probe(), PROBE_MS);
    }
    throw new ApiError(0, 'UNREACHABLE', 'The server does not answer. Is it running?');
  }
  if (isUnreachable.value) {
    isUnreachable.value = false;
    recoveries.value += 1;
  }
  if (response.ok) return response;
  const problem = await readProblem(response);
  if (response.status === 401) loginNeeded.value = true;
  throw problem;
}

/**
 * Asks the API for data.
 *
 * @param path - of the route
 * @param query - its parameters
 * @param stop - ends the request
 * @returns the decoded answer, of the type that the route is known to have
 * @throws {ApiError} when it is no success
 */
export async function read<T>(path: string, query: Query = {}, stop?: AbortSignal): Promise<T> {
  const response = await send(urlOf(path, query), stop === undefined ? {} : { signal: stop });
  return (await response.json()) as T;
}

/**
 * Tells the API to do something.
 *
 * @param method - of the request
 * @param path - of the route
 * @param body - JSON; undefined: none
 * @param query - parameters
 * @returns the decoded answer; undefined when it has no body
 * @throws {ApiError} when it is no success
 */
export async function write<T>(method: 'POST' | 'DELETE' | 'PUT' | 'PATCH', path: string, body?: unknown, query: Query = {}): Promise<T> {
  const response = await send(urlOf(path, query), {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body ?? {}),
  });
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/**
 * Tells whether the server did not answer at all: that is said once for the whole page, and what is missing is loaded when it is back.
 *
 * @param error - what was thrown
 * @returns true when there was no answer
 */
export function isSilence(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

/**
 * Says what went wrong, for people.
 *
 * @param error - what was thrown
 * @returns its message as a sentence
 */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}`;
}

/** Asks until the server answers, whatever it answers. */
async function probe(): Promise<void> {
  if (!isUnreachable.value) return;
  // `send` has noted whether it answers: what it says is of no interest here.
  await send(urlOf('meta')).catch(() => undefined);
  if (isUnreachable.value) setTimeout(() => void probe(), PROBE_MS);
}

/** Errors come as `application/problem+json`; a proxy in between may answer with anything. */
async function readProblem(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  try {
    const { code, title, detail } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const message = [detail, title].find((one) => typeof one === 'string');
    if (typeof message === 'string') return new ApiError(response.status, typeof code === 'string' ? code : 'UNKNOWN', message);
  } catch {
    // No JSON: what the status says has to do.
  }
  return new ApiError(response.status, 'UNKNOWN', `The server answered ${response.status} ${response.statusText}`.trim());
}
