// Saga, cancellation scopes, provisioning with compensation.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { provision, publish, transfer } from './fixtures/undoing.ts';
import { inEveryMode } from './world.ts';

function openCloud(): string {
  const cloud = mkdtempSync(join(tmpdir(), 'duraloom-cloud-'));
  onTestFinished(() => rmSync(cloud, { recursive: true }));
  return cloud;
}

inEveryMode({ module: 'undoing.ts' }, (world) => {
  test('saga: a transfer that works touches each account once', async () => {
    await world.client.startOrchestration('transfer-1', transfer, { from: 'ada', to: 'grace', cents: 100, fee: 'fees-1' });
    await world.reach('transfer-1', 'debited');
    await world.interrupt();
    await world.client.raiseEvent('transfer-1', 'cleared');
    expect(await world.result('transfer-1')).toBe('transferred');
    expect([world.notes('ada'), world.notes('grace'), world.notes('fees-1')]).toEqual([['-100'], ['+100'], ['-1']]);
  });

  test('saga: a late failure refunds all steps in reverse order, and does not give up', async () => {
    await world.client.startOrchestration('transfer-2', transfer, { from: 'alan', to: 'closed', cents: 50, fee: 'fees-2' });
    await world.reach('transfer-2', 'debited');
    await world.client.raiseEvent('transfer-2', 'cleared');
    await world.interrupt();
    expect(await world.result('transfer-2')).toBe('refunded: closed is closed');
    expect([world.notes('alan'), world.notes('closed'), world.notes('fees-2')]).toEqual([
      ['-50', '+50 refunded'],
      [],
      ['-1', '+1 refunded'],
    ]);
    const history = await world.client.readHistory('transfer-2');
    const refunds = history.flatMap((event) =>
      event.kind === 'ActivityScheduled' && event.name === 'refund' ? [(event.input as { readonly account: string }).account] : [],
    );
    expect(refunds).toEqual(['fees-2', 'fees-2', 'fees-2', 'alan', 'alan', 'alan']);
  });

  test('saga: an early failure refunds only what was done', async () => {
    await world.client.startOrchestration('transfer-3', transfer, { from: 'edsger', to: 'grace', cents: 9, fee: 'empty' });
    expect(await world.result('transfer-3')).toBe('refunded: empty has not got 1');
    expect([world.notes('edsger'), world.notes('empty')]).toEqual([['-9', '+9 refunded'], []]);
  });

  test('saga: a cancellation refunds, too', async () => {
    await world.client.startOrchestration('transfer-4', transfer, { from: 'barbara', to: 'grace', cents: 7, fee: 'fees-4' });
    await world.reach('transfer-4', 'debited');
    await world.client.cancel('transfer-4', 'changed my mind');
    await world.interrupt();
    await expect(world.result('transfer-4')).rejects.toMatchObject({
      code: 'ORCHESTRATION_CANCELLED',
      cause: { message: 'changed my mind' },
    });
    expect([world.notes('barbara'), world.notes('fees-4')]).toEqual([
      ['-7', '+7 refunded'],
      ['-1', '+1 refunded'],
    ]);
  });

  test('cancellation scopes: one scope is given up and cleaned up, the other goes on', async () => {
    await world.client.startOrchestration('post-1', publish, 'cats');
    await world.log.waitFor(({ message, fields }) => message === 'uploading' && fields['name'] === 'cats.mp4');
    await world.reach('post-1', 'publishing');
    await world.client.raiseEvent('post-1', 'skip video');
    await world.log.message('upload stopped', 'post-1');
    await world.interrupt();
    await world.client.raiseEvent('post-1', 'picture is there');
    expect(await world.result('post-1')).toEqual({ video: 'CANCELLED', picture: 'with thumbnail', isCancellationRequested: false });
    const notes = world.notes('uploads');
    expect(notes.filter((line) => line === 'remove cats.mp4')).toHaveLength(1);
    expect(notes.filter((line) => line === 'thumbnail of cats')).toHaveLength(1);
  });

  test('cancellation scopes: a cancellation of all reaches both scopes, and not the clean-up', async () => {
    await world.client.startOrchestration('post-2', publish, 'dogs');
    await world.log.waitFor(({ message, fields }) => message === 'uploading' && fields['name'] === 'dogs.mp4');
    await world.interrupt(0);
    await world.client.cancel('post-2', 'no dogs');
    await expect(world.result('post-2')).rejects.toMatchObject({ code: 'ORCHESTRATION_CANCELLED', cause: { message: 'no dogs' } });
    // The clean-up outlives the code that was cancelled around it: it is in the history before the end.
    const outline = await world.outline('post-2');
    expect(outline.slice(outline.indexOf('CancelRequested'))).toEqual([
      'CancelRequested',
      'FutureCancelled upload',
      'FutureCancelled picture is there',
      'FutureCancelled skip video',
      'ActivityScheduled removeUpload',
      'ActivityCompleted removeUpload',
      'OrchestrationCancelled',
    ]);
    expect(world.notes('uploads').filter((line) => line === 'remove dogs.mp4')).toHaveLength(1);
  });

  test('provisioning: all resources are there in the end, though an answer got lost', async () => {
    const cloud = openCloud();
    await world.client.startOrchestration('env-1', provision, { cloud, environment: 'test', cores: 4 });
    await world.reach('env-1', 'waiting for approval');
    await world.interrupt();
    await world.client.raiseEvent('env-1', 'approved');
    const ids = ['test-network', 'test-disk', 'test-machine', 'test-dns'];
    expect(await world.result('env-1')).toEqual({ ids, failed: null });
    expect(readdirSync(cloud).toSorted()).toEqual(ids.toSorted());
    expect([...(await world.client.getValues('env-1')).keys()]).toEqual(['disk', 'dns', 'machine', 'network']);
    expect(world.notes('cloud-test').toSorted()).toEqual([
      'create disk 1',
      'create disk 2',
      'create dns 1',
      'create machine 1',
      'create network 1',
    ]);
  });

  test('provisioning: when the quota is exceeded, nothing is left', async () => {
    const cloud = openCloud();
    await world.client.startOrchestration('env-2', provision, { cloud, environment: 'huge', cores: 64 });
    await world.client.raiseEvent('env-2', 'approved');
    await world.interrupt();
    expect(await world.result('env-2')).toEqual({ ids: [], failed: 'QUOTA_EXCEEDED' });
    expect(readdirSync(cloud)).toEqual([]);
    expect(world.notes('cloud-huge').slice(-3)).toEqual(['delete machine', 'delete disk', 'delete network']);
    expect([...(await world.client.getValues('env-2')).keys()]).toEqual([]);
    expect(await world.client.getState('env-2')).toMatchObject({ status: 'Completed', customStatus: 'rolled back' });
  });

  test('provisioning: a cancellation rolls back what is there', async () => {
    const cloud = openCloud();
    await world.client.startOrchestration('env-3', provision, { cloud, environment: 'late', cores: 1 });
    await world.reach('env-3', 'waiting for approval');
    expect(readdirSync(cloud).toSorted()).toEqual(['late-disk', 'late-network']);
    await world.client.cancel('env-3', 'budget');
    await world.interrupt();
    await expect(world.result('env-3')).rejects.toMatchObject({ code: 'ORCHESTRATION_CANCELLED' });
    expect(readdirSync(cloud)).toEqual([]);
    expect(await world.client.getState('env-3')).toMatchObject({ status: 'Cancelled', customStatus: 'rolled back' });
  });
});
