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

  test.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 375],
    ['dark', 375],
  ] as const)('axe finds nothing serious on any page (%s, %i wide)', { timeout: 120_000 }, async (colorScheme, width) => {
    const { page } = await stage.visit('#/', { colorScheme, viewport: { width, height: 800 } });
    const barriers: string[] = [];
    for (const [place, marker] of PLACES) {
      await page.goto(`${stage.demo.server.url}/${place}`);
      await page.locator(marker).first().waitFor();
      for (const barrier of await findBarriers(page)) barriers.push(`${place}: ${barrier}`);
    }
    expect(barriers).toEqual([]);
  });

  test.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 375],
    ['dark', 375],
  ] as const)('axe finds nothing serious in dialogs (%s, %i wide)', { timeout: 60_000 }, async (colorScheme, width) => {
    const { page } = await stage.visit('#/instances/order-1001', { colorScheme, viewport: { width, height: 800 } });
    const names = ['Raise event…', 'Terminate…', 'Delete…', 'Keyboard shortcuts', 'render (event #2) "opening"', 'Delete…'];
    const places = new Map([
      [4, '#/queues?queue=worker'],
      [5, '#/?search=ping-00'],
    ]);
    for (const [index, name] of names.entries()) {
      const place = places.get(index);
      if (place !== undefined) await page.goto(`${stage.demo.server.url}/${place}`);
      if (index === 5) await page.getByLabel('All that match').check();
      await page
        .getByRole('button', { name: index === 4 ? /^render/ : name })
        .first()
        .click();
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

  test('Tab goes through one row and out of a table of any length', async () => {
    const { page } = await stage.visit('#/?status=Completed');
    await page.locator('tr[data-index="20"]').waitFor({ state: 'attached' });
    await page.locator('tr[data-index="0"] a').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.locator('tr[data-index="2"] a:focus').waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate(`document.activeElement.closest('.virtual') === null`)).toBe(true);
    await page.keyboard.press('Shift+Tab');
    await page.locator('tr[data-index="2"] a:focus').waitFor();
    await page.keyboard.press('Shift+Tab');
    await page.locator('tr[data-index="2"] input:focus').waitFor();
    await page.keyboard.press('End');
    await page.locator('tr[data-index] a:focus', { hasText: 'ping-001' }).waitFor();
    await page.keyboard.press('PageUp');
    await page.keyboard.press('Home');
    await page.locator('tr[data-index="0"] a:focus').waitFor();
  });

  test('the focus stays with its row when others come above it', async () => {
    const { client } = stage.demo;
    await client.startOrchestration('crowd-1', 'mailing', 'x');
    const { page } = await stage.visit('#/?search=crowd-');
    await page.locator('tr[data-index="0"] a', { hasText: 'crowd-1' }).focus();
    for (const id of ['crowd-2', 'crowd-3']) await client.startOrchestration(id, 'mailing', 'x');
    await page.locator('tr[data-index="2"] a:focus', { hasText: 'crowd-1' }).waitFor();
    await page.keyboard.press('x');
    await page.locator('tr.selected', { hasText: 'crowd-1' }).waitFor();
    expect(await page.locator('tr.selected').count()).toBe(1);
  });

  test('headings have an order, tables a caption, news are told politely', { timeout: 60_000 }, async () => {
    const { page } = await stage.visit('#/');
    const faults: string[] = [];
    for (const [place, marker] of PLACES) {
      await page.goto(`${stage.demo.server.url}/${place}`);
      await page.locator(marker).first().waitFor();
      const found = await page.evaluate<readonly string[]>(`(() => {
        const levels = [...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.tagName[1]));
        const faults = levels.flatMap((level, index) => (level > (levels[index - 1] ?? 0) + 1 ? ['heading of level ' + level] : []));
        if (levels.filter((level) => level === 1).length !== 1) faults.push('not one h1');
        for (const table of document.querySelectorAll('table')) if (!table.caption?.textContent) faults.push('table without caption');
        for (const region of document.querySelectorAll('[aria-live=assertive]')) faults.push('assertive ' + region.className);
        return faults;
      })()`);
      for (const fault of found) faults.push(`${place}: ${fault}`);
    }
    expect(faults).toEqual([]);
  });

  test('charts are told in words, with their units', async () => {
    const { page } = await stage.visit('#/runtimes');
    const chart = page.locator('.chart', { hasText: 'Event-loop delay' });
    await expect.poll(() => chart.textContent()).toMatch(/Median: between [\d.]+ m?s and [\d.]+ m?s since the page was opened/);
    expect(await page.locator('.chart', { hasText: 'Throughput' }).textContent()).toMatch(/Turns [\d.]+\/s/);
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

  test('bulk actions have their place above the list on a phone', async () => {
    const { page } = await stage.visit('#/', { viewport: { width: 375, height: 812 } });
    await page.locator('tr[data-index="0"] input').check();
    const bar = await page.getByRole('group', { name: 'Bulk actions' }).locator('.bulk-actions').boundingBox();
    const list = await page.locator('.virtual').boundingBox();
    expect((bar?.y ?? 0) + (bar?.height ?? 0)).toBeLessThanOrEqual(list?.y ?? 0);
    await page.getByRole('button', { name: 'Delete…' }).click();
    await page.getByRole('dialog').getByText('1 instance').first().waitFor();
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
