// `duraloom/conformance`: the storage contract as cases that run against any provider, and what helps to write one. Re-exports only.
export {
  SkippedCase,
  type ConformanceCase,
  type ConformanceContext,
  type ConformanceStore,
  type ConformanceTarget,
} from './conformance/conformance-case.ts';
export { conformanceCases } from './conformance/conformance-cases.ts';
export { runConformance, runConformanceCase, type ConformanceCounts, type ConformanceResult } from './conformance/run-conformance.ts';
export { FetchQueue, type FetchSource } from './provider/fetch-queue.ts';
export { MemoryStore, type TakeParams } from './provider/memory/memory-store.ts';
export { Parking, type ParkingOptions, type ParkParams, type ServedRound } from './provider/parking.ts';
export { IN_PROGRESS_HEAD_START_MS, meetsCondition, PRIORITY_HEAD_START_MS, SESSION_MESSAGE_TTL_MS } from './provider/provider.ts';
export { SimulatedClock } from './provider/simulated-clock.ts';
export { systemClock } from './provider/system-clock.ts';
export { ENGINE_BEHAVIOUR } from './types/history-event.ts';
export { isEnded } from './types/instance.ts';
export { MAX_MESSAGES_PER_TURN } from './types/limits.ts';
export { isSameLink } from './types/names.ts';
export { matchesTopic } from './types/topics.ts';
