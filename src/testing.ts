// `duraloom/testing`: helpers for tests of your own orchestrations. Re-exports only.
export { MemoryProvider } from './provider/memory/memory-provider.ts';
export { SimulatedClock } from './provider/simulated-clock.ts';
export type { ActivityCall } from './testing/activity-calls.ts';
export type { Fault, FaultKind, FaultPlan, FaultRates, FaultyOperation, ScriptedFault } from './testing/fault-plan.ts';
export type { DebugPoint, DebugPointName } from './testing/fault-points.ts';
export { faulty, type FaultyOptions, type FaultyProvider } from './testing/faulty.ts';
export { exportHistory, type HistoryInput, type RecordedExecution, type RecordedHistory } from './testing/recorded-history.ts';
export { replayAll, type HistoryFiles, type ReplayAllOptions, type ReplayAllResult, type ReplayFileResult } from './testing/replay-all.ts';
export {
  replayHistory,
  type ReplayedExecution,
  type ReplayedHistory,
  type ReplayOptions,
  type ReplayOutcome,
  type ReplaySources,
} from './testing/replay-history.ts';
export { simulate, type SimulatedOutside, type SimulationOptions, type SimulationReport } from './testing/simulation/simulate.ts';
export type { TroubleCounts, TroubleKind, TroubleOptions } from './testing/simulation/troubles.ts';
export type { TestActivityContext } from './testing/test-activity-context.ts';
export {
  createTestRuntime,
  type ActivityProgress,
  type TestRuntime,
  type TestRuntimeOptions,
  type TestStartOptions,
  type WaitForOptions,
} from './testing/test-runtime.ts';
export type { ActivityMock, ActivityMocks, TestSources } from './testing/test-sources.ts';
export { HistoryMismatchError, ReplayError, StuckError } from './types/errors.ts';
