// The HTML report: bounded, the same without scripts, and safe whatever it shows, in a real browser.
import { toHtmlReport, type ReportInput, type ReportState, type ReportTree } from 'duraloom/views';
import { Client, Runtime, type HistoryEvent } from 'duraloom';
import { MemoryProvider } from 'duraloom/memory';
import fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { nondeterminismError } from '../../../src/replay/engine-errors.ts';
import { hasBrowser, TestBrowser, type WatchedPage } from '../../support/browser.ts';
import {
  activityCompleted,
  activityScheduled,
  childScheduled,
  completed,
  eventAwaited,
  eventRaised,
  orchestration,
  started,
  statusSet,
  T0,
  timerCreated,
  valueSet,
} from '../../support/replay-harness.ts';
import { fcParameters, seeded } from '../../support/seed.ts';
import { golden, goldenNames, hostileHistory, hostileTexts, longHistory, timed } from './kit.ts';

const state: ReportState = {
  instanceId: 'order-1',
  name: 'order',
  version: '1.2.0',
  status: 'Running',
  executionId: 1,
  parentInstanceId: null,
  createdAt: new Date(T0),
  updatedAt: new Date(T0 + 90_000),
};

const running = timed(
  started({ name: 'order', input: { item: 'book' } }),
  activityScheduled('charge', 12),
  activityCompleted(2, 'paid'),
  statusSet({ step: 'shipping' }),
  valueSet('tracking', 'T-1'),
  childScheduled('ship', 'ship-1'),
  timerCreated(T0 + 60_000),
  eventRaised('hurry', 1),
);

/** Everything that a report can show. */
const full: ReportInput = {
  state: { ...state, customStatus: { step: 'shipping' }, parentInstanceId: 'shop' },
  history: running,
  activities: [{ eventId: 9, name: 'pack', attempt: 2, isRunning: true, tag: 'eu', sessionId: 's', heartbeat: { done: 3 } }],
  tree: {
    instanceId: 'order-1',
    name: 'order',
    status: 'Running',
    children: [{ instanceId: 'ship-1', name: 'ship', status: 'Quarantined', children: [] }],
  },
};

const diverged = nondeterminismError(
  { name: 'order', instanceId: 'order-1', executionId: 1, lastCall: 'none' },
  { eventId: 2, recorded: running[1], emitted: 'TimerCreated {}', location: 'at order (file:///app/order.ts:3:9)' },
);

/** A tree of so many levels. */
function deepTree(levels: number): ReportTree {
  let tree: ReportTree = { instanceId: 'leaf', name: 'n', status: 'Completed', children: [] };
  for (let level = 0; level < levels; level += 1) tree = { instanceId: `level-${level}`, name: 'n', status: 'Running', children: [tree] };
  return tree;
}

