// What goes on for hours: rows far down the list are as live as the first ones, nothing moves under the reader, and the page does not grow.
import type { CDPSession, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LogTail, type Client } from 'duraloom';
import { serve, type HttpServer } from 'duraloom/http';
import { until } from '../../../scripts/demo-store/demo-store.ts';
import { hasBrowser } from '../../support/browser.ts';
import { DashboardStage } from '../../support/dashboard-stage.ts';

const MEBIBYTE = 1024 * 1024;
/** How often the server of these tests looks, so that an hour goes by in seconds. */
const POLL_MS = 10;

/** Starts many that no runtime here runs. */
async function startMany(client: Client, prefix: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += 500) {
    await client.startOrchestrations(
      Array.from({ length: Math.min(500, count - from) }, (_, index) => ({
        instanceId: `${prefix}${String(from + index).padStart(5, '0')}`,
        orchestration: 'unknown',
      })),
    );
  }
}

/** Memory of a page after what is not needed any more has gone. */
async function measure(devtools: CDPSession): Promise<{ readonly heapBytes: number; readonly nodes: number; readonly listeners: number }> {
  await devtools.send('HeapProfiler.collectGarbage');
  const { usedSize } = await devtools.send('Runtime.getHeapUsage');
  const { nodes, jsEventListeners } = await devtools.send('Memory.getDOMCounters');
  return { heapBytes: usedSize, nodes, listeners: jsEventListeners };
}

/** Counts the bytes that come in. */
async function watchTraffic(page: Page): Promise<{ readonly devtools: CDPSession; readonly received: () => number }> {
  const devtools = await page.context().newCDPSession(page);
  let received = 0;
  devtools.on('Network.dataReceived', ({ dataLength }) => (received += dataLength));
  await devtools.send('Network.enable');
  return { devtools, received: () => received };
}

