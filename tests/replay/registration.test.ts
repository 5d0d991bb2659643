// Which code runs: names, versions, and what happens when a thread does not have it (T24, T56).
import { describe, expect, it } from 'vitest';
import { parseMessage } from '../../src/replay/message.ts';
import { ReplayEngine } from '../../src/replay/replay-engine.ts';
import type { Failure } from '../../src/types/failure.ts';
import {
  activityCompleted,
  activityScheduled,
  begin,
  eventRaised,
  history,
  orchestration,
  parseEvents,
  replayCold,
  run,
  start,
  started,
  T0,
  TestHost,
  turn,
} from '../support/replay-harness.ts';

const versions = ['1.0.0', '10.0.0', '2.0.0'].map((version) =>
  orchestration('test', (ctx, input) => ctx.scheduleActivity(`code ${version}`, [ctx.name, ctx.version, input]), version),
);

/** Runs the first turn of a start that names a version or none. */
async function firstTurn(version?: string) {
  const engine = new ReplayEngine('i1', new TestHost(versions));
  return { engine, result: await turn(engine, [start(version === undefined ? {} : { version })], T0) };
}

describe('the code of an instance', () => {
  it('is the highest version when the start names none, and is recorded', async () => {
    const { result } = await firstTurn();
    expect(result.version).toBe('10.0.0');
    expect(JSON.parse(result.events)).toMatchObject([
      { version: '10.0.0', engine: 1 },
      { name: 'code 10.0.0', input: ['test', '10.0.0', null] },
    ]);
  });

  it('is the version that the start names', async () => {
    const { result } = await firstTurn('2.0.0');
    expect(result.version).toBe('2.0.0');
    expect(JSON.parse(result.events)).toMatchObject([{ version: '2.0.0' }, { name: 'code 2.0.0' }]);
  });

  it('stays the recorded version on replay, whatever is deployed since (T24)', async () => {
    const events = history(started({ version: '1.0.0' }), activityScheduled('code 1.0.0', ['test', '1.0.0', null]));
    const { engine, result } = await replayCold(versions, events);
    expect(result).toMatchObject({ version: '1.0.0', outcome: { kind: 'waiting' } });
    const end = await turn(engine, [activityCompleted(2, 'x')], T0);
    expect(end).toMatchObject({ version: '1.0.0', outcome: { kind: 'completed' } });
  });

  it('is what a range of versions was resolved to, and the range is not recorded', async () => {
    // The range is the business of the host; what it finds is history.
    const host = new TestHost(versions);
    const engine = new ReplayEngine('i1', {
      find: (name, version) => host.find(name, version === '^2.0.0' ? '2.0.0' : version),
      describeRegistered: () => host.describeRegistered(),
      enter: (scope, code) => host.enter(scope, code),
      currentScope: () => host.currentScope(),
      noteCall: (call) => host.noteCall(call),
      takeLog: () => null,
      reportFault: (faulty, failure) => host.reportFault(faulty, failure),
    });
    const result = await turn(engine, [start({ version: '^2.0.0', input: 5 })], T0);
    expect(result).toMatchObject({ version: '2.0.0', outcome: { kind: 'waiting' } });
    expect(result.events).not.toContain('^');
    expect(parseEvents(result.events)).toMatchObject([{ version: '2.0.0', input: 5, engine: 1 }, { name: 'code 2.0.0' }]);
    const rebuilt = await replayCold(versions, parseEvents(result.events));
    expect([rebuilt.engine.version, rebuilt.result.outcome]).toEqual(['2.0.0', { kind: 'waiting' }]);
  });

  it('shows in the context', async () => {
    const instance = await begin((ctx) => [ctx.instanceId, ctx.executionId, ctx.name, ctx.version], { instanceId: 'x', executionId: 7 });
    expect(instance.result).toEqual(['x', 7, 'test', '1.0.0']);
  });
});

