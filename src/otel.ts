// `duraloom/otel`: measurements and traces for OpenTelemetry, by its API (the optional peer dependency `@opentelemetry/api`). Re-exports only.
export { contextOf, openTelemetry, traceContext, type OpenTelemetry, type OpenTelemetryOptions } from './surfaces/otel/open-telemetry.ts';
export { DuraloomIdGenerator, type SpanIdGenerator } from './surfaces/otel/id-generator.ts';
