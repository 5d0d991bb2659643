// The pages of the dashboard in a real browser, over a real store, runtime and server.
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../../scripts/demo-store/demo-store.ts';
import { hasBrowser } from '../../support/browser.ts';
import { DashboardStage } from '../../support/dashboard-stage.ts';

// Without Chromium there is nothing to test with; tests/support/browser.ts says so.
describe.skipIf(!hasBrowser)('the dashboard', () => {
  let stage: DashboardStage;

  beforeAll(async () => {
    stage = await DashboardStage.open();
  }, 60_000);
  afterEach(() => stage.closePages());
  afterAll(() => stage.close());

  const rowsOf = (page: Page): Promise<readonly string[]> => page.locator('.instances tbody tr[data-index] .c-id').allTextContents();
  const waitForRows = async (page: Page, holds: (ids: readonly string[]) => boolean): Promise<void> =>
    until(async () => holds(await rowsOf(page)));

  describe('the list', () => {
    test('shows status, name, custom status and what each waits for', async () => {
      const { page } = await stage.visit('#/?search=order-1001');
      const row = page.locator('tr[data-index="0"]');
      await row.waitFor();
      const text = await row.textContent();
      expect(text).toContain('Running');
      expect(text).toContain('order 1.0.0');
      expect(text).toContain('waiting for approval');
      expect(text).toContain('1 timer');
    });

    test('keeps its filters in the URL', async () => {
      const { page } = await stage.visit('#/');
      await page.getByRole('button', { name: 'Completed' }).click();
      await page.getByLabel('Search in ids').fill('ping-01');
      await waitForRows(page, (ids) => ids.length === 10 && ids.every((id) => id.startsWith('ping-01')));
      await expect.poll(() => page.url()).toContain('status=Completed&search=ping-01');
      await page.reload();
      await waitForRows(page, (ids) => ids.length === 10 && ids.every((id) => id.startsWith('ping-01')));
      expect(await page.getByLabel('Search in ids').inputValue()).toBe('ping-01');
      await page.getByRole('button', { name: 'Clear filters' }).click();
      await waitForRows(page, (ids) => ids.length > 10);
      await expect.poll(() => page.url()).not.toContain('search');
    });

    test('finds by attributes, tag and time', async () => {
      const { page } = await stage.visit('#/');
      await page.getByRole('button', { name: 'More filters' }).click();
      await page.getByLabel('Attributes').fill('customer=Ada, vip');
      await waitForRows(page, (ids) => ids.join() === 'order-1001');
      await page.getByLabel('Attributes').fill('');
      await page.getByLabel('Tag').fill('vip');
      await waitForRows(page, (ids) => ids.join() === 'order-1001');
      await page.getByLabel('Created before').fill('2001-01-01T00:00');
      await page.locator('.empty', { hasText: 'No instance matches' }).waitFor();
      expect(await rowsOf(page)).toEqual([]);
    });

    test('sorts by id both ways', async () => {
      const { page } = await stage.visit('#/?search=ping-00');
      await page.getByRole('button', { name: 'Instance', exact: true }).click();
      await waitForRows(page, ([first]) => first === 'ping-009');
      await page.getByRole('button', { name: 'Instance', exact: true }).click();
      await waitForRows(page, ([first]) => first === 'ping-001');
      expect(await page.locator('th[aria-sort]').getAttribute('aria-sort')).toBe('ascending');
    });

    test('shows a new instance, and its end, without being asked', async () => {
      const { page } = await stage.visit('#/?search=live-');
      await page.locator('.empty', { hasText: 'No instance matches' }).waitFor();
      await stage.demo.client.startOrchestration('live-1', 'mailing', 'here');
      await page.locator('tr[data-index="0"]', { hasText: 'Running' }).waitFor();
      await stage.demo.client.raiseEvent('live-1', 'send');
      await page.locator('tr[data-index="0"]', { hasText: 'Completed' }).waitFor();
      expect(await rowsOf(page)).toEqual(['live-1']);
    });

    test('suspends the selected ones after a confirmation', async () => {
      for (const id of ['many-1', 'many-2', 'many-3']) await stage.demo.client.startOrchestration(id, 'mailing', id);
      const { page } = await stage.visit('#/?search=many-');
      await page.getByLabel('Select many-1').check();
      await page.getByLabel('Select many-3').check();
      await page.getByRole('button', { name: 'Suspend…' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('2 instances').first().waitFor();
      await dialog.getByRole('button', { name: 'Suspend 2 instances' }).click();
      await dialog.getByText('Finished: 2 done, 0 skipped, 0 failed.').waitFor();
      await dialog.getByRole('button', { name: 'Close' }).last().click();
      const states = await Promise.all(['many-1', 'many-2', 'many-3'].map((id) => stage.demo.client.getState(id)));
      expect(states.map((state) => state?.status)).toEqual(['Suspended', 'Running', 'Suspended']);
    });

    test('deletes all that match after a dry run', async () => {
      for (let number = 1; number <= 7; number += 1) await stage.demo.client.startOrchestration(`done-${number}`, 'ping', 'x');
      await until(async () => (await stage.demo.client.listInstances({ search: 'done-', status: 'Completed' })).instances.length === 7);
      const { page } = await stage.visit('#/?search=done-');
      await waitForRows(page, (ids) => ids.length === 7);
      await page.getByLabel('All that match').check();
      await page.getByRole('button', { name: 'Delete…' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('Dry run:').waitFor();
      expect(await dialog.textContent()).toContain('7 instances would be affected');
      expect((await stage.demo.client.listInstances({ search: 'done-' })).instances).toHaveLength(7);
      await dialog.getByRole('button', { name: 'Delete 7 instances' }).click();
      await dialog.getByText('Finished: 7 done').waitFor();
      expect((await stage.demo.client.listInstances({ search: 'done-' })).instances).toHaveLength(0);
      await page.keyboard.press('Escape');
      await page.locator('.empty', { hasText: 'No instance matches' }).waitFor();
    });
  });

  describe('an instance', () => {
    test('says why it waits, takes the event from the page, and is seen to complete', async () => {
      const { page, complaints } = await stage.visit('#/instances/order-1001');
      const panel = page.getByRole('region', { name: 'Why is it waiting?' });
      await panel.locator('.waits').getByText('Event approved').waitFor();
      expect(await panel.locator('.summary').textContent()).toContain('approved');
      await page.getByRole('button', { name: 'Raise event…' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Name').fill('approved');
      await dialog.getByLabel('Data').fill('{ by: Ada }');
      await dialog.getByRole('button', { name: 'Raise', exact: true }).click();
      expect(await dialog.getByRole('alert').textContent()).toContain('no JSON');
      await dialog.getByLabel('Data').fill('{ "by": "Ada" }');
      await dialog.getByRole('button', { name: 'Raise', exact: true }).click();
      await page.locator('h1', { hasText: 'Completed' }).waitFor();
      await page.getByText('label of book').waitFor();
      expect(await page.locator('.facts').first().textContent()).toContain('Took');
      expect(await panel.count()).toBe(0);
      expect(complaints).toEqual([]);
    });

    test('names the runtime that is missing', async () => {
      const { page } = await stage.visit('#/instances/film-1');
      const wait = page.locator('.waits li.has-problem');
      await wait.waitFor();
      expect(await wait.textContent()).toMatch(/render.*Problem:.*gpu/s);
    });

    test('draws its timeline with attempts, and opens the event of a bar', async () => {
      const { page } = await stage.visit('#/instances/order-1000?tab=timeline');
      const charge = page.locator('.timeline tr', { hasText: 'charge (3 attempts)' });
      await charge.waitFor();
      expect(await charge.locator('.bar').count()).toBe(3);
      expect(await charge.locator('.bar-failed').count()).toBe(2);
      await page.getByRole('button', { name: 'Zoom in' }).click();
      await page.locator('.timeline tr', { hasText: 'Event approved' }).getByRole('button').click();
      await page.locator('.split-side', { hasText: 'EventAwaited' }).waitFor();
      await expect.poll(() => page.url()).toContain('tab=history');
    });

    test('lists its events, finds some, and shows one with what answered it', async () => {
      const { page } = await stage.visit('#/instances/order-1000?tab=history');
      await page.getByLabel('Find').fill('subor');
      await page.getByText(/^2 of \d+ events$/).waitFor();
      await page.locator('.events tr[data-index="0"] button').click();
      const side = page.locator('.split-side');
      await expect.poll(() => side.textContent()).toContain('Answered by');
      await side.getByRole('button', { name: 'SubOrchestrationCompleted' }).click();
      await side.getByText('label of desk').waitFor();
      expect(await side.textContent()).toContain('Answers');
    });

    test('travels in time by keyboard', async () => {
      const history = await stage.demo.client.readHistory('order-1000');
      const awaited = history.find(({ kind }) => kind === 'EventAwaited')?.id ?? 0;
      const { page } = await stage.visit(`#/instances/order-1000?tab=travel&event=${awaited - 1}`);
      const waits = page.getByRole('region', { name: 'What it waited for' });
      const slider = page.getByRole('slider', { name: 'Event' });
      await slider.focus();
      await page.getByText(`Event ${awaited - 1} of`).waitFor();
      expect(await waits.textContent()).not.toContain('Event approved');
      await page.keyboard.press('ArrowRight');
      await page.getByText(`Event ${awaited} of`).waitFor();
      const knew = page.getByRole('region', { name: 'What it knew' });
      expect(await knew.textContent()).toContain('waiting for approval');
      expect(await knew.textContent()).toContain('Value receipt');
      await page.keyboard.press('Home');
      await page.getByText('Before the first event').waitFor();
      await page.keyboard.press(']');
      await page.getByText('#1 OrchestrationStarted').waitFor();
      await page.keyboard.press('End');
      await page.getByText(`#${history.length} OrchestrationCompleted`).waitFor();
      expect(await waits.textContent()).toContain('Nothing.');
    });

    test('shows where code and history part', async () => {
      const { page } = await stage.visit('#/instances/renewal-7');
      const panel = page.getByRole('region', { name: /part at event #2/ });
      await panel.waitFor();
      expect(await panel.locator('.side-recorded').textContent()).toContain('reserve');
      expect(await panel.locator('.side-emitted').textContent()).toContain('charge');
      expect(await panel.textContent()).toMatch(/orchestrations-changed\.ts:\d+:\d+/);
      expect(await panel.locator('pre').textContent()).toMatch(/− .*reserve.*\+ .*charge/s);
      expect(await page.getByRole('group', { name: 'Actions' }).getByRole('button', { name: 'Retry…' }).count()).toBe(1);
    });

    test('shows its family and goes from parent to child', async () => {
      const { page } = await stage.visit('#/instances/campaign-spring?tab=family');
      const tree = page.locator('.tree');
      await tree.getByText('campaign-spring:west').click();
      await page.locator('h1', { hasText: 'campaign-spring:west' }).waitFor();
      await expect.poll(() => page.locator('#main').textContent()).toContain('Parent: campaign-spring');
    });

    test('goes to an execution before the current one', async () => {
      const { page } = await stage.visit('#/instances/tally-1?tab=history');
      const chosen = page.getByLabel('Execution', { exact: true });
      await chosen.locator('option', { hasText: '3 (current): Running' }).waitFor({ state: 'attached' });
      await chosen.selectOption('1');
      await page.locator('.events tr', { hasText: 'OrchestrationContinuedAsNew' }).waitFor();
      await expect.poll(() => page.url()).toContain('execution=1');
      await chosen.selectOption('3');
      await page.locator('.events tr', { hasText: 'EventAwaited' }).waitFor();
      await expect.poll(() => page.url()).not.toContain('execution');
    });

    test('has Mermaid text of both kinds', async () => {
      const { page } = await stage.visit('#/instances/order-1000?tab=diagrams');
      await page.locator('pre', { hasText: 'sequenceDiagram' }).waitFor();
      await page.getByRole('button', { name: 'Gantt chart' }).click();
      await page.locator('pre', { hasText: 'gantt' }).waitFor();
      expect(await page.locator('pre').textContent()).toContain('charge');
    });

    test('is cancelled with a reason, after a confirmation', async () => {
      await stage.demo.client.startOrchestration('cancel-me', 'mailing', 'here');
      const { page } = await stage.visit('#/instances/cancel-me');
      await page.getByRole('button', { name: 'Cancel…' }).click();
      await page.getByLabel('Reason').fill('not needed');
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel', exact: true }).click();
      await page.locator('h1', { hasText: 'Cancelled' }).waitFor();
      expect((await stage.demo.client.getState('cancel-me'))?.error?.message).toContain('not needed');
    });

    test('says so when there is none of this id', async () => {
      const { page } = await stage.visit('#/instances/nobody');
      expect(await page.getByRole('alert').textContent()).toMatch(/nobody.*INSTANCE_NOT_FOUND/s);
    });
  });

  describe('queues', () => {
    test('lists both, opens an item, and drops one after a confirmation', async () => {
      await stage.demo.client.startOrchestration('film-2', 'film', 'ending');
      const { page } = await stage.visit('#/queues');
      await page.locator('tr', { hasText: 'TimerFired' }).first().waitFor();
      await page.getByRole('button', { name: /^Work items/ }).click();
      const row = page.locator('tr', { hasText: 'film-2' });
      await row.getByRole('button', { name: /^render/ }).click();
      expect(await page.getByRole('dialog').textContent()).toContain('"ending"');
      await page.keyboard.press('Escape');
      await row.getByRole('button', { name: 'Move back' }).click();
      await page.locator('.toast', { hasText: 'end of the queue' }).waitFor();
      await row.getByRole('button', { name: 'Drop…' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Drop' }).click();
      await row.waitFor({ state: 'detached' });
      await until(async () => (await stage.demo.client.getState('film-2'))?.status === 'Failed');
      expect((await stage.demo.client.getState('film-2'))?.error?.message).toContain('dropped from its queue by an operator');
    });

    test('unlocks an item of a worker that died', async () => {
      await stage.demo.client.startOrchestration('film-3', 'film', 'credits');
      const select = { kind: 'queue', tags: { kind: 'only', tags: ['gpu'] }, session: null } as const;
      await until(async () => (await stage.demo.client.peekQueue({ queue: 'worker', instanceId: 'film-3' })).items.length === 1);
      await stage.demo.provider.fetchWorkItems({ maxItems: 10, lockMs: 600_000, waitMs: 0, select });
      const { page } = await stage.visit('#/queues?queue=worker&instance=film-3');
      const row = page.locator('tr', { hasText: 'film-3' });
      await row.locator('.state', { hasText: 'locked' }).waitFor();
      await row.getByRole('button', { name: 'Unlock' }).click();
      await row.locator('.state', { hasText: 'ready' }).waitFor();
      const { items } = await stage.demo.client.peekQueue({ queue: 'worker', instanceId: 'film-3' });
      expect(items).toMatchObject([{ instanceId: 'film-3', lockedUntil: null }]);
    });

    test('lists the quarantined instances with their reason', async () => {
      const { page } = await stage.visit('#/queues');
      const section = page.getByRole('region', { name: 'Quarantined instances' });
      await section.getByRole('link', { name: 'renewal-7' }).waitFor();
      expect(await section.textContent()).toContain('does not follow its history');
    });
  });

  test('runtimes have charts that go on', async () => {
    const { page } = await stage.visit('#/runtimes');
    await page.locator('.chart canvas').first().waitFor();
    expect(await page.locator('.chart canvas').count()).toBe(8);
    await page.getByText('Replay 0').waitFor();
    const main = await page.locator('.chart', { hasText: 'Throughput' }).locator('.legend').textContent();
    for (let number = 0; number < 30; number += 1) await stage.demo.client.startOrchestration(`busy-${number}`, 'ping', 'x');
    await until(async () => (await page.locator('.chart', { hasText: 'Throughput' }).locator('.legend').textContent()) !== main);
    const inked = await page
      .locator('.chart canvas')
      .first()
      .evaluate((canvas) => {
        const { width, height } = canvas as unknown as { readonly width: number; readonly height: number };
        const context = (
          canvas as unknown as { getContext(kind: '2d'): { getImageData(...box: number[]): { data: Iterable<number> } } }
        ).getContext('2d');
        return [...context.getImageData(0, 0, width, height).data].filter((value) => value > 0).length;
      });
    expect(inked).toBeGreaterThan(100);
    await expect.poll(() => page.getByRole('region', { name: 'Living runtimes' }).textContent()).toContain('node-a');
  });

  test('the log comes in as it is written', async () => {
    const { page } = await stage.visit('#/logs');
    await page.locator('.logs tr', { hasText: 'charging' }).first().waitFor();
    await stage.demo.client.startOrchestration('order-1099', 'order', { items: [], amount: 5 });
    await page.locator('.logs tr', { hasText: 'order-1099' }).first().waitFor();
    await page.getByLabel('Level').selectOption('error');
    await page.locator('.logs tr', { hasText: 'charging' }).first().waitFor({ state: 'detached' });
    await expect.poll(() => page.url()).toContain('level=error');
  });
});
