// What a sample that is tested in simulated time needs from the runtime around it.
import { Client, Runtime } from 'duraloom';
import { MemoryProvider, SimulatedClock } from 'duraloom/testing';
import { expect, onTestFinished, test } from 'vitest';
import { LogBook } from '../support/integration-log.ts';
import { fixture } from '../support/integration-stage.ts';

test(
  'a shutdown without patience ends at once, also while an activity runs and simulated time stands still',
  { timeout: 5_000 },
  async () => {
    const clock = new SimulatedClock(0);
    const provider = new MemoryProvider({ clock });
    const logger = new LogBook();
    const modules = { orchestrations: fixture('orchestrations.ts'), activities: fixture('activities.ts') };
    const runtime = await Runtime.start({ provider, clock, logger, ...modules, replayThreads: 0, activityThreads: 0 });
    onTestFinished(async () => {
      while (runtime.state !== 'stopped') await clock.advance(1);
    });
    await new Client(provider).startOrchestration('held', 'call', { activity: 'hold', input: 'for ever' });
    await logger.message('holding', 'held');
    await runtime.shutdown({ timeoutMs: 0 });
    expect(runtime.state).toBe('stopped');
  },
);
