// Human interaction, expense approval, timer races: days of simulated time, on a store that may be closed and opened again meanwhile.
import { expect, test } from 'vitest';
import { answerSession, approveExpense, fulfil, raceThree, verifyPhone, wakeUp } from './fixtures/people.ts';
import { inEveryMode, type World } from './world.ts';

const DAY = 24 * 60;

const codeSentTo = (world: World, phone: string): string => world.notes(phone).at(-1)?.split(' ').at(-1) ?? '';

inEveryMode({ module: 'people.ts', simulated: true }, (world) => {
  test('phone verification: the right code in time', async () => {
    const phone = await world.client.startOrchestration('phone-1', verifyPhone, '555-1');
    await world.reach('phone-1', { triesLeft: 3 });
    await phone.raiseEvent('code', 'wrong');
    await world.reach('phone-1', { triesLeft: 2 });
    await world.interrupt();
    await world.client.raiseEvent('phone-1', 'code', codeSentTo(world, '555-1'));
    expect(await world.result('phone-1')).toEqual({ verified: true });
    expect(world.notes('555-1')).toHaveLength(1);
    expect((await world.outline('phone-1')).slice(-3)).toEqual([
      'EventRaised code',
      'FutureCancelled TimerCreated',
      'OrchestrationCompleted',
    ]);
  });

  test('phone verification: three wrong codes', async () => {
    await world.client.startOrchestration('phone-2', verifyPhone, '555-2');
    await world.client.raiseEvents(['a', 'b', 'c', 'd'].map((data) => ({ instanceId: 'phone-2', name: 'code', data })));
    expect(await world.result('phone-2')).toEqual({ verified: false, reason: 'too many tries' });
    expect(await world.client.raiseEvent('phone-2', 'code', codeSentTo(world, '555-2'))).toMatchObject({ delivered: false });
  });

  test('phone verification: the time of all tries together is limited', async () => {
    await world.client.startOrchestration('phone-3', verifyPhone, '555-3');
    await world.reach('phone-3', { triesLeft: 3 });
    await world.pass(1);
    await world.client.raiseEvent('phone-3', 'code', 'wrong');
    await world.reach('phone-3', { triesLeft: 2 });
    await world.interrupt();
    await world.pass(0.5);
    expect(await world.result('phone-3')).toEqual({ verified: false, reason: 'too late' });
  });

  test('expense: small ones are paid without asking', async () => {
    await world.client.startOrchestration('pens', approveExpense, { amount: 5, what: 'pens' });
    expect(await world.result('pens')).toEqual({ outcome: 'paid', by: 'nobody', payment: 'payment of 5' });
    expect(world.notes('manager')).toEqual([]);
  });

  test('expense: the manager is asked, and answers over a restart', async () => {
    await world.client.startOrchestration('books', approveExpense, { amount: 120, what: 'books' });
    await world.reach('books', 'waiting for the manager');
    expect(world.notes('manager')).toEqual(['120 for books?']);
    await world.interrupt();
    await world.client.raiseEvent('books', 'decision', { by: 'Ada', approved: true });
    expect(await world.result('books')).toEqual({ outcome: 'paid', by: 'Ada', payment: 'payment of 120' });
    expect(world.notes('payments')).toEqual(['pens: 5 for pens', 'books: 120 for books']);
    expect(await world.outline('books')).toEqual([
      'OrchestrationStarted approveExpense',
      'ActivityScheduled notify',
      'ActivityCompleted notify',
      'CustomStatusSet',
      'TimerCreated',
      'EventAwaited decision',
      'EventRaised decision',
      'FutureCancelled TimerCreated',
      'ActivityScheduled pay',
      'ActivityCompleted pay',
      'OrchestrationCompleted',
    ]);
  });

  test('expense: a refusal pays nothing; an answer that is none fails', async () => {
    await world.client.startOrchestration('yacht', approveExpense, { amount: 90_000, what: 'a yacht' });
    await world.client.raiseEvent('yacht', 'decision', { by: 'Grace', approved: false });
    expect(await world.result('yacht')).toEqual({ outcome: 'refused', by: 'Grace' });
    await world.client.startOrchestration('horse', approveExpense, { amount: 9_000, what: 'a horse' });
    await world.client.raiseEvent('horse', 'decision', 'fine with me');
    await expect(world.result('horse')).rejects.toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: { code: 'SCHEMA_MISMATCH' } });
    expect(world.notes('payments')).toHaveLength(2);
  });

  test('expense: goes to the director when the manager is silent, and to nobody after that', async () => {
    await world.client.startOrchestration('desk', approveExpense, { amount: 300, what: 'a desk' });
    await world.reach('desk', 'waiting for the manager');
    await world.passAway(3 * DAY);
    await world.reach('desk', 'waiting for the director');
    expect(world.notes('director')).toEqual(['300 for a desk?']);
    await world.passAway(4 * DAY);
    expect(await world.result('desk')).toEqual({ outcome: 'nobody decided' });
    expect(await world.client.raiseEvent('desk', 'decision', { by: 'Ada', approved: true })).toMatchObject({ delivered: false });
  });

  test('timer race: an order in time', async () => {
    await world.client.startOrchestration('order-1', fulfil, 'order-1');
    await world.reach('order-1', 'processing');
    await world.client.startOrchestration('worker-1', answerSession, 'order-1');
    expect(await world.result('order-1')).toEqual({ isLate: false, result: 'order-1 shipped' });
    expect(world.notes('order-1')).toEqual([]);
  });

  test('timer race: a late order is told, and is done in the end', async () => {
    await world.client.startOrchestration('order-2', fulfil, 'order-2');
    await world.reach('order-2', 'processing');
    await world.pass(10);
    await world.reach('order-2', 'late');
    await world.interrupt(0);
    await world.client.startOrchestration('worker-2', answerSession, 'order-2');
    expect(await world.result('order-2')).toEqual({ isLate: true, result: 'order-2 shipped' });
    expect(world.notes('order-2')).toEqual(['it takes longer than usual']);
  });

  test('timer race: the first of three wins, the others are cancelled', async () => {
    await world.client.startOrchestration('race', raceThree);
    await world.reach('race', 'racing');
    await world.interrupt();
    await world.pass(10);
    expect(await world.result('race')).toBe('fast');
    expect((await world.outline('race')).slice(-4)).toEqual([
      'TimerFired',
      'FutureCancelled TimerCreated',
      'FutureCancelled stop',
      'OrchestrationCompleted',
    ]);
    expect((await world.provider.readQueueDepths()).workItems).toBe(0);
  });

  test('timer race: an alarm may be moved to an earlier and to a later time', async () => {
    const nowMs = world.clock?.nowMs() ?? 0;
    const at = (minutes: number): number => nowMs + minutes * 60_000;
    await world.client.startOrchestration('alarm', wakeUp, at(8));
    for (const minutes of [5, 2, 12]) {
      await world.client.raiseEvent('alarm', 'move', at(minutes));
      await world.reach('alarm', { wakeAtMs: at(minutes) });
      if (minutes === 2) await world.interrupt();
    }
    await world.pass(11);
    expect(await world.client.getState('alarm')).toMatchObject({ status: 'Running' });
    await world.pass(1);
    expect(await world.result('alarm')).toBe(0);
    expect((await world.outline('alarm')).filter((line) => line === 'TimerFired')).toHaveLength(1);
  });
});
