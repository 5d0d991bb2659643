// `duraloom/memory`: the store that dies with the process, for tests and simulation. Re-exports only.
export { MemoryProvider } from './provider/memory/memory-provider.ts';
