// Writes the pictures of the dashboard in docs/images: `npm run screenshots`. Needs Chromium; CHROMIUM names another executable.
// Neighbours: demo-store/ (what is in the pictures), build-dashboard.ts.
import { mkdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { buildDashboard } from './build-dashboard.ts';
import { openDemoStore, type DemoStore } from './demo-store/demo-store.ts';

/** A picture. */
type Shot = {
  readonly name: string;
  readonly place: string;
  /** What must be on the page before. */
  readonly marker: string;
  readonly theme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
};

const FOLDER = join(dirname(import.meta.dirname), 'docs', 'images');
const STORE_URL = new URL('demo-store', import.meta.url).href;
/** Largest picture. Reason: they are part of the repository. */
const MAX_BYTES = 150_000;
/** How long the runtimes work before their charts are taken. */
const WORK_MS = 25_000;

const SHOTS: readonly Shot[] = [
  { name: 'instances', place: '#/', marker: 'tr[data-index="0"]' },
  { name: 'instances-dark', place: '#/', marker: 'tr[data-index="0"]', theme: 'dark' },
  { name: 'waiting', place: '#/instances/order-1001', marker: '.waits li' },
  { name: 'missing-worker', place: '#/instances/film-1', marker: '.has-problem' },
  { name: 'timeline', place: '#/instances/order-1000?tab=timeline', marker: '.bar' },
  { name: 'time-travel', place: '#/instances/order-1000?tab=travel&event=14', marker: '.answer' },
  { name: 'nondeterminism', place: '#/instances/renewal-7', marker: '.sides', height: 680 },
  { name: 'queues', place: '#/queues?queue=worker', marker: 'tr[data-index="0"]' },
  { name: 'phone', place: '#/instances/order-1001', marker: '.waits li', width: 390, height: 844 },
];

const RUNTIMES: Shot = { name: 'runtimes', place: '#/runtimes', marker: '.chart canvas', height: 900 };

async function take(
  browser: Browser,
  url: string,
  { name, place, marker, theme = 'light', width = 1280, height = 760 }: Shot,
): Promise<void> {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' });
  await page.goto(`${url}/${place}`);
  await page.locator(marker).first().waitFor();
  await page.waitForLoadState('load');
  const path = join(FOLDER, `${name}.png`);
  if (name === RUNTIMES.name) await page.waitForTimeout(WORK_MS);
  // Where the repository lies on this machine is nobody's business.
  await page.evaluate(`for (const walker = document.createTreeWalker(document.body, 4); walker.nextNode(); )
    walker.currentNode.nodeValue = walker.currentNode.nodeValue.replaceAll(${JSON.stringify(STORE_URL)}, 'file:///app')`);
  await page.screenshot({ path });
  await page.close();
  const { size } = statSync(path);
  console.log(`${name}.png ${Math.round(size / 1000)} kB`);
  if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MAX_BYTES}: show less`);
}

/** Gives the charts something to show. */
async function work({ client }: DemoStore, stop: AbortSignal): Promise<void> {
  for (let round = 0; !stop.aborted; round += 1) {
    const requests = Array.from({ length: 5 + Math.round(20 * Math.abs(Math.sin(round / 40))) }, (_, index) => ({
      instanceId: `work-${round}-${index}`,
      orchestration: 'ping',
      input: 'hello',
    }));
    await client.startOrchestrations(requests);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const folder = await mkdtemp(join(tmpdir(), 'duraloom-screenshots-'));
const assets = join(folder, 'dashboard');
await buildDashboard(assets);
mkdirSync(FOLDER, { recursive: true });
const demo = await openDemoStore(folder, assets);
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  for (const shot of SHOTS) await take(browser, demo.server.url, shot);
  const stop = new AbortController();
  const working = work(demo, stop.signal);
  await take(browser, (await demo.serve({ pollMs: 1000 })).url, RUNTIMES);
  stop.abort();
  await working;
} finally {
  await browser.close();
  await demo.close();
  await rm(folder, { recursive: true, force: true });
}
