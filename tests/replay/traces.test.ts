// The trace of an execution: where it comes from, where it goes, and what its span says.
import { describe, expect, it } from 'vitest';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import { validateHistory } from '../../src/replay/validate-history.ts';
import type { ReplayResult } from '../../src/types/replay.ts';
import { newTraceparent, readStamp, spanBelow, toTraceContext, type ExecutionSpan } from '../../src/types/trace.ts';
import {
  activityCompleted,
  activityScheduled,
  begin,
  cancelRequested,
  childCompleted,
  eventRaised,
  history,
  instanceFaulted,
  message,
  nextStart,
  orchestration,
  parseEvents,
  replayCold,
  run,
  start,
  started,
  T0,
  TestHost,
  timerFired,
  topicReceived,
  turn,
  type Handler,
} from '../support/replay-harness.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const trace = { traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01`, tracestate: 'vendor=1' };
const ROOT = newTraceparent(TRACE_ID, true);

/** The span of the first execution of the instance `i1`. */
const own = toTraceContext(spanBelow(trace, `i1 1 ${T0}`));

/** An engine whose host records traces. */
function recording(handler: Handler, ratioText = ROOT): { readonly engine: ReplayEngine; readonly host: TestHost } {
  const host = new TestHost([orchestration('test', handler)]);
  host.beginTrace = () => ratioText;
  return { engine: new ReplayEngine('i1', host), host };
}

function spanOf(result: ReplayResult): ExecutionSpan | undefined {
  return result.effects?.spans[0];
}

describe('an execution with a trace', () => {
  it('tells its code where it is', async () => {
    const instance = await begin((ctx) => ctx.trace, trace);
    expect(instance.result).toEqual(own);
    const plain = await begin((ctx) => ctx.trace);
    expect(plain.result).toBeNull();
  });

  it('hands it to activities, before their input', async () => {
    const instance = await begin((ctx) => ctx.all([ctx.scheduleActivity('a', { n: 1 }), ctx.scheduleActivity('b')]), trace);
    expect(instance.last.activities.map(({ input }) => readStamp(input ?? ''))).toEqual([
      { trace: own, input: '{"n":1}' },
      { trace: own, input: '' },
    ]);
    // What code decides is recorded as ever.
    expect(instance.bodies.slice(1)).toEqual([activityScheduled('a', { n: 1 }), activityScheduled('b')]);
  });

  it('leaves activities of others as they are', async () => {
    const instance = await begin((ctx) => ctx.scheduleActivity('a', 1));
    expect(instance.last.activities).toMatchObject([{ input: '1' }]);
  });

  it('hands it to children and to orchestrations that it starts', async () => {
    const instance = await begin((ctx) => {
      ctx.startOrchestration('other', 'free');
      return ctx.scheduleSubOrchestration('child');
    }, trace);
    const payloads = instance.last.starts.map(({ payload }) => JSON.parse(payload) as object);
    expect(payloads).toMatchObject([
      { name: 'other', ...own },
      { name: 'child', ...own },
    ]);
    const plain = await begin((ctx) => ctx.scheduleSubOrchestration('child'));
    expect(plain.last.starts[0]?.payload).not.toContain('trace');
  });

  it('goes on below the same parent when it continues as new', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew(2), trace);
    expect(nextStart(instance.last)).toMatchObject({ input: 2, ...trace });
  });

  it('goes on below its first execution when the trace began with that', async () => {
    const instance = await begin((ctx) => ctx.continueAsNew(2), { traceparent: ROOT });
    const first = toTraceContext(spanBelow({ traceparent: ROOT }, `i1 1 ${T0}`));
    expect(nextStart(instance.last)).toMatchObject(first);
  });

  it('is the same after a replay, also where nobody records traces or somebody does', async () => {
    const code = orchestration('test', async (ctx) => {
      await ctx.scheduleActivity('a', ctx.trace?.traceparent);
      return await ctx.waitForEvent('never');
    });
    const events = history(started(trace), activityScheduled('a', own.traceparent), activityCompleted(2), {
      kind: 'EventAwaited',
      name: 'never',
    });
    const { engine, result } = await replayCold([code], events);
    expect(result.outcome).toEqual({ kind: 'waiting' });
    expect(engine.trace).toEqual(own);
    const host = new TestHost([code]);
    host.beginTrace = () => ROOT;
    const other = new ReplayEngine('i1', host);
    await run(other.replay(validateHistory(JSON.parse(JSON.stringify(events)) as unknown[])));
    expect(other.trace).toEqual(own);
  });
});

