// What the dashboard does with hostile data, strangers, readers only, and servers that go away.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Client, LogTail } from 'duraloom';
import { serve } from 'duraloom/http';
import { SqliteProvider } from 'duraloom/sqlite';
import { hasBrowser } from '../../support/browser.ts';
import { DashboardStage } from '../../support/dashboard-stage.ts';

const TOKEN = 'a-token-of-the-tests-0123456789';
const MARKUP = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"'\${{}}`;
const LINK = 'javascript:window.hacked=1';

// Without Chromium there is nothing to test with; tests/support/browser.ts says so.
describe.skipIf(!hasBrowser)('the dashboard is careful', () => {
  let stage: DashboardStage;

  beforeAll(async () => {
    stage = await DashboardStage.open();
  }, 60_000);
  afterEach(() => stage.closePages());
  afterAll(() => stage.close());

  test('markup in ids, names, payloads, statuses and errors stays text', { timeout: 60_000 }, async () => {
    const { client, server } = stage.demo;
    const id = `evil/${MARKUP}`;
    await client.startOrchestration(id, 'mailing', MARKUP, { attributes: { note: LINK } });
    await client.startOrchestration('evil-film', 'film', MARKUP);
    await client.raiseEvent(id, MARKUP, { [MARKUP]: MARKUP, __proto__: null, constructor: LINK });
    const { page, complaints } = await stage.visit('#/?search=evil');
    await page.locator('tr[data-index="1"]').waitFor();
    await page.locator('a', { hasText: 'evil/' }).click();
    await page.locator('h1', { hasText: MARKUP }).waitFor();
    for (const tab of ['timeline', 'history', 'travel', 'family', 'diagrams', '']) {
      await page.goto(`${server.url}/#/instances/${encodeURIComponent(id)}?tab=${tab}`);
      await page.locator('[role="tabpanel"]').waitFor();
    }
    await page.getByText(`letters for ${MARKUP} are ready`, { exact: false }).first().waitFor();
    await page.goto(`${server.url}/#/queues?queue=worker`);
    await page.locator('tr', { hasText: 'evil-film' }).getByRole('button').first().click();
    await page.getByRole('dialog').getByText(MARKUP).waitFor();
    await page.goto(`${server.url}/#/${encodeURIComponent(MARKUP)}`);
    await page.getByText('There is no page').waitFor();
    expect(await page.evaluate('window.hacked')).toBeUndefined();
    expect(complaints).toEqual([]);
  });

  test('asks nobody but its server, and says nothing to the console', async () => {
    const { url } = stage.demo.server;
    const { page, requests, complaints } = await stage.visit('#/');
    for (const place of ['#/', '#/instances/order-1001', '#/instances/order-1000?tab=timeline', '#/queues', '#/runtimes', '#/logs']) {
      await page.goto(`${url}/${place}`);
      await page.locator('#main h1').waitFor();
    }
    expect(requests.length).toBeGreaterThan(10);
    expect(requests.filter((request) => !request.startsWith(url))).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test('large payloads are cut until they are asked for', async () => {
    const { client } = stage.demo;
    await client.startOrchestration('large', 'mailing', 'x');
    await client.raiseEvent('large', 'bulk', { text: 'y'.repeat(300_000), list: Array.from({ length: 5000 }, (_, index) => index) });
    const history = async (): Promise<boolean> => (await client.readHistory('large')).some(({ kind }) => kind === 'EventRaised');
    await expect.poll(history).toBe(true);
    const event = (await client.readHistory('large')).find(({ kind }) => kind === 'EventRaised')?.id ?? 0;
    const { page } = await stage.visit(`#/instances/large?tab=history&event=${event}`);
    const side = page.locator('.split-side');
    await side.getByText('Show all of 300,000 characters').waitFor();
    expect((await side.textContent())?.length).toBeLessThan(5000);
    await side.getByText('[ 5,000 items ]').click();
    await side.getByText('Show more of 4,900 entries').click();
    await side.getByText('Show all of 300,000 characters').click();
    expect((await side.textContent())?.length).toBeGreaterThan(300_000);
  });

  test('asks for a token, refuses a wrong one, and forgets it with the tab', async () => {
    const server = await stage.demo.serve({ token: TOKEN });
    const { page } = await stage.visit('#/?search=order-1001', {}, server.url);
    const field = page.getByLabel('Token');
    await field.fill('not-the-right-token');
    await page.keyboard.press('Enter');
    await page.locator('#login-problem', { hasText: /\w/ }).waitFor();
    expect(await field.inputValue()).toBe('');
    await field.fill(TOKEN);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('tr[data-index="0"]', { hasText: 'order-1001' }).waitFor();
    await page.reload();
    await page.locator('tr[data-index="0"]', { hasText: 'order-1001' }).waitFor();
    await page.goto(`${server.url}/#/instances/order-1001`);
    await page.locator('h1', { hasText: 'order-1001' }).waitFor();
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await field.waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    await expect.poll(() => page.url()).not.toContain(TOKEN);
  });

  test('offers no action where the server is for reading only', async () => {
    const server = await stage.demo.serve({ readOnly: true });
    const { page } = await stage.visit('#/', {}, server.url);
    await page.locator('tr[data-index="0"]').waitFor();
    await page.getByText('Read-only').waitFor();
    expect(await page.getByRole('checkbox').count()).toBe(0);
    expect(await page.getByRole('group', { name: 'Bulk actions' }).count()).toBe(0);
    await page.goto(`${server.url}/#/instances/order-1001`);
    await page.locator('.waits li').first().waitFor();
    expect(await page.getByRole('group', { name: 'Actions' }).count()).toBe(0);
    await page.goto(`${server.url}/#/queues?queue=worker`);
    await page.locator('tr[data-index="0"]').waitFor();
    expect(await page.getByRole('button', { name: /Drop|Unlock|Move back/ }).count()).toBe(0);
  });

  test('hides the log where there is none', async () => {
    const { client, provider } = stage.demo;
    const server = await serve({ client, provider, dashboard: stage.assets, port: 0 });
    const { page } = await stage.visit('#/instances/order-1001', {}, server.url);
    await page.locator('.waits li').first().waitFor();
    expect(await page.getByRole('link', { name: 'Logs' }).count()).toBe(0);
    expect(await page.getByRole('tab', { name: 'Logs' }).count()).toBe(0);
    await stage.closePages();
    await server.close();
  });

  test('says that the server is gone, and goes on when it is back', { timeout: 60_000 }, async () => {
    const first = await stage.demo.serve({});
    const { page } = await stage.visit('#/instances/mailing-paused', {}, first.url);
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await first.close();
    await page.getByText('Reconnecting…').waitFor();
    const notice = page.getByRole('alert').filter({ hasText: 'The server does not answer' });
    await notice.waitFor();
    expect(await notice.count()).toBe(1);
    // What is not loaded yet is loaded when it is back.
    await page.keyboard.press('g');
    await page.keyboard.press('q');
    await page.locator('h1', { hasText: 'Queues' }).waitFor();
    await page.getByText('Loading…').first().waitFor();
    await page.goBack();
    await page.locator('h1', { hasText: 'mailing-paused' }).waitFor();
    await stage.demo.client.resume('mailing-paused');
    await stage.demo.serve({ port: first.port });
    await page.locator('h1', { hasText: 'Running' }).waitFor({ timeout: 30_000 });
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    expect(await page.getByText('Reconnecting…').count()).toBe(0);
    expect(await notice.count()).toBe(0);
  });

  test('an action on a server that is gone says so, and works when it is back', { timeout: 60_000 }, async () => {
    const { client } = stage.demo;
    await client.startOrchestration('patient', 'mailing', 'x');
    const first = await stage.demo.serve({});
    const { page } = await stage.visit('#/instances/patient', {}, first.url);
    await page.getByRole('button', { name: 'Terminate…' }).click();
    await first.close();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('kept');
    await dialog.getByRole('button', { name: 'Terminate', exact: true }).click();
    await dialog.getByRole('alert').filter({ hasText: 'Terminate failed. The server does not answer' }).waitFor();
    await stage.demo.serve({ port: first.port });
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor({ timeout: 30_000 });
    await dialog.getByRole('button', { name: 'Terminate', exact: true }).click();
    await page.locator('h1', { hasText: 'Terminated' }).waitFor();
    expect((await client.getState('patient'))?.error?.message).toContain('kept');
  });

  test('a server that comes back for reading only offers no actions any more', { timeout: 60_000 }, async () => {
    const first = await stage.demo.serve({});
    const { page } = await stage.visit('#/instances/order-1002', {}, first.url);
    await page.getByRole('group', { name: 'Actions' }).waitFor();
    await first.close();
    await page.getByText('The server does not answer').waitFor();
    await stage.demo.serve({ port: first.port, readOnly: true });
    await page.getByText('Read-only').waitFor({ timeout: 30_000 });
    expect(await page.getByRole('group', { name: 'Actions' }).count()).toBe(0);
  });

  test('a token that the server no longer takes is asked for again', { timeout: 60_000 }, async () => {
    const first = await stage.demo.serve({ token: TOKEN });
    const { page } = await stage.visit('#/instances/order-1002', {}, first.url);
    await page.getByLabel('Token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await first.close();
    await page.getByText('The server does not answer').waitFor();
    const renewed = `${TOKEN}-renewed`;
    await stage.demo.serve({ port: first.port, token: renewed });
    await page.getByText('The server does not take this token.').waitFor({ timeout: 30_000 });
    await page.getByLabel('Token').fill(renewed);
    await page.keyboard.press('Enter');
    await page.locator('h1', { hasText: 'order-1002' }).waitFor();
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  });

  test('trouble of the store is told in its own words, on the page and in a dialog', { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'duraloom-closed-'));
    const provider = await SqliteProvider.open(join(folder, 'store.db'));
    const client = new Client(provider);
    await client.startOrchestration('stranded', 'mailing', 'x');
    const server = await serve({ client, provider, dashboard: stage.assets, port: 0, pollMs: 50 });
    try {
      const { page } = await stage.visit('#/instances/stranded', {}, server.url);
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
      await page.getByRole('button', { name: 'Suspend…' }).click();
      await provider.close();
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('button', { name: 'Suspend', exact: true }).click();
      expect(await dialog.getByRole('alert').textContent()).toMatch(/^Suspend failed\. \S.*clos/i);
      await dialog.getByRole('button', { name: 'Back' }).click();
      await page
        .getByRole('alert')
        .filter({ hasText: /Live updates are interrupted: .*clos/i })
        .waitFor();
      await page.goto(`${server.url}/#/`);
      await page
        .getByRole('alert')
        .filter({ hasText: /Loading the list failed\. .*clos/i })
        .waitFor();
    } finally {
      await stage.closePages();
      await server.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('a page that is hidden holds no connection, and is up to date when it is seen again', async () => {
    const server = await stage.demo.serve({});
    await stage.demo.client.startOrchestration('unseen', 'mailing', 'x');
    const { page } = await stage.visit('#/instances/unseen', {}, server.url);
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await expect.poll(() => server.figures().streams).toBe(1);
    const show = (state: string): Promise<void> =>
      page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`);
    await show('hidden');
    await expect.poll(() => server.figures().streams).toBe(0);
    await stage.demo.client.terminate('unseen');
    await show('visible');
    await page.locator('h1', { hasText: 'Terminated' }).waitFor();
  });

  test('lines that the server no longer keeps are counted', async () => {
    const { client, provider } = stage.demo;
    const logs = new LogTail({ capacity: 10 });
    for (let number = 0; number < 5; number += 1) logs.info({ instanceId: 'x' }, `first ${number}`);
    const server = await serve({ client, provider, logs, dashboard: stage.assets, port: 0 });
    const { page } = await stage.visit('#/logs', {}, server.url);
    await page.locator('.logs tr', { hasText: 'first 4' }).waitFor();
    await server.close();
    await page.getByText('The server does not answer').waitFor();
    for (let number = 0; number < 30; number += 1) logs.info({ instanceId: 'x' }, `later ${number}`);
    const again = await serve({ client, provider, logs, dashboard: stage.assets, port: server.port });
    await page.locator('.logs tr', { hasText: 'later 29' }).waitFor();
    await page.getByText('20 lines are no longer kept by the server.').waitFor();
    await stage.closePages();
    await again.close();
  });

  test('long names, other scripts, emoji and controls are shown as they are and break nothing', { timeout: 60_000 }, async () => {
    const { client, server } = stage.demo;
    const ids = [`odd-${'w'.repeat(200)}`, 'odd-\u202egnp.exe', 'odd-\u0001\u0007bell', 'odd-שלום-مرحبا', 'odd-👩‍👩‍👧‍👦-é'];
    for (const id of ids) {
      await client.startOrchestration(id, 'mailing', id.repeat(3), { attributes: { note: id } });
      await client.raiseEvent(id, `about ${id}`, { [id]: id });
    }
    for (const viewport of [
      { width: 1280, height: 800 },
      { width: 375, height: 812 },
    ]) {
      const { page, complaints } = await stage.visit('#/?search=odd-', { viewport });
      await page.locator('tr[data-index="4"]').waitFor();
      const shown = await page.locator('.instances td.c-id a').allTextContents();
      expect(shown.toSorted()).toEqual([ids[0], 'odd-\\u202egnp.exe', 'odd-\\u0001\\u0007bell', ids[3], ids[4]].map(String).toSorted());
      const heights = await page.evaluate<readonly number[]>(
        `[...document.querySelectorAll('tr[data-index]')].map((row) => Math.round(row.getBoundingClientRect().height))`,
      );
      expect(new Set(heights).size).toBe(1);
      for (const id of ids) {
        for (const tab of ['', 'timeline', 'history', 'travel', 'family', 'diagrams']) {
          await page.goto(`${server.url}/#/instances/${encodeURIComponent(id)}?tab=${tab}`);
          await page.locator('[role="tabpanel"] > *').first().waitFor();
          await page.getByRole('button', { name: 'Terminate…' }).waitFor();
          const widths = await page.evaluate<readonly number[]>(
            `[document.documentElement.scrollWidth, ...[...document.querySelectorAll('#main, .panel, .virtual, h1')].map((one) => one.scrollWidth - one.clientWidth + 1)]`,
          );
          expect([id, tab, Math.max(...widths) <= viewport.width, Math.max(...widths.slice(1)) <= 2]).toEqual([id, tab, true, true]);
        }
        await page.getByRole('button', { name: 'Terminate…' }).click();
        await page.getByRole('dialog').waitFor();
        expect(await page.evaluate(`document.querySelector('dialog').scrollWidth <= innerWidth`)).toBe(true);
        await page.keyboard.press('Escape');
      }
      expect(complaints).toEqual([]);
    }
  });

  test('the policy of the page lets no script of a value run', async () => {
    const { page } = await stage.visit('#/');
    await page.locator('tr[data-index="0"]').waitFor();
    const policy = (await fetch(stage.demo.server.url)).headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/(?:script-src|default-src) 'self'/);
    expect(policy).not.toContain('unsafe-inline');
    // The image fails after its attribute was refused, and the script before.
    await page.evaluate(`new Promise((resolve) => {
      const script = document.createElement('script');
      script.textContent = 'window.hacked = 1';
      document.body.append(script);
      const place = document.createElement('div');
      place.innerHTML = '<img src="data:image/png,broken" onerror="window.hacked = 1">';
      place.firstChild.addEventListener('error', resolve);
      document.body.append(place);
    })`);
    expect(await page.evaluate('window.hacked')).toBeUndefined();
  });

  test('a refused action shows the words of the server, and nothing is lost', async () => {
    const { page } = await stage.visit('#/instances/order-1001');
    await page.getByRole('button', { name: 'Raise event…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('x'.repeat(5000));
    await dialog.getByLabel('Data').fill('[1]');
    await dialog.getByRole('button', { name: 'Raise', exact: true }).click();
    await dialog.getByRole('alert').filter({ hasText: 'Raising the event failed' }).waitFor();
    expect(await dialog.getByRole('alert').textContent()).toContain('name');
    expect(await dialog.getByLabel('Data').inputValue()).toBe('[1]');
  });

  test('an instance that is deleted by somebody else is said to be gone', async () => {
    const { client } = stage.demo;
    await client.startOrchestration('gone-soon', 'mailing', 'x');
    const { page } = await stage.visit('#/instances/gone-soon');
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await client.deleteInstance('gone-soon', { force: true });
    await page.getByText('This instance was deleted').waitFor();
    expect(await page.getByRole('group', { name: 'Actions' }).count()).toBe(0);
  });
});
