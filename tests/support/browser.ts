// A real browser for tests: Chromium, headless, with a fresh profile that goes away with it. Used by tests of pages.
//
// Where there is none, suites skip themselves: `describe.skipIf(!hasBrowser)`, with the reason in a comment on the line above, and this file
// says so once in the output. CHROMIUM names another executable; the path of none switches these tests off.
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core';

/** Besides those that Playwright passes. Nothing may go out: no updates, no safe browsing, no metrics. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const named = process.env['CHROMIUM'];
const candidates =
  named === undefined || named === '' ? ['/usr/bin/chromium', '/usr/bin/chromium-browser', chromium.executablePath()] : [named];

/** Path of the browser; null: there is none on this machine. */
const browserPath: string | null = candidates.find((path) => existsSync(path)) ?? null;

/** False: tests in a browser are skipped. */
export const hasBrowser: boolean = browserPath !== null;

if (!hasBrowser) console.log('tests in a browser are skipped: no Chromium here. Install Debian’s `chromium`, or set CHROMIUM to its path');

/** A page, and what it did behind its back. */
export type WatchedPage = {
  readonly page: Page;
  /** URLs that the page asked for besides its own address, also those that were refused. */
  readonly requests: readonly string[];
  /** Errors that nothing caught, and what was written to the console as an error or a warning. */
  readonly complaints: readonly string[];
  /** Closes the page with its cookies and storage. */
  readonly close: () => Promise<void>;
};

/** A running browser. Close it in `afterAll`. */
export class TestBrowser {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  /**
   * Starts the browser.
   *
   * @returns the browser, with a fresh profile that goes away with it
   * @throws {Error} when there is none: skip the suite with `hasBrowser`
   */
  static async open(): Promise<TestBrowser> {
    if (browserPath === null) throw new Error('there is no browser on this machine: skip the suite with `hasBrowser`');
    return new TestBrowser(await chromium.launch({ executablePath: browserPath, headless: true, args: FLAGS }));
  }

  /**
   * Opens an empty page in a context of its own: no other page shares its cookies and storage.
   *
   * @param options - of Playwright's context, such as `colorScheme`, `viewport`, `javaScriptEnabled`
   * @returns the page
   */
  async newPage(options: BrowserContextOptions = {}): Promise<WatchedPage> {
    const context: BrowserContext = await this.#browser.newContext(options);
    const page = await context.newPage();
    const requests: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => {
      if (!(request.isNavigationRequest() && request.frame() === page.mainFrame())) requests.push(request.url());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    return { page, requests, complaints, close: () => context.close() };
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
