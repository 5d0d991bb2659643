// What an engine and the thread around it owe each other: the last call for the watchdog, and errors of the thread that stay errors.
import { describe, expect, it } from 'vitest';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import { activityCompleted, begin, cancelRequested, orchestration, run, start, T0, TestHost, message } from '../support/replay-harness.ts';

describe('the last call', () => {
  it('is the last one of the context, also after the turn in which it was made', async () => {
    const instance = await begin(async (ctx) => {
      await ctx.scheduleActivity('charge');
      await ctx.waitForEvent('go');
    });
    expect(instance.engine.lastCall).toBe('ctx.scheduleActivity(charge)');
    await instance.deliver(activityCompleted(2));
    expect(instance.engine.lastCall).toBe('ctx.waitForEvent(go)');
    expect(instance.host.calls).toEqual(['scheduleActivity(charge)', 'waitForEvent(go)']);
  });
});

describe('an error of the thread around an engine', () => {
  /** A thread that cannot do what its calls are noted for. */
  class BrokenHost extends TestHost {
    isBroken = false;

    override noteCall(call: string): void {
      super.noteCall(call);
      if (this.isBroken) throw new Error('the thread is broken');
    }
  }

  it('ends the turn: it is not taken for an outcome of the orchestration', async () => {
    const host = new BrokenHost([orchestration('test', (ctx) => ctx.scheduleActivity('a'))]);
    const engine = new ReplayEngine('i1', host);
    await run(engine.turn({ nowMs: T0, messages: [message(start())] }));
    host.isBroken = true;
    await expect(run(engine.turn({ nowMs: T0, messages: [message(cancelRequested())] }))).rejects.toThrow('the thread is broken');
    expect(host.faults).toEqual([]);
  });
});
