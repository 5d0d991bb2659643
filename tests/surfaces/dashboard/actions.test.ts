// Everything that can be done from the dashboard, by clicks and by keyboard alone: the effect is in the store, and the page shows it by itself.
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Client } from 'duraloom';
import { until } from '../../../scripts/demo-store/demo-store.ts';
import { hasBrowser } from '../../support/browser.ts';
import { DashboardStage } from '../../support/dashboard-stage.ts';

const WAYS = ['clicks', 'keyboard'] as const;
type Way = (typeof WAYS)[number];

/** Most presses of Tab until something has the focus. */
const MOST_TABS = 60;

/** Presses a button as somebody with a mouse does, or as somebody without. */
async function press(page: Page, way: Way, name: string): Promise<void> {
  const inDialog = (await page.locator('dialog[open]').count()) > 0;
  const button = (inDialog ? page.getByRole('dialog') : page.locator('#main')).getByRole('button', { name, exact: true }).first();
  await button.waitFor();
  if (way === 'clicks') await button.click();
  else {
    await tabTo(page, (element) => element === name);
    await page.keyboard.press('Enter');
  }
}

/** Goes by Tab to what has this label or text. */
async function tabTo(page: Page, isWanted: (name: string) => boolean): Promise<void> {
  for (let step = 0; step < MOST_TABS; step += 1) {
    const name = await page.evaluate<string>(
      `(document.activeElement.getAttribute('aria-label') ?? document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent).trim()`,
    );
    if (isWanted(name)) {
      const outline = await page.evaluate<string>(`getComputedStyle(document.activeElement).outlineStyle`);
      expect(`${name}: ${outline}`).toBe(`${name}: solid`);
      return;
    }
    await page.keyboard.press('Tab');
  }
  throw new Error('Tab does not lead there');
}

const toast = (page: Page, text: string): Promise<void> => page.locator('.toast.done', { hasText: text }).waitFor();
const heading = (page: Page, text: string): Promise<void> => page.locator('h1', { hasText: text }).waitFor();
const statusOf = async (client: Client, id: string): Promise<string | undefined> => (await client.getState(id))?.status;

