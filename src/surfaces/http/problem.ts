// What goes wrong, as application/problem+json (RFC 9457), and the headers that every answer carries. Neighbours: guard.ts, app.ts.
import { STATUS_CODES } from 'node:http';
import { encodeRecord } from '../../types/codec.ts';
import type { SurfaceFailure } from '../operations/failures.ts';
import { toWireText } from '../operations/wire.ts';

/** Codes of refusals that no call of a client makes. */
export type HttpCode =
  | 'BODY_INVALID'
  | 'BODY_TOO_LARGE'
  | 'HOST_NOT_ALLOWED'
  | 'IDEMPOTENCY_KEY_INVALID'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'INTERNAL_ERROR'
  | 'MEDIA_TYPE'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_OFFERED'
  | 'ORIGIN_NOT_ALLOWED'
  | 'RATE_LIMITED'
  | 'READ_ONLY'
  | 'REQUEST_INVALID'
  | 'REQUEST_TIMEOUT'
  | 'ROUTE_NOT_FOUND'
  | 'TOO_MANY_STREAMS'
  | 'UNAUTHORIZED';

/** What is wrong with one field of a request. */
export type Issue = { readonly path: string; readonly message: string };

/** Why a request is refused: a value, not an exception. */
export type Refusal = {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly retryAfterS?: number;
  readonly issues?: readonly Issue[];
  readonly headers?: Readonly<Record<string, string>>;
};

/** The statuses of the codes. */
const STATUS_OF: Readonly<Record<HttpCode, number>> = {
  BODY_INVALID: 400,
  BODY_TOO_LARGE: 413,
  HOST_NOT_ALLOWED: 403,
  IDEMPOTENCY_KEY_INVALID: 400,
  IDEMPOTENCY_KEY_REUSED: 422,
  INTERNAL_ERROR: 500,
  MEDIA_TYPE: 415,
  METHOD_NOT_ALLOWED: 405,
  NOT_OFFERED: 404,
  ORIGIN_NOT_ALLOWED: 403,
  RATE_LIMITED: 429,
  READ_ONLY: 403,
  REQUEST_INVALID: 400,
  REQUEST_TIMEOUT: 504,
  ROUTE_NOT_FOUND: 404,
  TOO_MANY_STREAMS: 503,
  UNAUTHORIZED: 401,
};

/**
 * Makes a refusal.
 *
 * @param code - why
 * @param detail - what to do, for people
 * @param more - when to come again, what is wrong in detail, headers
 * @returns the refusal
 */
export function refuse(code: HttpCode, detail: string, more: Omit<Refusal, 'status' | 'code' | 'detail'> = {}): Refusal {
  return { status: STATUS_OF[code], code, detail, ...more };
}

/**
 * Makes a refusal of a failed operation.
 *
 * @param failure - what it rejected with
 * @returns the refusal
 */
export function refuseFailure({ status, code, detail, retryAfterS }: SurfaceFailure): Refusal {
  return { status, code, detail, ...(retryAfterS !== null && { retryAfterS }) };
}

/**
 * Writes a refusal as data.
 *
 * @param refusal - the refusal
 * @param requestId - under which the server's log has it
 * @returns the problem
 */
export function toProblem({ status, code, detail, issues }: Refusal, requestId: string): object {
  return {
    type: `urn:duraloom:${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code,
    detail,
    requestId,
    ...(issues && { issues }),
  };
}

/**
 * Writes a refusal as a response.
 *
 * @param refusal - the refusal
 * @param requestId - under which the server's log has it
 * @returns the response
 */
export function problemResponse(refusal: Refusal, requestId: string): Response {
  return new Response(encodeRecord(toProblem(refusal, requestId)), {
    status: refusal.status,
    headers: {
      'content-type': 'application/problem+json',
      ...(refusal.retryAfterS !== undefined && { 'retry-after': String(refusal.retryAfterS) }),
      ...refusal.headers,
    },
  });
}

/**
 * Writes an answer.
 *
 * @param value - JSON
 * @param status - of success
 * @returns the response
 */
export function jsonResponse(value: object, status = 200): Response {
  return new Response(toWireText(value), { status, headers: { 'content-type': 'application/json' } });
}

/** Pages of the dashboard load nothing from elsewhere and stand in no frame. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "worker-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const SECURITY_HEADERS: readonly (readonly [string, string])[] = [
  ['content-security-policy', CONTENT_SECURITY_POLICY],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['permissions-policy', 'camera=(), microphone=(), geolocation=(), payment=(), usb=()'],
];

/**
 * Adds what every answer carries.
 *
 * @param response - the answer
 * @param requestId - under which the server's log has it
 * @param allowedOrigin - of another site that may read it; null: none
 * @returns the same answer
 */
export function withHeaders(response: Response, requestId: string, allowedOrigin: string | null): Response {
  for (const [name, value] of SECURITY_HEADERS) response.headers.set(name, value);
  response.headers.set('x-request-id', requestId);
  if (!response.headers.has('cache-control')) response.headers.set('cache-control', 'no-store');
  response.headers.append('vary', 'origin');
  if (allowedOrigin !== null) {
    response.headers.set('access-control-allow-origin', allowedOrigin);
    response.headers.set('access-control-expose-headers', 'x-request-id, retry-after, idempotency-replayed, mcp-session-id');
    response.headers.set('cross-origin-resource-policy', 'cross-origin');
  }
  return response;
}
