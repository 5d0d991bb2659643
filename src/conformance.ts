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
export { Parking, type ParkingOptions, type ParkParams, type ServedRound } from './provider/parking.ts';
export { SimulatedClock } from './provider/simulated-clock.ts';
