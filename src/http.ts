// `duraloom/http`: the HTTP API, mounted in a server or with one of its own. Re-exports only.
export { createHttpApi, serve, type HttpApi, type HttpServer, type RequestClient, type ServeOptions } from './surfaces/http/http-api.ts';
export type { HttpApiOptions, MetricsRegistry, RateLimit } from './surfaces/http/options.ts';
export type { LogEntry, LogFilter, LogSource } from './surfaces/operations/log-source.ts';
export type { LocalRuntime } from './surfaces/operations/operation.ts';
