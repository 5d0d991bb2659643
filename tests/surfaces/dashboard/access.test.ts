// Who can use the dashboard: by keyboard alone, with a screen reader, in the dark, on a phone.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hasBrowser } from '../../support/browser.ts';
import { DashboardStage, findBarriers } from '../../support/dashboard-stage.ts';

/** All pages, with something by which each is known to be there. */
const PLACES: readonly (readonly [place: string, marker: string])[] = [
  ['#/', 'tr[data-index="0"]'],
  ['#/instances/order-1001', '.waits li'],
  ['#/instances/renewal-7', '.sides'],
  ['#/instances/refund-3', '.error-text'],
  ['#/instances/order-1000?tab=timeline', '.bar'],
  ['#/instances/order-1000?tab=history&event=2', '.split-side .json'],
  ['#/instances/order-1000?tab=travel&event=9', '.answer'],
  ['#/instances/campaign-spring?tab=family', '.tree ul'],
  ['#/instances/order-1000?tab=diagrams', 'pre'],
  ['#/instances/order-1000?tab=logs', '.logs tr[data-index="0"]'],
  ['#/queues?queue=worker', 'tr[data-index="0"]'],
  ['#/runtimes', '.chart canvas'],
  ['#/logs', '.logs tr[data-index="0"]'],
  ['#/nowhere', '#main a'],
];