describe('a host that records traces', () => {
  it('begins one for an execution that was started without, and history keeps it', async () => {
    const { engine } = recording((ctx) => ctx.waitForEvent('go'));
    const result = await turn(engine, [start()], T0);
    const [first] = parseEvents(result.events);
    expect(first).toMatchObject({ kind: 'OrchestrationStarted', traceparent: ROOT });
    expect(engine.trace).toEqual(toTraceContext(spanBelow({ traceparent: ROOT }, `i1 1 ${T0}`)));
  });

  it('does so also for a start message with white space behind it', async () => {
    const { engine } = recording((ctx) => ctx.waitForEvent('go'));
    const text = `${JSON.stringify(start())} `;
    const result = await run(engine.turn({ nowMs: T0, messages: [{ ...message(start()), text }] }));
    expect(parseEvents(result.events)[0]).toMatchObject({ traceparent: ROOT, version: '1.0.0' });
  });

  it('leaves a trace that is given', async () => {
    const { engine } = recording((ctx) => ctx.waitForEvent('go'));
    const result = await turn(engine, [start(trace)], T0);
    expect(parseEvents(result.events)[0]).toMatchObject(trace);
  });

  it.each<readonly [string, Handler, readonly Parameters<typeof turn>[1][number][]]>([
    ['completed', (ctx) => ctx.waitForEvent('go'), [eventRaised('go')]],
    ['failed', (ctx) => ctx.waitForEvent('go'), [instanceFaulted()]],
    ['cancelled', (ctx) => ctx.waitForEvent('go'), [cancelRequested()]],
    ['continuedAsNew', async (ctx) => (await ctx.waitForEvent('go'), await ctx.continueAsNew()), [eventRaised('go')]],
  ])('gets the span of an execution with the turn that ends it: %s', async (outcome, handler, messages) => {
    const { engine } = recording(handler);
    const first = await turn(engine, [start(trace)], T0);
    expect(first.effects).toBeNull();
    const last = await turn(engine, messages, T0 + 500);
    expect(last.outcome.kind).toBe(outcome);
    expect(spanOf(last)).toMatchObject({ ...spanBelow(trace, `i1 1 ${T0}`), startMs: T0, endMs: T0 + 500, droppedEvents: 0 });
  });

  it('gets it from an engine that was rebuilt, as from the one that began', async () => {
    const handler: Handler = (ctx) => ctx.waitForEvent('go');
    const { engine, host } = recording(handler);
    const first = await turn(engine, [start(trace)], T0);
    const cold = new ReplayEngine('i1', host);
    await run(cold.replay(validateHistory(parseEvents(first.events))));
    const [warm, rebuilt] = [await turn(engine, [eventRaised('go')], T0 + 9), await turn(cold, [eventRaised('go')], T0 + 9)];
    expect(spanOf(rebuilt)).toEqual(spanOf(warm));
    expect(spanOf(warm)).toBeDefined();
  });

  it('gets none for a trace that is not sampled, and none from a history that has ended', async () => {
    const { engine, host } = recording((ctx) => ctx.trace);
    const unsampled = await turn(engine, [start({ traceparent: trace.traceparent.replace(/01$/, '00') })], T0);
    expect(unsampled).toMatchObject({ outcome: { kind: 'completed', result: expect.stringContaining('-00') as string }, effects: null });
    const ended = history(started(), { kind: 'OrchestrationCompleted', result: null });
    const cold = new ReplayEngine('i1', host);
    await run(cold.replay(validateHistory([...ended])));
    expect((await turn(cold, [], T0)).effects).toBeNull();
  });

  it('hears what happened meanwhile: timers, events, topics and the wish to cancel', async () => {
    const { engine } = recording(async (ctx) => {
      const subscription = ctx.subscribe('news/*');
      await ctx.scheduleTimer(5);
      await ctx.scheduleActivity('a');
      await ctx.scheduleSubOrchestration('child');
      await ctx.waitForEvent('go');
      await subscription.next();
      await ctx.scheduleTimer(1_000);
    });
    await turn(engine, [start(trace)], T0);
    await turn(engine, [timerFired(3)], T0 + 5);
    await turn(engine, [activityCompleted(5)], T0 + 6);
    await turn(engine, [childCompleted(7)], T0 + 7);
    await turn(engine, [eventRaised('go'), topicReceived('news/today')], T0 + 8);
    const last = await turn(engine, [cancelRequested('x'.repeat(300))], T0 + 9);
    expect(spanOf(last)?.events).toEqual([
      { name: 'TimerFired', atMs: T0 + 5, subject: 'event 3' },
      { name: 'EventRaised', atMs: T0 + 8, subject: 'go' },
      { name: 'TopicReceived', atMs: T0 + 8, subject: 'news/today' },
      { name: 'CancelRequested', atMs: T0 + 9, subject: 'x'.repeat(256) },
    ]);
  });

  it('hears of the first 128 of them, and how many more there were', async () => {
    const { engine } = recording(async (ctx) => {
      for (let left = 200; left > 0; left -= 1) await ctx.waitForEvent('go');
    });
    const messages = Array.from({ length: 200 }, () => eventRaised('go'));
    const last = await turn(engine, [start(trace), ...messages], T0);
    expect(spanOf(last)?.events).toHaveLength(128);
    expect(spanOf(last)?.droppedEvents).toBe(72);
  });
});

describe('a stored trace that is none', () => {
  it.each([{ traceparent: 'none' }, { traceparent: trace.traceparent, tracestate: 'a\nb' }])('is refused in a message: %j', (fields) => {
    expect(() => message(start(fields))).toThrow('has no valid trace');
  });

  it('is refused in a history', () => {
    expect(() => validateHistory([...history(started({ traceparent: 'none' }))])).toThrow('no valid traceparent');
  });
});
