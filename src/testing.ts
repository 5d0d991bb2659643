// `duraloom/testing`: helpers for tests of your own orchestrations. Re-exports only.
export { MemoryProvider } from './provider/memory/memory-provider.ts';
export { SimulatedClock } from './provider/simulated-clock.ts';