// Without Chromium there is nothing to test with; tests/support/browser.ts says so.
describe.skipIf(!hasBrowser)('the dashboard is for everybody', () => {
  let stage: DashboardStage;

  beforeAll(async () => {
    stage = await DashboardStage.open();
  }, 60_000);
  afterEach(() => stage.closePages());
  afterAll(() => stage.close());

  test.each(['light', 'dark'] as const)('axe finds nothing serious on any page (%s)', { timeout: 120_000 }, async (colorScheme) => {
    const { page } = await stage.visit('#/', { colorScheme });
    const barriers: string[] = [];
    for (const [place, marker] of PLACES) {
      await page.goto(`${stage.demo.server.url}/${place}`);
      await page.locator(marker).first().waitFor();
      for (const barrier of await findBarriers(page)) barriers.push(`${place}: ${barrier}`);
    }
    expect(barriers).toEqual([]);
  });

  test.each(['light', 'dark'] as const)('axe finds nothing serious in dialogs (%s)', async (colorScheme) => {
    const { page } = await stage.visit('#/instances/order-1001', { colorScheme });
    for (const name of ['Raise event…', 'Terminate…', 'Delete…', 'Keyboard shortcuts']) {
      await page.getByRole('button', { name }).click();
      await page.getByRole('dialog').waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
  });

  test('the theme follows the system until it is chosen, and stays chosen', async () => {
    const { page } = await stage.visit('#/', { colorScheme: 'dark' });
    const background = (): Promise<string> => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const button = page.getByRole('button', { name: /^Theme/ });
    await button.waitFor();
    const dark = await background();
    await button.click();
    await page.getByRole('button', { name: 'Theme: light. Switch' }).waitFor();
    const light = await background();
    expect(light).not.toBe(dark);
    await page.reload();
    await page.getByRole('button', { name: 'Theme: light. Switch' }).waitFor();
    expect(await background()).toBe(light);
    await page.keyboard.press('t');
    await page.getByRole('button', { name: 'Theme: dark. Switch' }).waitFor();
    expect(await background()).toBe(dark);
  });

  test('an event is raised by keyboard alone', async () => {
    const { page } = await stage.visit('#/');
    await page.locator('tr[data-index="0"]').waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('order-1002');
    await page.locator('.page-head', { hasText: '1 instance match' }).waitFor();
    await page.locator('tr[data-index="0"]', { hasText: 'order-1002' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.locator('h1', { hasText: 'order-1002 ▶Running' }).waitFor();
    await page.keyboard.press('e');
    await page.getByLabel('Name').and(page.locator(':focus')).waitFor();
    await page.keyboard.type('approved');
    await page.keyboard.press('Enter');
    await page.locator('h1', { hasText: 'Completed' }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('q');
    await page.locator('h1', { hasText: 'Queues' }).waitFor();
    await expect.poll(() => page.url()).toContain('#/queues');
  });

  test('a dialog keeps the focus inside and gives it back', async () => {
    const { page } = await stage.visit('#/instances/order-1001');
    const opener = page.getByRole('button', { name: 'Terminate…' });
    await opener.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    // The browser's own frame may have a turn; the page behind the dialog has none.
    for (let step = 0; step < 8; step += 1) {
      await page.keyboard.press('Tab');
      const where = await page.evaluate<string>(
        `document.activeElement.closest('dialog') !== null ? 'dialog' : document.activeElement === document.body ? 'browser' : 'page'`,
      );
      expect(where).not.toBe('page');
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Terminate…');
  });

  test('arrow keys go from row to row, also beyond the screen', async () => {
    const { page } = await stage.visit('#/instances/order-1000?tab=history');
    await page.locator('tr[data-index="0"] button').focus();
    for (let step = 0; step < 25; step += 1) await page.keyboard.press('ArrowDown');
    await page.locator('tr[data-index="25"] button:focus').waitFor();
    await page.keyboard.press('Enter');
    await page.locator('.split-side', { hasText: '#26' }).waitFor();
    await expect.poll(() => page.url()).toContain('event=26');
  });

  test('tabs are moved through by arrow keys', async () => {
    const { page } = await stage.visit('#/instances/order-1000');
    await page.getByRole('tab', { name: 'Overview' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.locator('[role="tab"][aria-selected="true"]:focus', { hasText: 'Timeline' }).waitFor();
    await page.keyboard.press('End');
    await page.locator('[role="tab"][aria-selected="true"]:focus', { hasText: 'Logs' }).waitFor();
    await expect.poll(() => page.url()).toContain('tab=logs');
  });

  test('? lists the shortcuts of the page', async () => {
    const { page } = await stage.visit('#/instances/order-1000?tab=travel');
    await page.getByText('Answers so far').waitFor();
    await page.keyboard.press('?');
    const text = await page.getByRole('dialog').textContent();
    for (const label of ['Go to the queues', 'Raise an event', 'One event back', 'From row to row']) expect(text).toContain(label);
  });

  test('a screen reader hears of the whole table, not of the rows on the screen', async () => {
    const { page } = await stage.visit('#/');
    await page.locator('tr[data-index="0"]').waitFor();
    const { instances } = await stage.demo.client.listInstances({ limit: 1000 });
    await expect.poll(() => page.locator('.instances table').getAttribute('aria-rowcount')).toBe(String(instances.length + 1));
    expect(await page.locator('tr[data-index="3"]').getAttribute('aria-rowindex')).toBe('5');
  });

  test('nothing is wider than a phone', { timeout: 60_000 }, async () => {
    const { page } = await stage.visit('#/', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    for (const [place, marker] of PLACES) {
      await page.goto(`${stage.demo.server.url}/${place}`);
      await page.locator(marker).first().waitFor({ state: 'attached' });
      const widths = await page.evaluate<readonly number[]>(
        `[document.documentElement.scrollWidth, document.querySelector('#main').scrollWidth, ...[...document.querySelectorAll('.virtual')].map((one) => one.scrollWidth)]`,
      );
      expect([place, Math.max(...widths) <= 390]).toEqual([place, true]);
    }
  });

  test('the actions of a queue item are in its dialog on a phone', async () => {
    const { page } = await stage.visit('#/queues?queue=worker', { viewport: { width: 390, height: 844 } });
    await page.locator('tr', { hasText: 'film-1' }).getByRole('button').first().click();
    expect(await page.getByRole('dialog').getByRole('button', { name: 'Move back' }).isVisible()).toBe(true);
  });

  test('nothing moves for who does not want it', async () => {
    const { page } = await stage.visit('#/', { reducedMotion: 'reduce' });
    await page.locator('tr[data-index="0"]').waitFor();
    expect(await page.evaluate('document.getAnimations().length')).toBe(0);
  });
});
