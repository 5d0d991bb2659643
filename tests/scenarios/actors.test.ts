// Mutex, actor.
import { describe, expect, test } from 'vitest';
import { account, mutex, print } from './fixtures/actors.ts';
import { inEveryMode } from './world.ts';

describe('mutex', () => {
  inEveryMode({ module: 'actors.ts' }, (world) => {
    test('many want the same printer: one prints at a time, in the order of the requests', async () => {
      await world.client.startOrchestration('printer', mutex);
      const jobs = Array.from({ length: 8 }, (_, index) => `job-${index}`);
      await world.client.startOrchestrations(jobs.map((instanceId) => ({ instanceId, orchestration: print, input: 'printer' })));
      await world.log.waitFor(({ message }) => message === 'printing', 3);
      await world.interrupt();
      await Promise.all(jobs.map((job) => world.result(job)));
      const notes = world.notes('printer');
      const owners = notes.filter((_, index) => index % 2 === 0).map((line) => line.split(' ')[0] ?? '');
      expect(notes).toEqual(owners.flatMap((job) => [`${job} begins`, `${job} ends`]));
      expect(owners.toSorted()).toEqual(jobs);
      const requests: string[] = [];
      for (let execution = 1; execution <= 3; execution += 1) {
        for (const event of await world.client.readHistory('printer', execution)) {
          if (event.kind === 'EventRaised' && event.name === 'acquire') requests.push((event.data as { readonly owner: string }).owner);
        }
      }
      expect(owners).toEqual(requests);
    });

    test('a cancelled owner gives the printer back, one that waits for it steps aside', async () => {
      await world.client.startOrchestration('plotter', mutex);
      await world.client.startOrchestration('stuck-1', print, 'plotter');
      await world.reach('plotter', { owner: 'stuck-1' });
      await world.client.startOrchestration('second', print, 'plotter');
      await world.client.startOrchestration('third', print, 'plotter');
      await world.reach('second', 'waiting');
      await world.interrupt();
      await world.client.cancel('second');
      await world.client.cancel('stuck-1');
      await expect(world.result('stuck-1')).rejects.toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
      await expect(world.result('second')).rejects.toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
      await world.result('third');
      expect(world.notes('plotter').filter((line) => !line.startsWith('stuck'))).toEqual(['third begins', 'third ends']);
    });
  });

  inEveryMode({ module: 'actors.ts', simulated: true }, (world) => {
    test('an owner that was terminated loses the printer when its lease is over', async () => {
      await world.client.startOrchestration('printer', mutex);
      await world.client.startOrchestration('stuck', print, 'printer');
      await world.reach('printer', { owner: 'stuck' });
      await world.client.startOrchestration('patient', print, 'printer');
      await world.client.terminate('stuck');
      await world.reach('patient', 'waiting');
      await world.interrupt();
      await world.pass(10);
      await world.reach('patient', 'printing');
      await world.pass(0.001);
      await world.result('patient');
      expect(world.notes('printer').slice(-2)).toEqual(['patient begins', 'patient ends']);
    });
  });
});

describe('actor', () => {
  inEveryMode({ module: 'actors.ts' }, (world) => {
    test('two accounts take all their messages in order, each once, over many executions', async () => {
      const empty = { cents: 0, handled: 0, refused: 0 };
      for (const id of ['ada', 'grace']) await world.client.startOrchestration(id, account, empty);
      const raise = async (instanceId: string, index: number, data: object): Promise<void> => {
        // Some messages come twice, as after a lost answer.
        for (let times = index % 5 === 0 ? 2 : 1; times > 0; times -= 1) {
          await world.client.raiseEvent(instanceId, 'message', data, { key: `client ${index}` });
        }
      };
      for (let index = 0; index < 40; index += 1) {
        if (index === 20) await world.interrupt();
        await raise('ada', index, { kind: 'deposit', cents: 10 });
        await raise('grace', index, { kind: 'deposit', cents: 1 });
        if (index % 4 === 3) await world.client.raiseEvent('ada', 'message', { kind: 'send', cents: 25, to: 'grace' });
      }
      await world.client.raiseEvent('ada', 'message', { kind: 'withdraw', cents: 1_000 });
      await world.client.raiseEvent('ada', 'message', { kind: 'close' });
      // 40 deposits, 10 times sent, one withdrawal: refused.
      expect(await world.result('ada')).toEqual({ cents: 150, handled: 51, refused: 1 });
      const seen = await world.client.waitForValue('ada', 'account');
      expect(seen).toEqual({ cents: 150, handled: 51, refused: 1 });
      await world.client.raiseEvent('grace', 'message', { kind: 'close' });
      expect(await world.result('grace')).toEqual({ cents: 290, handled: 50, refused: 0 });
      expect(await world.client.getState('ada')).toMatchObject({ executionId: 6 });
      const lengths = await Promise.all([1, 2, 3, 4, 5, 6].map(async (execution) => (await world.outline('ada', execution)).length));
      expect(Math.max(...lengths)).toBeLessThan(80);
    });
  });
});
