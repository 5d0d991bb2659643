// Chaining, fan-out and fan-in, dynamic activities, early return, child orchestrations.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { backUpSite, cater, payTransaction, repeat, reportSales, runPipeline, shout, trim } from './fixtures/flows.ts';
import { inEveryMode } from './world.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'duraloom-scenario-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

inEveryMode({ module: 'flows.ts', runtime: { maxAttempts: 3 } }, (world) => {
  test('chaining: each step gets the result of the one before, and runs once', async () => {
    const [from, to] = [join(folder(), 'sales.csv'), join(folder(), 'totals.json')];
    writeFileSync(from, 'region,cents\neu,100\nus,250\neu,30\n');
    await world.client.startOrchestration('report', reportSales, { from, to });
    await world.reach('report', { totals: { eu: 130, us: 250 } });
    await world.interrupt();
    await world.client.raiseEvent('report', 'looks good');
    expect(await world.result('report')).toBe(to);
    expect(JSON.parse(readFileSync(to, 'utf8'))).toEqual({ eu: 130, us: 250 });
    expect(world.notes('report')).toEqual(['extract 3', 'transform 2', 'load']);
    expect(await world.outline('report')).toEqual([
      'OrchestrationStarted reportSales',
      'ActivityScheduled extract',
      'ActivityCompleted extract',
      'ActivityScheduled transform',
      'ActivityCompleted transform',
      'CustomStatusSet',
      'EventAwaited looks good',
      'EventRaised looks good',
      'ActivityScheduled load',
      'ActivityCompleted load',
      'OrchestrationCompleted',
    ]);
  });

  test('fan-out and fan-in: all files are backed up at once, each of them once, and added up', async () => {
    const [from, to] = [folder(), join(folder(), 'backup')];
    const names = Array.from({ length: 12 }, (_, index) => `page-${String(index).padStart(2, '0')}.html`);
    for (const [index, name] of names.entries()) writeFileSync(join(from, name), 'x'.repeat(index));
    await world.client.startOrchestration('backup', backUpSite, { from, to });
    await world.log.waitFor(({ message }) => message === 'backed up', 3);
    await world.interrupt();
    expect(await world.result('backup')).toEqual({ files: 12, bytes: 66 });
    expect(readdirSync(to).toSorted()).toEqual(names);
    expect(world.notes('backup').toSorted()).toEqual(names);
    const outline = await world.outline('backup');
    expect(outline.slice(3, 15)).toEqual(names.map(() => 'ActivityScheduled backUpFile'));
    expect(outline.slice(15, 27)).toEqual(names.map(() => 'ActivityCompleted backUpFile'));
  });

  test('fan-out and fan-in: an empty folder is backed up, too', async () => {
    const [from, to] = [join(folder(), 'empty'), join(folder(), 'backup')];
    mkdirSync(from);
    await world.client.startOrchestration('backup-of-nothing', backUpSite, { from, to });
    expect(await world.result('backup-of-nothing')).toEqual({ files: 0, bytes: 0 });
  });

  test('dynamic activities: the steps of a pipeline are named by its input', async () => {
    await world.client.startOrchestration('pipeline', runPipeline, {
      text: '  hey ',
      steps: [{ activity: trim.name }, { activity: repeat.name, options: { times: 3 } }, { activity: shout.name }],
    });
    expect(await world.result('pipeline')).toEqual({ text: 'HEYHEYHEY', passedOver: [] });
  });

  test('dynamic activities: a step that no runtime knows is passed over', async () => {
    const steps = [{ activity: shout.name }, { activity: 'whistle' }, { activity: repeat.name }];
    await world.client.startOrchestration('pipeline-with-hole', runPipeline, { text: 'hey', steps });
    await world.interrupt();
    expect(await world.result('pipeline-with-hole')).toEqual({ text: 'HEYHEY', passedOver: ['whistle: TOO_MANY_ATTEMPTS'] });
  });

  test('early return: the caller has its answer while the transaction goes on', async () => {
    await world.client.startOrchestration('pay', payTransaction, { account: 'ada', cents: 120 });
    const { customStatus, status } = await world.client.waitForCustomStatus('pay', { afterVersion: 0 });
    expect({ customStatus, status }).toEqual({ customStatus: { phase: 'accepted', id: 'tx-ada-120' }, status: 'Running' });
    expect(world.notes('ada')).toEqual(['initiated 120']);
    await world.interrupt();
    await world.client.raiseEvent('pay', 'bank is open');
    expect(await world.result('pay')).toBe('tx-ada-120 is settled');
    expect(world.notes('ada')).toEqual(['initiated 120', 'settled tx-ada-120']);
  });

  test('early return: a refusal is an answer, too', async () => {
    await world.client.startOrchestration('pay-nothing', payTransaction, { account: 'grace', cents: 0 });
    const { customStatus } = await world.client.waitForCustomStatus('pay-nothing', { afterVersion: 0 });
    expect(customStatus).toEqual({ phase: 'refused', reason: 'cannot pay 0 cents' });
    expect(await world.result('pay-nothing')).toBe('nothing was paid');
    expect(world.notes('grace')).toEqual([]);
  });

  test('child orchestrations: a tree of them answers upwards, the failed one with its own error', async () => {
    const flavours = ['vanilla', 'garlic', 'lemon'];
    await world.client.startOrchestration('party', cater, flavours);
    await world.reach('party', 'cake is ordered');
    await world.reach('party-cake', 'baking');
    await world.interrupt();
    const children = (await world.client.listInstances({ parent: 'party-cake', orderBy: 'id' })).instances;
    expect(children.map(({ instanceId }) => instanceId)).toEqual(['party-cake-garlic', 'party-cake-lemon', 'party-cake-vanilla']);
    await world.client.raiseEvents(flavours.map((flavour) => ({ instanceId: `party-cake-${flavour}`, name: 'oven is hot' })));
    expect(await world.result('party')).toEqual({
      guests: 'happy',
      cake: ['vanilla layer', 'without: nobody wants garlic', 'lemon layer'],
    });
    expect(world.notes('cake').toSorted()).toEqual(['lemon', 'vanilla']);
    expect(await world.client.getState('party-cake-garlic')).toMatchObject({ status: 'Failed', error: { code: 'BAD_TASTE' } });
    expect((await world.outline('party-cake')).slice(0, 5)).toEqual([
      'OrchestrationStarted bakeCake',
      'SubOrchestrationScheduled bakeLayer',
      'SubOrchestrationScheduled bakeLayer',
      'SubOrchestrationScheduled bakeLayer',
      'CustomStatusSet',
    ]);
  });
});