describe('a report', () => {
  const text = toHtmlReport(full);

  test('has the instance, what it waits for, its values, children and activities, and every event', () => {
    for (const part of [
      '<title>order-1: order, Running</title>',
      'Parent',
      'child &#39;ship-1&#39; (ship)',
      'a timer at 1970-01-01T00:01:01.000Z',
      '1 received and not taken yet',
      '&quot;step&quot;: &quot;shipping&quot;',
      '<summary>tracking</summary>',
      'running, attempt 2',
      'tag eu, session s',
      '&quot;done&quot;: 3',
      'ship-1 (ship)',
      '&quot;item&quot;: &quot;book&quot;',
      'ActivityScheduled',
    ]) {
      expect(text).toContain(part);
    }
    expect(text.match(/<td class="kind">/g)).toHaveLength(8);
  });

  test('has nothing that loads, and no script', () => {
    expect(text).not.toMatch(/<script|<link|<img|<iframe|<object|<form|\bsrc=|\bhref=|url\(|@import/i);
  });

  test('takes a state that was read from JSON', () => {
    expect(toHtmlReport({ ...full, state: JSON.parse(JSON.stringify(full.state)) as ReportState })).toBe(text);
  });

  test('shows recorded beside emitted decision', () => {
    const report = toHtmlReport({ state: { ...state, status: 'Quarantined', error: diverged }, history: running });
    expect(report).toContain('<span class="history">- 2 ActivityScheduled {name: &quot;charge&quot;, input: 12}</span>');
    expect(report).toContain('<span class="code">+ 2 TimerCreated {} (at order (file:///app/order.ts:3:9))</span>');
    expect(report).toContain('In the code: <code>at order (file:///app/order.ts:3:9)</code>');
    expect(report).toContain('NONDETERMINISM: orchestration');
  });

  test('of an instance without events, and of one that has ended, says so', () => {
    expect(toHtmlReport({ state: { ...state, status: 'Pending', version: null }, history: [] })).toContain('Nothing has happened yet.');
    const ended = toHtmlReport({
      state: { ...state, status: 'Failed', error: { name: 'Error', message: 'no', code: 'LOST' }, result: 5 },
      history: timed(started(), completed(5)),
    });
    expect(ended).toContain('LOST: no');
    expect(ended).not.toContain('Waits for');
    expect(toHtmlReport({ state: { ...state, status: 'Terminated' }, history: running })).not.toContain('Waits for');
  });

  test('of an instance of a real runtime has what the client gives', async () => {
    const provider = new MemoryProvider();
    const orchestrations = orchestration('wait', async (ctx) => await ctx.waitForEvent('go'));
    const runtime = await Runtime.start({ provider, orchestrations, replayThreads: 0 });
    onTestFinished(async () => {
      await runtime.shutdown();
      await provider.close();
    });
    const client = new Client(provider);
    const handle = await client.startOrchestration('wait-1', 'wait');
    await handle.raiseEvent('go', 'now');
    await handle.result({ timeout: '20s' });
    const report = toHtmlReport({
      state: await handle.state(),
      history: await client.readHistory('wait-1'),
      activities: await client.listActivities('wait-1'),
    });
    expect(report).toContain('<h1>wait-1</h1>');
    expect(report).toContain('<strong class="status Completed">Completed</strong>');
    expect(report).toContain('event go');
  });

  test.each(goldenNames)('of the golden history %s has a line for each event', (name) => {
    const history = golden(name);
    expect(toHtmlReport({ state, history }).match(/<td class="kind">/g)).toHaveLength(history.length);
  });

  test('of 50,000 events is bounded and says what is left out', () => {
    const report = toHtmlReport({ state, history: longHistory('sequence', 50_001) });
    expect(report.length).toBeLessThan(2_000_000);
    expect(report).toContain('The middle is left out: 49001 of kind event, events 501 to 49501.');
    expect(report).toContain('The middle is left out: 24000 of kind span, events 1002 to 49000.');
    expect(toHtmlReport({ state, history: longHistory('sequence', 51), maxItems: 10 })).toContain('41 of kind event, events 6 to 46');
  });

  test('with huge payloads is bounded and says what is left out', () => {
    const large = 'x'.repeat(1_000_000);
    const bodies = Array.from({ length: 300 }, () => eventRaised('news', large));
    const report = toHtmlReport({ state: { ...state, customStatus: large }, history: timed(started(), ...bodies) });
    expect(report.length).toBeLessThan(6_000_000);
    expect(report).toMatch(/<p class="left-out">9\d{5} more characters are left out<\/p>/);
    expect(report).toContain('Event 301 as JSON: left out, the report is full');
  });

  test('with many waits, attempts, activities and children is bounded', () => {
    const waits = timed(started(), ...Array.from({ length: 5_000 }, () => eventAwaited('never')));
    const activities = Array.from({ length: 5_000 }, () => ({
      eventId: 2,
      name: 'a',
      attempt: 0,
      isRunning: false,
      tag: null,
      sessionId: null,
    }));
    const children = Array.from({ length: 5_000 }, () => deepTree(0));
    const report = toHtmlReport({ state, history: waits, activities, tree: { ...deepTree(0), children } });
    expect(report.length).toBeLessThan(3_000_000);
    expect(report).toContain('4900 more are left out');
    expect(report).toContain('4501 more are left out');
    expect(toHtmlReport({ state, history: [], tree: deepTree(50_000) })).toContain('level-49990');
  });

  test.each([0, 10_001, 1.5, Number.NaN])('refuses %s items', (maxItems) => {
    expect(() => toHtmlReport({ ...full, maxItems })).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }));
  });

  test('refuses a time that is none', () => {
    const wrong = { ...full, state: { ...state, createdAt: 'yesterday' } };
    expect(() => toHtmlReport(wrong)).toThrow('Expected `createdAt` to be a valid Date');
  });
});

