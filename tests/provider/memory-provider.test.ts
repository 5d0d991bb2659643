import { describe, expect, test } from 'vitest';
import { MemoryProvider } from '../../src/provider/memory/memory-provider.ts';
import { SimulatedClock } from '../../src/provider/simulated-clock.ts';
import { providerCases } from './provider-cases.ts';

describe('MemoryProvider', () => {
  test('every case has a name of its own', () => {
    expect(new Set(providerCases.map(({ name }) => name)).size).toBe(providerCases.length);
  });

  test.each(providerCases)('$contract: $name', async ({ run }) => {
    const clock = new SimulatedClock(Date.UTC(2030, 0, 1));
    const provider = new MemoryProvider({ clock });
    await run({ provider, clock });
    await provider.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
