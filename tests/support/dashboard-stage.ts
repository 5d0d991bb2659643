// The dashboard over a real store, runtime and server, in a real browser. Neighbours: browser.ts, scripts/demo-store, tests/surfaces/dashboard.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import axe, { type AxeResults } from 'axe-core';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { openDemoStore, type DemoStore } from '../../scripts/demo-store/demo-store.ts';
import { TestBrowser, type WatchedPage } from './browser.ts';

const run = promisify(execFile);
const root = new URL('../..', import.meta.url).pathname;
const ASSETS = 'dashboard';

/**
 * Bundles the dashboard.
 *
 * @param folder - where to
 */
export async function buildInto(folder: string): Promise<void> {
  await run(process.execPath, [join(root, 'scripts/build-dashboard.ts'), folder]);
}

/** Everything that a test of the dashboard needs. Close it in `afterAll`. */
export class DashboardStage {
  readonly demo: DemoStore;
  /** The folder with the bundled dashboard. */
  readonly assets: string;
  readonly #browser: TestBrowser;
  readonly #folder: string;
  readonly #open = new Set<WatchedPage>();

  private constructor(demo: DemoStore, browser: TestBrowser, folder: string) {
    this.demo = demo;
    this.assets = join(folder, ASSETS);
    this.#browser = browser;
    this.#folder = folder;
  }

  /**
   * Bundles, fills a store, starts runtime, server and browser.
   *
   * @returns the stage
   */
  static async open(): Promise<DashboardStage> {
    const folder = await mkdtemp(join(tmpdir(), 'duraloom-dashboard-'));
    const assets = join(folder, ASSETS);
    await buildInto(assets);
    return new DashboardStage(await openDemoStore(folder, assets), await TestBrowser.open(), folder);
  }

  /**
   * Opens a place of the dashboard in a page of its own.
   *
   * @param place - such as `#/queues`
   * @param options - of the browser's context
   * @param url - of another server than that of the demo
   * @returns the page, loaded
   */
  async visit(place: string, options: BrowserContextOptions = {}, url: string = this.demo.server.url): Promise<WatchedPage> {
    const watched = await this.#browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
    this.#open.add(watched);
    watched.page.setDefaultTimeout(15_000);
    await watched.page.goto(`${url}/${place}`);
    return watched;
  }

  /** Closes the pages that are open: call it after each test. */
  async closePages(): Promise<void> {
    for (const page of this.#open) await page.close();
    this.#open.clear();
  }

  async close(): Promise<void> {
    await this.closePages();
    await this.#browser.close();
    await this.demo.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Looks for what keeps people from using a page.
 *
 * @param page - as it is now
 * @returns one line for each serious or critical finding
 */
export async function findBarriers(page: Page): Promise<readonly string[]> {
  // Evaluated, not added as a script: the policy of the page forbids those.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary ?? ''}`).join(' | ')}`,
    );
}
