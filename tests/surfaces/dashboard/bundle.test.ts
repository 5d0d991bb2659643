// What is shipped: small, whole, and alone in the world. And the parts of the dashboard that need no browser.
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EventParser } from '../../../dashboard/lib/event-parser.ts';
import { countConditions, parseAttributes, readFilter, toConditions, toQuery } from '../../../dashboard/lib/filter.ts';
import { formatDuration, formatRelative, plural } from '../../../dashboard/lib/format.ts';
import { dashboardFolder } from '../../../src/surfaces/dashboard/assets.ts';
import { buildInto } from '../../support/dashboard-stage.ts';

/** Of all scripts together, compressed. */
const MAX_SCRIPT_BYTES = 200 * 1024;

describe('the bundle', () => {
  let folder = '';
  const files = new Map<string, string>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'duraloom-bundle-'));
    await buildInto(folder);
    for (const name of await readdir(folder, { recursive: true })) {
      if (/\.\w+$/.test(name)) files.set(name, await readFile(join(folder, name), 'utf8'));
    }
  }, 60_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('has scripts of at most 200 kB, compressed', () => {
    const scripts = [...files].filter(([name]) => name.endsWith('.js'));
    const bytes = scripts.reduce((sum, [, text]) => sum + gzipSync(text).byteLength, 0);
    console.log(`dashboard: ${(bytes / 1024).toFixed(1)} KiB of script, gzipped`);
    expect(scripts.length).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(MAX_SCRIPT_BYTES);
  });

  test('names no other host, but the namespaces of the web', () => {
    const urls = [...files.values()].flatMap((text) => text.match(/(?:https?:)?\/\/[a-z0-9-]+\.[a-z]{2,}[^\s"'`)]*/gi) ?? []);
    expect(urls.filter((url) => !url.startsWith('http://www.w3.org/'))).toEqual([]);
  });

  test('has no script and no style inside its HTML', () => {
    const html = files.get('index.html') ?? '';
    expect(html).toMatch(/<script type="module"[^>]* src="\.\/assets\/[^"]+"><\/script>/);
    expect(html).not.toMatch(/<style|style="|<script(?![^>]*\bsrc=)|\son\w+=/);
  });

  test('is found where it was built, or not at all', () => {
    const found = dashboardFolder();
    expect(found === null || existsSync(new URL('index.html', found))).toBe(true);
  });
});

describe('server-sent events', () => {
  test.each([1, 2, 3, 7, 1000])('are read from pieces of %i characters', (size) => {
    const text =
      ': hello\n\nid: 1\nevent: log\ndata: {"a":1}\n\ndata: two\r\ndata:lines\r\n\r\nevent: nothing\n\nid: 3\ndata\n\ndata: unfinished';
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    expect(events).toEqual([
      { id: '1', event: 'log', data: '{"a":1}' },
      { id: '1', event: 'message', data: 'two\nlines' },
      { id: '3', event: 'message', data: '' },
    ]);
  });
});

describe('filters', () => {
  test('attributes are read as they are meant', () => {
    expect(parseAttributes('vip, amount=5, rate=-0.5, name=Ada L, code="7", off=false, on = true ,, =x')).toEqual({
      vip: true,
      amount: 5,
      rate: -0.5,
      name: 'Ada L',
      code: '7',
      off: false,
      on: true,
    });
  });

  test('a URL and a query say the same', () => {
    const filter = readFilter(
      new URLSearchParams('status=Running,Failed&name=order&attributes=vip&createdAfter=2026-01-02T03:04&updatedBefore=x'),
    );
    expect(countConditions(filter)).toBe(5);
    expect(toConditions(filter)).toEqual({
      status: ['Running', 'Failed'],
      name: 'order',
      attributes: { vip: true },
      createdAfter: new Date('2026-01-02T03:04').toISOString(),
    });
    expect(toQuery(filter)).toMatchObject({ status: ['Running', 'Failed'], attributes: '{"vip":true}' });
  });

  test('an empty URL is no filter', () => {
    const filter = readFilter(new URLSearchParams());
    expect(countConditions(filter)).toBe(0);
    expect([toConditions(filter), filter.orderBy, filter.direction]).toEqual([{}, 'createdAt', 'desc']);
  });
});

describe('words', () => {
  test.each([
    [0, '0 ms'],
    [0.42, '0.4 ms'],
    [1500, '1.5 s'],
    [-90_000, '−1 min 30 s'],
  ])('%d ms are %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test('moments are told from now', () => {
    expect([formatRelative(1000, 1500), formatRelative(0, 65_000), formatRelative(65_000, 0)]).toEqual([
      'now',
      '1 min 5 s ago',
      'in 1 min 5 s',
    ]);
  });

  test('nouns have their plural', () => {
    expect([plural(1, 'activity'), plural(2, 'activity'), plural(1000, 'event'), plural(2, 'child')]).toEqual([
      '1 activity',
      '2 activities',
      '1,000 events',
      '2 children',
    ]);
  });
});