// Needs Chromium: what a page runs and loads is shown by a browser only. tests/support/browser.ts says how to get one.
describe.skipIf(!hasBrowser)(seeded('a report in a browser'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-report-'));
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  let browser: TestBrowser;

  beforeAll(async () => {
    browser = await TestBrowser.open();
  }, 60_000);

  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await browser.close();
  });

  async function show(input: ReportInput, options: Parameters<TestBrowser['newPage']>[0] = {}): Promise<WatchedPage> {
    const path = join(folder, 'report.html');
    writeFileSync(path, toHtmlReport(input));
    const watched = await browser.newPage(options);
    onTestFinished(watched.close);
    await watched.page.goto(pathToFileURL(path).href);
    return watched;
  }

  const hostile = (texts: readonly string[]): ReportInput => {
    const at = (index: number): string => texts[index % texts.length] ?? '';
    return {
      state: {
        ...state,
        instanceId: at(0),
        name: at(1),
        version: at(2),
        status: 'Failed',
        customStatus: { [at(3)]: at(4) },
        error: { name: at(5), message: at(6), code: at(7), stack: at(8) },
        parentInstanceId: at(9),
      },
      history: hostileHistory(texts),
      activities: [{ eventId: 1, name: at(1), attempt: 1, isRunning: true, tag: at(2), sessionId: at(3), heartbeat: at(4) }],
      tree: { instanceId: at(0), name: at(1), status: 'Running', children: [] },
    };
  };

  test('runs nothing and asks for nothing, whatever it shows', async () => {
    const samples = fc.sample(fc.array(hostileTexts, { minLength: 1, maxLength: 60 }), fcParameters({ numRuns: 5 }));
    for (const texts of samples) {
      const { page, requests, complaints, close } = await show(hostile(texts));
      await page.locator('summary').evaluateAll((all) => {
        for (const summary of all) (summary as unknown as { click(): void }).click();
      });
      // Nothing but what the report wrote itself became markup.
      const foreign = 'script, img, iframe, object, embed, link, form, a, [onerror], [onload], [onmouseover], [href], [src]';
      expect(await page.locator(foreign).count()).toBe(0);
      expect(await page.evaluate(() => Reflect.get(globalThis, 'pwned') as unknown)).toBeUndefined();
      expect([requests, complaints]).toEqual([[], []]);
      await close();
    }
  });

  test('forbids scripts and requests by its own policy, should anything get through', async () => {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      response.setHeader('access-control-allow-origin', '*').end('hello');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    /** Asks for something in each of two ways. */
    const ask = (page: WatchedPage['page']): Promise<string> =>
      page.evaluate(async (to) => {
        type Image = { src: string; addEventListener(name: string, listener: () => void): void };
        const world = globalThis as unknown as {
          readonly document: { readonly body: { innerHTML: string } };
          readonly Image: new () => Image;
        };
        world.document.body.innerHTML = '<svg onload="globalThis.pwned = 1"></svg>';
        await new Promise<void>((resolve) => {
          const image = new world.Image();
          image.addEventListener('load', resolve);
          image.addEventListener('error', resolve);
          image.src = `${to}/image`;
        });
        return await fetch(`${to}/fetch`).then(
          () => 'fetched',
          () => 'refused',
        );
      }, url);
    const { page } = await show(full);
    expect(await ask(page)).toBe('refused');
    expect(await page.evaluate(() => Reflect.get(globalThis, 'pwned') as unknown)).toBeUndefined();
    expect(asked).toEqual([]);
    // The server is there: a page without the policy gets to it.
    const open = await show(full, { bypassCSP: true });
    expect(await ask(open.page)).toBe('fetched');
    expect(asked).toEqual(['/image', '/fetch']);
  });

  test('is the same with scripts switched off: sections, waterfall, and payloads that open', async () => {
    const { page } = await show({ ...full, history: golden('retries') }, { javaScriptEnabled: false });
    expect(await page.getByRole('heading', { level: 2 }).allTextContents()).toEqual([
      'Waterfall',
      'Queued and running activities',
      'Children',
      'Events',
    ]);
    // One bar for each attempt: three, one, one, two, one, the timer and one.
    expect(await page.locator('svg rect').count()).toBe(10);
    const bar = await page.locator('svg rect').first().boundingBox();
    expect(bar?.width).toBeGreaterThanOrEqual(2);
    const payload = page.getByText('Event 2 as JSON');
    const json = page.locator('details', { has: payload }).locator('pre');
    expect(await json.isVisible()).toBe(false);
    await payload.click();
    expect(await json.isVisible()).toBe(true);
  });

  test('fits a phone: only tables and the waterfall scroll sideways', async () => {
    const { page } = await show(hostile(['x'.repeat(5_000), '<b>']), { viewport: { width: 360, height: 700 } });
    const width = await page.evaluate(() => {
      const { document } = globalThis as unknown as { readonly document: { readonly documentElement: { readonly scrollWidth: number } } };
      return document.documentElement.scrollWidth;
    });
    expect(width).toBe(360);
  });

  const inputs: Readonly<Record<string, ReportInput>> = {
    running: full,
    quarantined: { ...full, state: { ...state, status: 'Quarantined', error: diverged } },
    retries: { state: { ...state, status: 'Completed', result: 1 }, history: golden('retries'), maxItems: 20 },
    empty: { state: { ...state, status: 'Pending' }, history: [] },
  };

  test.each(Object.keys(inputs).flatMap((name) => (['light', 'dark'] as const).map((scheme) => [name, scheme] as const)))(
    'is readable by a screen reader and in contrast: %s, %s',
    async (name, colorScheme) => {
      const input = inputs[name];
      if (input === undefined) throw new Error(`no input ${name}`);
      // Axe is a script: the page's policy must not be asked.
      const { page } = await show(input, { colorScheme, bypassCSP: true });
      await page.locator('details').evaluateAll((all) => {
        for (const details of all) (details as unknown as { open: boolean }).open = true;
      });
      await page.evaluate(axe);
      const violations = await page.evaluate(async () => {
        type Result = { readonly id: string; readonly impact: string; readonly nodes: readonly { readonly html: string }[] };
        const world = globalThis as unknown as { readonly axe: { run(): Promise<{ readonly violations: readonly Result[] }> } };
        const { violations: found } = await world.axe.run();
        return found.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0]?.html ?? ''}`);
      });
      expect(violations).toEqual([]);
    },
  );

  test('of 50,000 events is shown in time', async () => {
    const history: readonly HistoryEvent[] = longHistory('sequence', 50_001);
    const before = performance.now();
    const { page } = await show({ state, history });
    expect(await page.locator('td.kind').count()).toBe(1_000);
    expect(performance.now() - before).toBeLessThan(15_000);
  });
});
