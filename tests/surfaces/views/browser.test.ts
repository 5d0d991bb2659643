// The views as the dashboard has them: bundled, in a page, with the same answers as in Node.
import { toHtmlReport, toMermaid, toNondeterminism, toTimeline, toTimeTravel } from 'duraloom/views';
import type * as Views from 'duraloom/views';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasBrowser, TestBrowser } from '../../support/browser.ts';
import { golden } from './kit.ts';

/** As one script, as a page would get them. */
async function bundle(): Promise<string> {
  const outcome = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      lib: { entry: fileURLToPath(new URL('../../../src/views.ts', import.meta.url)), formats: ['iife'], name: 'views' },
    },
  });
  const [first] = Array.isArray(outcome) ? outcome : [outcome];
  const chunk = first !== undefined && 'output' in first ? first.output[0] : undefined;
  if (chunk === undefined) throw new Error('nothing was built');
  return chunk.code;
}

describe('the bundle of the views', () => {
  let script = '';

  beforeAll(async () => {
    script = await bundle();
  }, 60_000);

  test('is small, and needs nothing of Node', () => {
    expect(script.length).toBeLessThan(80_000);
    expect(script).not.toMatch(/node:|require\(|process\./);
  });

  // Needs Chromium: the point is that the same code runs there. tests/support/browser.ts says how to get one.
  describe.skipIf(!hasBrowser)('in a page', () => {
    let browser: TestBrowser;

    beforeAll(async () => {
      browser = await TestBrowser.open();
    }, 60_000);

    afterAll(async () => {
      await browser.close();
    });

    test('gives the same as in Node', async () => {
      const history = golden('retries');
      const failure = { nondeterminism: { eventId: 2, recorded: 'A {}', emitted: 'B {}', location: null } };
      const state = {
        instanceId: 'i',
        name: 'n',
        version: '1.0.0',
        status: 'Running',
        executionId: 1,
        createdAt: 0,
        updatedAt: 1,
      } as const;
      const { page, complaints } = await browser.newPage();
      await page.addScriptTag({ content: script });
      const there = await page.evaluate(
        (given) => {
          const { views } = globalThis as unknown as { readonly views: typeof Views };
          return {
            timeline: views.toTimeline(given.history),
            moment: views.toTimeTravel(given.history).at(9),
            sequence: views.toMermaid(given.history),
            gantt: views.toMermaid(given.history, { kind: 'gantt' }),
            report: views.toHtmlReport(given),
            nondeterminism: views.toNondeterminism(given.failure, given.history),
          };
        },
        { history, failure, state },
      );
      expect(there).toEqual({
        timeline: toTimeline(history),
        moment: toTimeTravel(history).at(9),
        sequence: toMermaid(history),
        gantt: toMermaid(history, { kind: 'gantt' }),
        report: toHtmlReport({ state, history }),
        nondeterminism: toNondeterminism(failure, history),
      });
      expect(complaints).toEqual([]);
    });
  });
});