// Without Chromium there is nothing to test with; tests/support/browser.ts says so.
describe.skipIf(!hasBrowser).each(WAYS)('by %s', (way) => {
  let stage: DashboardStage;
  let client: Client;

  beforeAll(async () => {
    stage = await DashboardStage.open();
    ({ client } = stage.demo);
  }, 60_000);
  afterEach(() => stage.closePages());
  afterAll(() => stage.close());

  const open = async (id: string): Promise<Page> => {
    const { page } = await stage.visit(`#/instances/${id}`);
    await page.getByRole('group', { name: 'Actions' }).waitFor();
    return page;
  };
  const started = async (ids: readonly string[]): Promise<void> => {
    for (const id of ids) await client.startOrchestration(id, 'mailing', id);
    for (const id of ids) await until(async () => (await client.readHistory(id)).some(({ kind }) => kind === 'EventAwaited'));
  };

  describe('an instance', () => {
    test('is terminated with a reason', async () => {
      await started(['end']);
      const page = await open('end');
      await press(page, way, 'Terminate…');
      await tabTo(page, (name) => name.startsWith('Reason'));
      await page.keyboard.type('no longer wanted');
      await press(page, way, 'Terminate');
      await toast(page, 'The instance was terminated.');
      await heading(page, 'Terminated');
      await page.locator('.error-text', { hasText: 'no longer wanted' }).waitFor();
      expect(await statusOf(client, 'end')).toBe('Terminated');
      expect((await client.getState('end'))?.error?.message).toContain('no longer wanted');
    });

    test('is cancelled', async () => {
      await started(['stop']);
      const page = await open('stop');
      await press(page, way, 'Cancel…');
      await press(page, way, 'Cancel');
      await toast(page, 'The instance was asked to end.');
      await heading(page, 'Cancelled');
      expect(await statusOf(client, 'stop')).toBe('Cancelled');
    });

    test('is suspended and resumed', async () => {
      await started(['pause']);
      const page = await open('pause');
      await press(page, way, 'Suspend…');
      await press(page, way, 'Suspend');
      await heading(page, 'Suspended');
      await page.locator('.waits', { hasText: 'An operator' }).waitFor();
      expect(await statusOf(client, 'pause')).toBe('Suspended');
      await press(page, way, 'Resume…');
      await press(page, way, 'Resume');
      await toast(page, 'The instance goes on.');
      await heading(page, 'Running');
      expect(await statusOf(client, 'pause')).toBe('Running');
    });

    test('is retried after a failure, and seen to run anew', async () => {
      await client.startOrchestration('again', 'refund', 5);
      await until(async () => (await statusOf(client, 'again')) === 'Failed');
      const before = (await client.getState('again'))?.createdAt.getTime() ?? 0;
      const page = await open('again');
      await heading(page, 'Failed');
      await page.locator('.facts time').first().waitFor();
      const shown = (): Promise<string | null> => page.locator('.facts time').first().getAttribute('datetime');
      expect(Date.parse((await shown()) ?? '')).toBe(before);
      await press(page, way, 'Retry…');
      await press(page, way, 'Retry');
      await toast(page, 'The instance was started again.');
      await until(async () => Date.parse((await shown()) ?? '') > before);
      await heading(page, 'Failed');
      expect((await client.getState('again'))?.createdAt.getTime()).toBeGreaterThan(before);
    });

    test('is retried out of quarantine', async () => {
      const page = await open('renewal-7');
      const seen = (await client.getState('renewal-7'))?.updatedAt.getTime() ?? 0;
      await press(page, way, 'Retry…');
      await press(page, way, 'Retry');
      await toast(page, 'The instance goes on.');
      // The code has not been mended: it comes back.
      await until(async () => {
        const state = await client.getState('renewal-7');
        return state?.status === 'Quarantined' && state.updatedAt.getTime() > seen;
      });
      await heading(page, 'Quarantined');
      await until(async () => Date.parse((await page.locator('.facts time').nth(1).getAttribute('datetime')) ?? '') > seen);
    });

    test('is deleted although it runs, only when that is meant', async () => {
      await started(['away']);
      const page = await open('away');
      await press(page, way, 'Delete…');
      const confirm = page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true });
      expect(await confirm.isDisabled()).toBe(true);
      await tabTo(page, (name) => name.startsWith('It has not ended'));
      await page.keyboard.press('Space');
      await press(page, way, 'Delete');
      await toast(page, 'The instance was deleted.');
      await heading(page, 'Instances');
      expect(await client.getState('away')).toBeNull();
    });

    test('gets the event that it waits for, from the panel that says so', async () => {
      await started(['letters']);
      const page = await open('letters');
      await press(page, way, 'Raise send…');
      await page.getByRole('dialog').getByLabel('Data').and(page.locator(':focus')).waitFor();
      expect(await page.getByRole('dialog').getByLabel('Name').inputValue()).toBe('send');
      await page.keyboard.type('{"urgent":true}');
      await press(page, way, 'Raise');
      await toast(page, "Event 'send' was raised.");
      await heading(page, 'Completed');
      await page.getByText('sent to letters').waitFor();
      const raised = (await client.readHistory('letters')).find(({ kind }) => kind === 'EventRaised');
      expect(raised).toMatchObject({ name: 'send', data: { urgent: true } });
    });
  });

  describe('many instances', () => {
    /** Opens the list, marks all that match, and begins an action. */
    const begin = async (search: string, count: number, action: string): Promise<Page> => {
      const { page } = await stage.visit(`#/?search=${search}`);
      await page.locator(`tr[data-index="${count - 1}"]`).waitFor();
      if (way === 'clicks') await page.getByLabel('All that match').check();
      else {
        await tabTo(page, (name) => name.startsWith('All that match'));
        await page.keyboard.press('Space');
      }
      await press(page, way, `${action}…`);
      await page.getByRole('dialog').getByText('Dry run:').waitFor();
      return page;
    };
    const finish = async (page: Page, button: string, text: string): Promise<void> => {
      await press(page, way, button);
      await page.getByRole('dialog').getByText(text).waitFor();
      expect(await page.getByRole('progressbar').evaluate((bar) => (bar as unknown as { position: number }).position)).toBe(1);
      await press(page, way, 'Close');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    };
    const statusesOf = async (search: string): Promise<readonly string[]> =>
      (await client.listInstances({ search, limit: 1000 })).instances.map(({ status }) => status);
    const allShow = async (page: Page, status: string, count: number): Promise<void> => {
      for (let index = 0; index < count; index += 1) await page.locator(`tr[data-index="${index}"]`, { hasText: status }).waitFor();
    };

    test('are suspended, then resumed', async () => {
      await started(['herd-1', 'herd-2', 'herd-3']);
      await client.terminate('herd-2');
      const page = await begin('herd-', 3, 'Suspend');
      expect(await page.getByRole('dialog').textContent()).toContain('2 instances would be affected, 1 skipped');
      await finish(page, 'Suspend 2 instances', 'Finished: 2 done, 1 skipped, 0 failed.');
      await page.locator('tr[data-index="0"]', { hasText: 'Suspended' }).waitFor();
      expect(await statusesOf('herd-')).toEqual(['Suspended', 'Terminated', 'Suspended']);
      const again = await begin('herd-', 3, 'Resume');
      await finish(again, 'Resume 2 instances', 'Finished: 2 done');
      await again.locator('tr[data-index="0"]', { hasText: 'Running' }).waitFor();
      expect(await statusesOf('herd-')).toEqual(['Running', 'Terminated', 'Running']);
    });

    test('are cancelled', async () => {
      await started(['flock-1', 'flock-2']);
      const page = await begin('flock-', 2, 'Cancel');
      await finish(page, 'Cancel 2 instances', 'Finished: 2 done');
      await allShow(page, 'Cancelled', 2);
      expect(await statusesOf('flock-')).toEqual(['Cancelled', 'Cancelled']);
    });

    test('are terminated, retried, and deleted', async () => {
      await started(['pack-1', 'pack-2']);
      const page = await begin('pack-', 2, 'Terminate');
      await finish(page, 'Terminate 2 instances', 'Finished: 2 done');
      await allShow(page, 'Terminated', 2);
      const retry = await begin('pack-', 2, 'Retry');
      await finish(retry, 'Retry 2 instances', 'Finished: 2 done');
      await allShow(retry, 'Running', 2);
      const remove = await begin('pack-', 2, 'Delete');
      expect(await remove.getByRole('dialog').textContent()).toContain('0 instances would be affected, 2 skipped');
      await tabTo(remove, (name) => name.startsWith('Also those'));
      await remove.keyboard.press('Space');
      await finish(remove, 'Delete 2 instances', 'Finished: 2 done');
      await remove.locator('.empty', { hasText: 'No instance matches' }).waitFor();
      expect(await statusesOf('pack-')).toEqual([]);
    });

    test('show how far it is when there are more than one call takes', { timeout: 60_000 }, async () => {
      const requests = Array.from({ length: 1200 }, (_, index) => ({
        instanceId: `swarm-${index}`,
        orchestration: 'unknown',
        input: index,
      }));
      for (let from = 0; from < requests.length; from += 1000) await client.startOrchestrations(requests.slice(from, from + 1000));
      const page = await begin('swarm-', 10, 'Terminate');
      await page.getByRole('dialog').getByText('1,200 instances').first().waitFor();
      await page.evaluate(`(() => {
        window.seen = [];
        new MutationObserver(() => window.seen.push(document.querySelector('dialog progress')?.value ?? -1))
          .observe(document.querySelector('dialog'), { subtree: true, childList: true, characterData: true, attributes: true });
      })()`);
      await finish(page, 'Terminate 1,200 instances', 'Finished: 1,200 done');
      expect(await page.evaluate('window.seen')).toEqual(expect.arrayContaining([500, 1000, 1200]));
    });

    test('that were selected are acted on; those that are gone are skipped', async () => {
      await started(['pick-1', 'pick-2', 'pick-3']);
      const { page } = await stage.visit('#/?search=pick-');
      await page.locator('tr[data-index="2"]').waitFor();
      if (way === 'clicks') {
        await page.getByLabel('Select pick-1').check();
        await page.getByLabel('Select pick-2').check();
      } else {
        await page.keyboard.press('j');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('x');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('x');
      }
      await page.getByText('2 selected').waitFor();
      await press(page, way, 'Terminate…');
      await client.deleteInstance('pick-2', { force: true });
      await press(page, way, 'Terminate 2 instances');
      await page.getByRole('dialog').getByText('Finished: 1 done, 1 skipped, 0 failed.').waitFor();
      expect([await statusOf(client, 'pick-1'), await statusOf(client, 'pick-3')]).toEqual(['Terminated', 'Running']);
    });
  });

  describe('a queue', () => {
    const item = async (id: string): Promise<Awaited<ReturnType<Client['peekQueue']>>['items'][number] | undefined> =>
      (await client.peekQueue({ queue: 'worker', instanceId: id })).items[0];
    const openItem = async (id: string): Promise<Page> => {
      await client.startOrchestration(id, 'film', id);
      await until(async () => (await item(id)) !== undefined);
      const { page } = await stage.visit(`#/queues?queue=worker&instance=${id}`);
      await page.locator('tr[data-index="0"]', { hasText: id }).waitFor();
      return page;
    };
    /** Somebody takes it and dies. */
    const take = async (): Promise<void> => {
      const select = { kind: 'queue', tags: { kind: 'only', tags: ['gpu'] }, session: null } as const;
      await stage.demo.provider.fetchWorkItems({ maxItems: 100, lockMs: 600_000, waitMs: 0, select });
    };

    test('frees an item that is locked', async () => {
      const page = await openItem('scene-1');
      expect(await page.getByRole('button', { name: 'Unlock' }).isDisabled()).toBe(true);
      await take();
      await page.locator('.state', { hasText: 'locked' }).waitFor();
      await press(page, way, 'Unlock');
      await toast(page, 'The item is free');
      await page.locator('.state', { hasText: 'ready' }).waitFor();
      expect(await item('scene-1')).toMatchObject({ lockedUntil: null, attempt: 1 });
    });

    test('forgets the attempts of an item that is moved back', async () => {
      const page = await openItem('scene-2');
      await take();
      await page.locator('.state', { hasText: 'locked' }).waitFor();
      await press(page, way, 'Move back');
      await toast(page, 'at the end of the queue');
      await page.locator('.state', { hasText: 'ready' }).waitFor();
      expect(await item('scene-2')).toMatchObject({ lockedUntil: null, attempt: 0 });
    });

    test('drops an item after a question', async () => {
      const page = await openItem('scene-3');
      await press(page, way, 'Drop…');
      await press(page, way, 'Keep it');
      expect(await item('scene-3')).toBeDefined();
      await press(page, way, 'Drop…');
      await press(page, way, 'Drop');
      await toast(page, 'The item was dropped.');
      await page.locator('.empty', { hasText: 'The queue is empty' }).waitFor();
      await until(async () => (await statusOf(client, 'scene-3')) === 'Failed');
    });

    test('says that an item is gone', async () => {
      const page = await openItem('scene-4');
      await press(page, way, 'Drop…');
      await client.deleteInstance('scene-4', { force: true });
      await press(page, way, 'Drop');
      await page.locator('.toast.failed', { hasText: 'somebody was faster' }).waitFor();
      expect(await item('scene-4')).toBeUndefined();
    });
  });
});
