// Mermaid text: bounded, without a way out for names, and taken by the real Mermaid in a real browser.
import { toMermaid, type MermaidOptions } from 'duraloom/views';
import type { HistoryEvent } from 'duraloom';
import fc from 'fast-check';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  activityCompleted,
  activityFailed,
  activityScheduled,
  continuedAsNew,
  eventAwaited,
  futureCancelled,
  childScheduled,
  started,
  T0,
  timerCreated,
  timerFired,
} from '../../support/replay-harness.ts';
import { hasBrowser, TestBrowser, type WatchedPage } from '../../support/browser.ts';
import { fcParameters, seeded } from '../../support/seed.ts';
import { golden, goldenNames, histories, hostileHistory, hostileTexts, longHistory, timed } from './kit.ts';

const KINDS = ['sequence', 'gantt'] as const;

const order = timed(
  started({ name: 'order' }),
  activityScheduled('charge'),
  activityFailed(2, { name: 'Error', message: 'no', code: 'DECLINED' }),
  activityScheduled('charge', undefined, { attempt: 2 }),
  activityCompleted(4),
  timerCreated(T0 + 65),
  childScheduled('ship', 'order-1::1.7'),
  eventAwaited('paid'),
  timerFired(6),
  futureCancelled(8),
  continuedAsNew(),
);

describe('Mermaid', () => {
  test('shows who asked whom', () => {
    expect(toMermaid(order)).toBe(`sequenceDiagram
  participant C as client
  participant O as order 1.0.0
  participant P1 as activity charge
  participant P2 as child ship
  C->>O: start
  O->>P1: 2 charge
  P1--xO: 2 failed after 1 ms, DECLINED
  O->>P1: 4 charge, attempt 2
  P1-->>O: 4 done after 1 ms
  Note over O: 6 timer of 60 ms
  O->>P2: 7 start order-1#58;#58;1.7
  Note over O: 8 waits for event paid
  Note over O: 6 timer fired
  Note over O: 8 gives up on event paid
  O->>O: continues as new after 10 ms
`);
  });

  test('shows when what ran', () => {
    expect(toMermaid(order, { kind: 'gantt', title: 'An order' })).toBe(`gantt
  title An order
  dateFormat x
  axisFormat %H:%M:%S
  section execution
  continuedAsNew :active, e1, 1000, 1010
  section activities
  2 charge, 2 attempts :done, e2, 1001, 1004
  section children
  7 ship order-1#58;#58;1.7 (open) :active, e7, 1006, 1010
  section timers
  6 timer of 60 ms :done, e6, 1005, 1008
  section events
  8 paid (cancelled) :e8, 1007, 1009
`);
  });

  test.each(KINDS)('of nothing is a diagram, too: %s', (kind) => {
    expect(toMermaid([], { kind })).toContain('nothing has happened yet');
  });

  test('says of long histories what is left out of the middle', () => {
    const history = longHistory('sequence', 1_001);
    const sequence = toMermaid(history, { maxItems: 10 });
    expect(sequence).toContain('Note over O: 991 events left out here, 6 to 996');
    expect(sequence.split('\n')).toHaveLength(16);
    const gantt = toMermaid(history, { kind: 'gantt', maxItems: 1 });
    expect(gantt).toContain('title test 1.0.0, 499 bars left out, 4 to 1000');
  });

  test('shows so many columns only, and further names in one', () => {
    const names = Array.from({ length: 20 }, (_, index) => `a${index}`);
    const sequence = toMermaid(timed(started(), ...names.map((name) => activityScheduled(name)), childScheduled('c', 'i')));
    expect(sequence.match(/participant/g)).toHaveLength(16);
    expect(sequence).toContain('participant P13 as other activities\n  participant P14 as other children');
    expect(sequence).toContain('O->>P13: 21 a19');
  });

  test.each([
    [{ kind: 'pie' }, 'kind'],
    [{ maxItems: 0 }, 'maxItems'],
    [{ maxItems: 2_001 }, 'maxItems'],
    [{ maxItems: 1.5 }, 'maxItems'],
    [{ title: 7 }, 'title'],
    [null, 'options'],
  ])('refuses %j', (options, what) => {
    expect(() => toMermaid(order, options as MermaidOptions)).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID', message: expect.stringContaining(what) as unknown }),
    );
  });
});

/** Lines as this program writes them; what comes from outside is `NAME`. */
const NAME = String.raw`(?:[\p{L}\p{N} .,/()+_…-]|#\d+;)+`;
const FORMS: Readonly<Record<(typeof KINDS)[number], RegExp>> = {
  sequence: new RegExp(
    `^(?:sequenceDiagram|  participant [COP]\\d* as ${NAME}|  [COP]\\d*(?:->>|-->>|--x|-x|-\\))[COP]\\d*: ${NAME}|  Note over O: ${NAME}|)$`,
    'u',
  ),
  gantt: new RegExp(
    `^(?:gantt|  title ${NAME}|  dateFormat x|  axisFormat [%a-zA-Z :-]+|  section [a-z]+|  (?:\\d+ )?${NAME} :(?:(?:active|done|crit), )?e\\d+, \\d+, \\d+|)$`,
    'u',
  ),
};