// Without Chromium there is nothing to test with; tests/support/browser.ts says so.
describe.skipIf(!hasBrowser)('the dashboard over hours', () => {
  let stage: DashboardStage;
  let client: Client;
  let server: HttpServer;

  beforeAll(async () => {
    stage = await DashboardStage.open();
    ({ client } = stage.demo);
    server = await stage.demo.serve({ pollMs: POLL_MS, rateLimit: false });
  }, 60_000);
  afterEach(() => stage.closePages());
  afterAll(() => stage.close());

  /** Index and id of each row in the document. */
  const drawn = (page: Page): Promise<readonly (readonly [number, string])[]> =>
    page.evaluate(
      `[...document.querySelectorAll('tr[data-index]')].map((row) => [Number(row.dataset.index), row.querySelector('.c-id').textContent])`,
    );
  const listed = async (search: string, orderBy: 'createdAt' | 'id' = 'createdAt'): Promise<readonly string[]> => {
    const ids: string[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await client.listInstances({ search, orderBy, direction: 'desc', limit: 1000, ...(cursor !== undefined && { cursor }) });
      for (const { instanceId } of page.instances) ids.push(instanceId);
      if (page.cursor === null) return ids;
      ({ cursor } = page);
    }
  };
  const scrollTo = async (page: Page, index: number): Promise<void> => {
    await until(async () => {
      await page.evaluate(`document.querySelector('.virtual').scrollTop = ${index * 38}`);
      return (await drawn(page)).some(([at]) => at === index);
    });
  };

  test('rows far down show what happens to them, and are those of the store', { timeout: 60_000 }, async () => {
    await startMany(client, 'deep-', 1500);
    const { page } = await stage.visit('#/?search=deep-', {}, server.url);
    await page.locator('tr[data-index="0"]').waitFor();
    await scrollTo(page, 700);
    const [, id = ''] = (await drawn(page)).find(([at]) => at === 700) ?? [];
    await client.terminate(id);
    await page.locator('tr', { hasText: id }).filter({ hasText: 'Terminated' }).waitFor({ timeout: 5000 });
    await client.deleteInstance(id);
    await page.locator('tr', { hasText: id }).waitFor({ state: 'detached', timeout: 5000 });
    const ids = await listed('deep-');
    await until(async () => (await drawn(page)).every(([at, shown]) => ids[at] === shown));
    // Without a hole and without a row that stands twice, from the first to the last.
    await until(async () => {
      await page.evaluate(`document.querySelector('.virtual').scrollTop = 1e9`);
      return Number(await page.locator('table').getAttribute('aria-rowcount')) === ids.length + 1;
    });
    for (const index of [1490, 1200, 905, 500, 300, 100, 0]) {
      await scrollTo(page, index);
      const rows = await drawn(page);
      expect(rows.map(([at]) => ids[at])).toEqual(rows.map(([, shown]) => shown));
    }
  });

  test('an instance that comes between others far down appears there', { timeout: 60_000 }, async () => {
    await startMany(client, 'mid-', 600);
    const { page } = await stage.visit('#/?search=mid-&orderBy=id', {}, server.url);
    await page.locator('tr[data-index="0"]').waitFor();
    await scrollTo(page, 300);
    await client.startOrchestration('mid-00299a', 'unknown');
    await page.locator('tr', { hasText: 'mid-00299a' }).waitFor({ state: 'attached', timeout: 5000 });
    const ids = await listed('mid-', 'id');
    await until(async () => (await drawn(page)).every(([at, shown]) => ids[at] === shown));
  });

  test('nothing moves under the reader; the first rows are new when the reader is back', { timeout: 60_000 }, async () => {
    await startMany(client, 'still-', 800);
    const { page } = await stage.visit('#/?search=still-', {}, server.url);
    await page.locator('tr[data-index="0"]').waitFor();
    await scrollTo(page, 400);
    const before = await drawn(page);
    const { received } = await watchTraffic(page);
    // The first page was sent, with some of them.
    const target = received() + 100_000;
    for (let number = 0; received() < target; number += 1) await client.startOrchestration(`still-new-${number}`, 'unknown');
    expect(await drawn(page)).toEqual(before);
    await scrollTo(page, 0);
    const ids = await listed('still-');
    await until(async () => (await drawn(page)).every(([at, shown]) => ids[at] === shown));
  });

  test('the list does not grow while instances come and go', { timeout: 120_000 }, async () => {
    const { page } = await stage.visit('#/?search=flood-', {}, server.url);
    await page.locator('.empty').waitFor();
    const { devtools } = await watchTraffic(page);
    let round = 0;
    const flood = async (rounds: number): Promise<void> => {
      for (const end = round + rounds; round < end; round += 1) {
        await startMany(client, `flood-${round}-`, 20);
        await page.locator('tr[data-index="0"]', { hasText: `flood-${round}-` }).waitFor();
      }
    };
    // As far as it grows: rows that were pushed out of the first page are kept to some number.
    await flood(40);
    const before = await measure(devtools);
    await flood(100);
    const after = await measure(devtools);
    console.log(`list: ${JSON.stringify({ before, after })}`);
    expect(after.heapBytes - before.heapBytes).toBeLessThan(2 * MEBIBYTE);
    expect(after.nodes - before.nodes).toBeLessThan(1500);
    expect(after.listeners - before.listeners).toBeLessThan(200);
    expect(Number(await page.locator('table').getAttribute('aria-rowcount'))).toBeLessThan(1000);
  });

  test('the charts do not grow', { timeout: 120_000 }, async () => {
    const { page } = await stage.visit('#/runtimes', {}, server.url);
    const { devtools, received } = await watchTraffic(page);
    await page.locator('.chart canvas').first().waitFor();
    // Ten minutes of points are kept: 600.
    const pointBytes = (await (await fetch(`${server.url}/api/v1/stats`)).text()).length;
    const wait = async (points: number): Promise<void> => {
      const target = received() + points * pointBytes;
      await expect.poll(received, { timeout: 60_000, interval: 100 }).toBeGreaterThan(target);
    };
    await wait(650);
    const before = await measure(devtools);
    await wait(600);
    const after = await measure(devtools);
    console.log(`charts: ${JSON.stringify({ before, after })}`);
    expect(after.heapBytes - before.heapBytes).toBeLessThan(2 * MEBIBYTE);
    expect(after.nodes - before.nodes).toBeLessThan(1500);
  });

  test('the log does not grow', { timeout: 120_000 }, async () => {
    const logs = new LogTail({ capacity: 2000 });
    const own = await serve({ client, provider: stage.demo.provider, logs, dashboard: stage.assets, port: 0, rateLimit: false });
    try {
      const { page } = await stage.visit('#/logs', {}, own.url);
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
      const { devtools } = await watchTraffic(page);
      let line = 0;
      const write = async (lines: number): Promise<void> => {
        for (const end = line + lines; line < end;) {
          for (let number = 0; number < 500; number += 1) logs.info({ instanceId: `i-${line}` }, `line ${(line += 1)} of the log`);
          await page.locator('.logs tr[data-index="0"]', { hasText: `line ${line} of` }).waitFor();
        }
      };
      await write(6000);
      const before = await measure(devtools);
      await write(20_000);
      const after = await measure(devtools);
      console.log(`log: ${JSON.stringify({ before, after })}`);
      expect(after.heapBytes - before.heapBytes).toBeLessThan(2 * MEBIBYTE);
      expect(after.nodes - before.nodes).toBeLessThan(1500);
    } finally {
      await stage.closePages();
      await own.close();
    }
  });

  test('an instance that is looked at takes what its history takes, and no more when others are', { timeout: 120_000 }, async () => {
    const { page } = await stage.visit('#/instances/order-1001', {}, server.url);
    const { devtools } = await watchTraffic(page);
    const goAround = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        for (const [place, text] of [
          ['#/instances/order-1001', 'order-1001'],
          ['#/instances/order-1000?tab=timeline', 'order-1000'],
          ['#/queues', 'Queues'],
          ['#/runtimes', 'Runtimes'],
          ['#/', 'Instances'],
        ] as const) {
          await page.goto(`${server.url}/${place}`);
          await page.locator('h1', { hasText: text }).waitFor();
        }
      }
    };
    await goAround(5);
    const before = await measure(devtools);
    await goAround(10);
    const after = await measure(devtools);
    console.log(`pages: ${JSON.stringify({ before, after })}`);
    expect(after.heapBytes - before.heapBytes).toBeLessThan(2 * MEBIBYTE);
    expect(after.nodes - before.nodes).toBeLessThan(3000);
    expect(after.listeners - before.listeners).toBeLessThan(300);
  });
});
