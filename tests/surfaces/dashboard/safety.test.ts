// What the dashboard does with hostile data, strangers, readers only, and servers that go away.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { serve } from 'duraloom/http';
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
    await page.getByRole('alert').filter({ hasText: 'does not answer' }).waitFor();
    await stage.demo.client.resume('mailing-paused');
    await stage.demo.serve({ port: first.port });
    await page.locator('h1', { hasText: 'Running' }).waitFor({ timeout: 30_000 });
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    expect(await page.getByText('Reconnecting…').count()).toBe(0);
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
