// Who may ask at all, before anything else is looked at. Neighbours: options.ts has the rules, app.ts calls this for every request.
//
// G1. A page of another site must not reach us through a browser of somebody who can: by a name that it controls (DNS rebinding: the Host header is an
//     IP address, localhost or a name that was allowed), nor by a request that needs no consent (CSRF: Origin and Sec-Fetch-Site are looked at, and
//     what changes something needs a content type that no form sends).
// G2. With a token, nothing but health and the files of the dashboard is told without it. Tokens are compared in constant time.
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { ResolvedHttpOptions } from './options.ts';
import { refuse, type Refusal } from './problem.ts';
import type { RateLimiter } from './rate-limit.ts';

/** What a wrong token costs, in requests. Reason: guessing is slow. */
const WRONG_TOKEN_COST = 20;

/** What kind of thing is asked for. */
export type Area = 'api' | 'health' | 'page';

/** A request that is to be looked at. */
export type Visitor = {
  readonly request: Request;
  readonly area: Area;
  /** Address of the client; null: not known. */
  readonly address: string | null;
};

/**
 * Looks at a request.
 *
 * @param options - the rules
 * @param limiter - counts requests; null: nobody counts
 * @param visitor - the request
 * @returns why it is refused; null: it may pass
 */
export function guard(options: ResolvedHttpOptions, limiter: RateLimiter | null, { request, area, address }: Visitor): Refusal | null {
  const retryAfterS = limiter?.take(address ?? '', 1) ?? null;
  if (retryAfterS !== null) return refuse('RATE_LIMITED', `Too many requests. Come again in ${retryAfterS} s`, { retryAfterS });
  const refusal = checkHost(options, request) ?? checkOrigin(options, request, area);
  if (refusal !== null) return refusal;
  // A browser asks first without it, and is told nothing that is not in the documents.
  const isOpen = area !== 'api' || request.method === 'OPTIONS';
  if (options.token === null || isOpen || hasToken(options.token, request)) return null;
  limiter?.take(address ?? '', WRONG_TOKEN_COST);
  return refuse('UNAUTHORIZED', 'Send the token of this server: Authorization: Bearer <token>', {
    headers: { 'www-authenticate': 'Bearer realm="duraloom"' },
  });
}

/**
 * Tells which other site may read the answer.
 *
 * @param options - the rules
 * @param request - the request
 * @returns its origin; null: none
 */
export function allowedOriginOf(options: ResolvedHttpOptions, request: Request): string | null {
  const origin = request.headers.get('origin');
  return origin !== null && options.allowedOrigins.has(origin) ? origin : null;
}

function checkHost({ allowedHosts }: ResolvedHttpOptions, request: Request): Refusal | null {
  if (allowedHosts.has('*')) return null;
  // A request line may name another host than the header.
  const hosts = [hostOf(request), new URL(request.url).host];
  const refused = hosts.find((host) => !isAllowed(hostnameOf(host), allowedHosts));
  if (refused === undefined) return null;
  return refuse(
    'HOST_NOT_ALLOWED',
    'This server is not called by this name. Add the name to `allowedHosts`, or use an IP address or localhost',
  );
}

/** A `Request` that did not come over a connection has no such header, and its URL says it. */
function hostOf(request: Request): string {
  return request.headers.get('host') ?? new URL(request.url).host;
}

function isAllowed(hostname: string | null, allowedHosts: ReadonlySet<string>): boolean {
  if (hostname === null) return false;
  return hostname === 'localhost' || isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0 || allowedHosts.has(hostname);
}

function hostnameOf(host: string): string | null {
  return /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.test(host) ? host.replace(/:\d+$/, '').toLowerCase() : null;
}

function checkOrigin(options: ResolvedHttpOptions, request: Request, area: Area): Refusal | null {
  const origin = request.headers.get('origin');
  if (origin !== null) return options.allowedOrigins.has(origin) || isOwn(origin, request) ? null : wrongOrigin();
  const site = request.headers.get('sec-fetch-site');
  // Links to pages are followed from anywhere; our data is asked for by our own pages, or typed in.
  const isOwnSite = site === null || site === 'same-origin' || site === 'none';
  return isOwnSite || (area !== 'api' && request.headers.get('sec-fetch-mode') === 'navigate') ? null : wrongOrigin();
}

/** The page came from this server: scheme and name of its origin are those that the request went to. */
function isOwn(origin: string, request: Request): boolean {
  return URL.canParse(origin) && /^https?:$/.test(new URL(origin).protocol) && new URL(origin).host === hostOf(request);
}

function wrongOrigin(): Refusal {
  return refuse('ORIGIN_NOT_ALLOWED', 'Pages of other sites may not call this server. Add their origin to `allowedOrigins` if they should');
}

function hasToken(token: string, request: Request): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(request.headers.get('authorization') ?? '')?.[1];
  // Digests have one length, whatever was sent.
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
