// The public surface of `duraloom`: re-exports only. Stores are in `duraloom/sqlite` and `duraloom/memory`, test helpers in `duraloom/testing`.
export { Client, type StartOptions } from './main/client.ts';
export { InstanceHandle, type InstanceState, type WaitOptions } from './main/instance-handle.ts';
export type { RuntimeOptions } from './main/options.ts';
export { Runtime, type RuntimeState, type RuntimeStats, type ShutdownOptions } from './main/runtime.ts';
export type * from './provider/provider.ts';
export { validateHistory } from './replay/validate-history.ts';
export type { DefinitionSource, RegisteredName } from './threads/registry.ts';
export type { Clock } from './types/clock.ts';
export type * from './types/context.ts';
export {
  defineActivity,
  defineOrchestration,
  type ActivityDefinition,
  type ActivityHandler,
  type OrchestrationDefinition,
  type OrchestrationHandler,
  type OrchestrationSettings,
} from './types/definition.ts';
export type { Duration } from './types/duration.ts';
export {
  ArgumentError,
  CancelledError,
  DefinitionError,
  DeterminismError,
  DurableError,
  HistoryError,
  InstanceError,
  OptionError,
  OrchestrationError,
  PayloadError,
  ProviderError,
  type ErrorCode,
} from './types/errors.ts';
export { RemoteError, type Failure } from './types/failure.ts';
export type * from './types/history-event.ts';
export type { ExecutionStatus, InstanceRecord, InstanceStatus } from './types/instance.ts';
export type { Logger, LogLevel } from './types/logger.ts';
export type { History } from './types/replay.ts';
