// The public surface of `duraloom`: re-exports only. Stores are in `duraloom/sqlite` and `duraloom/memory`, test helpers in `duraloom/testing`.
export type { BulkAction, BulkOptions, BulkProgress, BulkResult } from './client/bulk.ts';
export {
  Client,
  type ActivityState,
  type ControlResult,
  type ExecutionInfo,
  type Receipt,
  type ValueWaitOptions,
} from './client/client.ts';
export type { ClientStore } from './client/client-store.ts';
export type { Wait, WaitingExplanation } from './client/explain.ts';
export type { InstanceFilterOptions } from './client/filter.ts';
export { InstanceHandle } from './client/instance-handle.ts';
export type { InstanceState, ListedState } from './client/instance-state.ts';
export type { InstancePage, InstanceSummary, InstanceTree, ListOptions, ReadOptions, WaitingSummary } from './client/listing.ts';
export type { PeekOptions, QueueAction, QueueEntry, QueuePage } from './client/queues.ts';
export type { PruneOptions, RetryResult } from './client/removal.ts';
export type { BatchRaiseResult, RaiseOptions, RaiseRequest, RaiseResult } from './client/requests.ts';
export type { RuntimeActivity, RuntimeDescription, RuntimeInfo, RuntimeOrchestration, RuntimeTags } from './client/runtime-info.ts';
export type { StartOptions, StartRequest, StartResult } from './client/start.ts';
export type { ExportedInstance, ImportProgress } from './client/transfer.ts';
export type { WaitOptions } from './client/wait.ts';
export type { AutoTuneOptions } from './main/auto-tuner.ts';
export { LogTail, type LogEntry, type LogFilter, type LogPage, type LogReadOptions, type LogTailOptions } from './main/log-tail.ts';
export type { MetricSeries, MetricsSink } from './main/metrics.ts';
export type { RuntimeOptions } from './main/options.ts';
export type { ReplayMismatch } from './main/replay-checks.ts';
export type { RetentionOptions, RetentionRuleOptions } from './main/retention-options.ts';
export { Runtime, type ShutdownOptions } from './main/runtime.ts';
export type * from './client/runtime-stats.ts';
export type * from './provider/management.ts';
export type * from './provider/provider.ts';
export { validateHistory } from './replay/validate-history.ts';
export { withPrefix, type DefinitionSource, type PrefixedSource, type RegisteredName, type SchemaDescription } from './threads/registry.ts';
export type { VersionPolicy } from './threads/versions.ts';
export type { AttributeChange, Attributes, AttributeValue, StoredAttributes } from './types/attributes.ts';
export type { Clock } from './types/clock.ts';
export type * from './types/context.ts';
export {
  defineActivity,
  defineOrchestration,
  defineTransactionalActivity,
  type ActivityDefinition,
  type ActivityHandler,
  type ActivitySchemas,
  type ActivityTransaction,
  type OrchestrationDefinition,
  type OrchestrationHandler,
  type OrchestrationSchemas,
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
  HistoryMismatchError,
  InstanceError,
  NonRetryableError,
  OptionError,
  OrchestrationError,
  PayloadError,
  ProviderError,
  SchemaError,
  TimeoutError,
  TransactionError,
  type ErrorCode,
} from './types/errors.ts';
export { RemoteError, type Failure } from './types/failure.ts';
export type * from './types/history-event.ts';
export type { ExecutionStatus, InstanceRecord, InstanceStatus } from './types/instance.ts';
export type { Logger, LogLevel, LogLine, LogThreshold } from './types/logger.ts';
export type { MetricLabels, MetricPoint } from './types/metrics.ts';
export type { ParentLink } from './types/names.ts';
export type { ActivityRouting, History } from './types/replay.ts';
export type { StandardSchema } from './types/schema.ts';
export {
  readTraceHeaders,
  type ActivitySpan,
  type ExecutionSpan,
  type FinishedSpan,
  type OrchestrationSpan,
  type SpanEvent,
  type SpanIds,
  type TraceContext,
  type TraceSink,
} from './types/trace.ts';
export type * from './types/transaction.ts';