describe('code that is not registered', () => {
  it('in the first turn commits nothing and says what is there', async () => {
    const { engine, result } = await firstTurn('3.0.0');
    expect(result).toMatchObject({ events: '[]', lastEventId: 0, activities: [], outcome: { kind: 'notRegistered' } });
    const failure = JSON.parse('failure' in result.outcome ? result.outcome.failure : '') as Failure;
    expect(failure).toMatchObject({ code: 'ORCHESTRATION_NOT_REGISTERED' });
    expect(failure.message).toContain(
      "orchestration 'test' version 3.0.0 is not registered in this runtime (test 1.0.0, test 10.0.0, test 2.0.0)",
    );
    expect(engine.isUsable).toBe(false);
  });

  it('by name says so without a version', async () => {
    const engine = new ReplayEngine('i1', new TestHost(versions));
    const result = await turn(engine, [start({ name: 'gone' }), eventRaised('go')], T0);
    expect(result).toMatchObject({ events: '[]', outcome: { kind: 'notRegistered' } });
    expect('failure' in result.outcome ? result.outcome.failure : '').toContain("orchestration 'gone' is not registered");
  });

  it('on replay commits nothing', async () => {
    const { engine, result } = await replayCold(versions, history(started({ version: '4.0.0' }), activityScheduled('a')));
    expect(result).toMatchObject({ events: '[]', outcome: { kind: 'notRegistered' } });
    expect(await turn(engine, [activityCompleted(2)], T0)).toMatchObject({ events: '[]', outcome: { kind: 'notRegistered' } });
  });
});

describe('the number of an execution', () => {
  it.each<readonly [string, object, number | undefined, number]>([
    ['is that of the start', { executionId: 3 }, 9, 3],
    ['is that of the turn when the start has none', {}, 9, 9],
    ['is 1 when neither has one', {}, undefined, 1],
  ])('%s', async (_, fields, given, executionId) => {
    const definition = orchestration('test', (ctx) => ctx.scheduleActivity('a', ctx.executionId));
    const engine = new ReplayEngine('i1', new TestHost([definition]));
    const messages = [parseMessage(JSON.stringify({ kind: 'OrchestrationStarted', name: 'test', ...fields }))];
    const result = await run(engine.turn({ nowMs: T0, messages, ...(given === undefined ? {} : { executionId: given }) }));
    const events = parseEvents(result.events);
    expect(events).toMatchObject([{ kind: 'OrchestrationStarted', executionId }, { input: executionId }]);
    const rebuilt = await replayCold([definition], events);
    expect([rebuilt.result.outcome, rebuilt.engine.executionId]).toEqual([{ kind: 'waiting' }, executionId]);
  });
});

describe('an engine before the start', () => {
  it('has no name, version, event or call yet', () => {
    const { name, version, executionId, lastEventId, lastCall, isUsable } = new ReplayEngine('i1', new TestHost(versions));
    expect({ name, version, executionId, lastEventId, lastCall, isUsable }).toEqual({
      name: '',
      version: '',
      executionId: 1,
      lastEventId: 0,
      lastCall: 'none',
      isUsable: true,
    });
  });
});

describe('messages before the start', () => {
  it('of another execution or without a decision are dropped', async () => {
    const engine = new ReplayEngine('i1', new TestHost(versions));
    const result = await turn(engine, [activityCompleted(2), activityCompleted(2, 1, 5), start()], T0);
    expect(result).toMatchObject({ consumedMessages: 3, outcome: { kind: 'waiting' } });
  });

  it('that would become events are a fault', async () => {
    const engine = new ReplayEngine('i1', new TestHost(versions));
    const result = await turn(engine, [eventRaised('go'), start()], T0);
    expect(result).toMatchObject({ events: '[]', outcome: { kind: 'faulted' } });
    expect('failure' in result.outcome ? result.outcome.failure : '').toContain('MESSAGE_INVALID');
  });

  it('that report a fault are dropped', async () => {
    const engine = new ReplayEngine('i1', new TestHost(versions));
    const result = await turn(engine, [{ kind: 'InstanceFaulted', executionId: 1, failure: { name: 'Error', message: 'x' } }, start()], T0);
    expect(result.events).not.toContain('"id":1,"atMs":0,"kind":"OrchestrationFailed"');
  });
});
