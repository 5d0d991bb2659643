// Histories for tests of the views: random ones from real engines, long ones, and hostile ones.
import fc from 'fast-check';
import type { HistoryEvent } from 'duraloom';
import type { RecordedHistory } from 'duraloom/testing';
import { readdirSync, readFileSync } from 'node:fs';
import { cases, play } from '../../support/program-cases.ts';
import { historyOf, type Body } from '../../support/replay-harness.ts';
import * as body from '../../support/replay-harness.ts';

/** The histories of all executions of a random program, as they are stored. */
export const histories: fc.Arbitrary<Promise<readonly (readonly HistoryEvent[])[]>> = cases.map(async (one) => {
  const { executions } = await play(one);
  return executions.map((execution) => JSON.parse(JSON.stringify(historyOf(execution))) as HistoryEvent[]);
});

const goldenFolder = new URL('../../golden/0.1.0/', import.meta.url);

/** Histories of every kind of event, as they were recorded. */
export const goldenNames: readonly string[] = readdirSync(goldenFolder).map((file) => file.slice(0, -'.json'.length));

/** The first execution of a golden history. */
export function golden(name: string): readonly HistoryEvent[] {
  const { executions } = JSON.parse(readFileSync(new URL(`${name}.json`, goldenFolder), 'utf8')) as RecordedHistory;
  return executions[0]?.events ?? [];
}

/** Numbers bodies, an event a millisecond. */
export function timed(...bodies: readonly Body[]): readonly HistoryEvent[] {
  return bodies.map((fields, index) => ({ id: index + 1, atMs: body.T0 + index, ...fields })) as unknown as readonly HistoryEvent[];
}

/**
 * Makes a history of `events` events.
 *
 * @param shape - `sequence`: an activity after the other; `fanOut`: all at once; `mailbox`: events that are all there before they are taken;
 *   `waiters`: waits that are given up in the order in which they began
 */
export function longHistory(shape: 'sequence' | 'fanOut' | 'mailbox' | 'waiters', events: number): readonly HistoryEvent[] {
  const bodies: Body[] = [body.started()];
  const half = (events - 1) >> 1;
  for (let index = 0; index < half; index += 1) {
    if (shape === 'sequence') bodies.push(body.activityScheduled('work', { index }), body.activityCompleted(bodies.length + 1, { index }));
    if (shape === 'fanOut') bodies.push(body.activityScheduled('work', { index }));
    if (shape === 'mailbox') bodies.push(body.eventRaised('news', { index }));
    if (shape === 'waiters') bodies.push(body.eventAwaited('news'));
  }
  for (let index = 0; index < half; index += 1) {
    if (shape === 'fanOut') bodies.push(body.activityCompleted(index + 2));
    if (shape === 'mailbox') bodies.push(body.eventAwaited('news'));
    if (shape === 'waiters') bodies.push(body.futureCancelled(index + 2));
  }
  return timed(...bodies);
}

/** Text that tries to leave the place where it is shown: quotes, markup, Mermaid's own signs, controls, other scripts, any text at all. */
export const hostileTexts: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '"><script>globalThis.pwned = 1</script>',
    `' onmouseover='globalThis.pwned = 1`,
    '<img src=http://pwned.invalid/x onerror="globalThis.pwned = 1">',
    '</style></title></pre></svg><script>globalThis.pwned = 1</script>',
    '--><svg onload="globalThis.pwned = 1">',
    'javascript:globalThis.pwned=1',
    '%%{init: {"theme": "dark"}}%%',
    '%% a comment',
    '---\ntitle: x\n---',
    'a\nO->>C: forged',
    'a\r\n  section forged',
    'a; O->>C: forged',
    'end',
    'participant x as y',
    'wrap: text',
    'style x fill:#fff;',
    'classDef x fill:#f9f;',
    'section s',
    'title t',
    'dateFormat YYYY',
    'click e2 href "javascript:1"',
    'note over O: x',
    'loop',
    '#quot;#60;b#62;',
    '#',
    ':::',
    '`**bold**`',
    '$$x^2$$',
    'a --> b',
    '\u202Etxt.exe\u2028\u0000\u0007',
    '\uD800 half',
    '\u{1F469}\u200D\u{1F52C} наука 科学 علم',
    '',
    ' ',
    '__proto__',
    'x'.repeat(5_000),
    '科'.repeat(5_000),
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: fc.constantFrom(...Array.from('%;:#<>"\'`{}[]()-+=\\/|&\n\r\t$@~^* aend')), maxLength: 40 }),
);

/** A history in which every name and payload is one of the texts. */
export function hostileHistory(texts: readonly string[]): readonly HistoryEvent[] {
  let next = 0;
  const text = (): string => {
    next += 1;
    return texts[(next - 1) % texts.length] ?? '';
  };
  const failure = { name: text(), message: text(), code: text(), stack: text() };
  const parent = { instanceId: text(), executionId: 1, eventId: 2 };
  return timed(
    body.started({ name: text(), version: text(), input: { [text()]: text() }, parent, customStatus: text() }),
    body.activityScheduled(text(), text(), { tag: text(), sessionId: text() }),
    body.activityFailed(2, failure),
    body.activityScheduled(text(), { [text()]: [text()] }),
    body.activityCompleted(4, text()),
    body.eventAwaited(text()),
    body.eventRaised(text(), text()),
    body.futureCancelled(6),
    body.timerCreated(1e300),
    body.topicSubscribed(text()),
    body.topicReceived(text(), text()),
    body.eventAwaited(`duraloom:topic:${text()}`),
    body.topicPublished(text(), text()),
    body.topicUnsubscribed(text()),
    body.childScheduled(text(), text(), text()),
    body.childFailed(15, failure),
    body.startRequested(text(), text(), text(), text()),
    body.statusSet({ [text()]: text() }),
    body.valueSet(text(), text()),
    body.valueSet(text(), { [text()]: text() }),
    body.valueDeleted(text()),
    body.sessionMessageSent(text(), text()),
    body.patched(text()),
    body.activityScheduled(text(), text()),
    body.cancelRequested(text()),
  );
}