const hostileCases = fc
  .array(hostileTexts, { minLength: 1, maxLength: 40 })
  .map((texts) => ({ title: texts[0] ?? '', history: hostileHistory(texts) }));

describe(seeded('Mermaid text with hostile names'), () => {
  test.each(KINDS)('has only lines of known forms, and ends in time: %s', (kind) => {
    fc.assert(
      fc.property(hostileCases, ({ title, history }) => {
        for (const text of [toMermaid(history, { kind }), toMermaid(history, { kind, title })]) {
          expect(text.split('\n').filter((line) => !FORMS[kind].test(line))).toEqual([]);
          expect(text.length).toBeLessThan(48_000);
        }
      }),
      fcParameters({ numRuns: 200 }),
    );
  });

  test.each(KINDS)('stays below what Mermaid takes, however long: %s', (kind) => {
    const bodies = Array.from({ length: 3_000 }, (_, index) => activityScheduled(`${'𠀀'.repeat(80)}${index}`));
    const text = toMermaid(timed(started(), ...bodies), { kind, maxItems: 2_000 });
    expect(text.length).toBeGreaterThan(10_000);
    expect(text.length).toBeLessThan(50_000);
  });
});

// Needs Chromium: Mermaid measures text in a page. tests/support/browser.ts says how to get one.
describe.skipIf(!hasBrowser)(seeded('the real Mermaid'), () => {
  let browser: TestBrowser;
  let watched: WatchedPage;

  beforeAll(async () => {
    browser = await TestBrowser.open();
    watched = await browser.newPage();
    await watched.page.setContent('<!doctype html><title>Mermaid</title><div id="here"></div>');
    await watched.page.addScriptTag({ path: createRequire(import.meta.url).resolve('@mermaid-js/tiny') });
  }, 60_000);

  afterAll(async () => {
    await browser.close();
  });

  /** Draws, and gives the kind and the visible text of the picture, or the error. */
  async function draw(
    texts: readonly string[],
  ): Promise<readonly { readonly type: string; readonly text: string; readonly error: string | null }[]> {
    return await watched.page.evaluate(async (all) => {
      type Mermaid = {
        initialize(options: object): void;
        parse(text: string): Promise<{ readonly diagramType: string }>;
        render(id: string, text: string): Promise<{ readonly svg: string }>;
      };
      type Node = { innerHTML: string; readonly textContent: string };
      const world = globalThis as unknown as { readonly mermaid: Mermaid; readonly document: { getElementById(id: string): Node } };
      world.mermaid.initialize({ startOnLoad: false });
      const here = world.document.getElementById('here');
      const results: { type: string; text: string; error: string | null }[] = [];
      for (const [index, text] of all.entries()) {
        try {
          const { diagramType } = await world.mermaid.parse(text);
          here.innerHTML = (await world.mermaid.render(`d${index}`, text)).svg;
          results.push({ type: diagramType, text: here.textContent, error: null });
        } catch (error) {
          results.push({ type: 'none', text: '', error: `${String(error)}\n${text}` });
        }
      }
      return results;
    }, texts);
  }

  async function drawAll(all: readonly (readonly HistoryEvent[])[], options: MermaidOptions = {}): Promise<void> {
    const texts = all.flatMap((history) => KINDS.map((kind) => toMermaid(history, { ...options, kind })));
    const results = await draw(texts);
    expect(results.map(({ type, error }) => error ?? type)).toEqual(all.flatMap(() => KINDS));
  }

  test('takes the diagrams of all golden histories', async () => {
    await drawAll([[], ...goldenNames.map(golden)]);
  });

  test('takes diagrams of random histories and of long ones', async () => {
    const given = await Promise.all(fc.sample(histories, fcParameters({ numRuns: 10 })));
    await drawAll(given.flat().slice(0, 20), { maxItems: 40 });
    await drawAll([longHistory('fanOut', 10_001)]);
  });

  test('shows names as they are, whatever they are, and runs and asks for nothing', async () => {
    const samples = fc.sample(hostileCases, fcParameters({ numRuns: 15 }));
    for (const { title, history } of samples) await drawAll([history], { title });
    const names = ['a;b#c:d"e<b>f</b>%%{init}%%', 'end', 'loop', "it's `x` & $y$", 'наука 科学'];
    for (const name of names) {
      const history = timed(started({ name }), activityScheduled(name), eventAwaited(name));
      const results = await draw(KINDS.map((kind) => toMermaid(history, { kind, title: name })));
      // As title or participant, for the activity, and for the event.
      for (const { text } of results) expect(text.split(name).length - 1).toBeGreaterThanOrEqual(3);
    }
    expect(await watched.page.evaluate(() => Reflect.get(globalThis, 'pwned') as unknown)).toBeUndefined();
    expect(watched.requests).toEqual([]);
    expect(watched.complaints).toEqual([]);
  });
});
