// Tables fit the terminal that they are shown on: characters of every width, ids of any length, from 20 columns on.
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { cutToWidth, displayWidth } from '../../../src/surfaces/cli/display-width.ts';
import { Io } from '../../../src/surfaces/cli/io.ts';
import { printFields, printTable, type Cell } from '../../../src/surfaces/cli/table.ts';

type Streams = ConstructorParameters<typeof Io>[0];

/** Prints on a terminal of so many columns, or into a pipe; gives the lines. */
function shown(columns: number | null, print: (io: Io) => void): readonly string[] {
  const out = Object.assign(new PassThrough(), columns === null ? {} : { isTTY: true, columns }) as unknown as Streams['stdout'];
  print(new Io({ stdin: process.stdin, stdout: out, stderr: process.stderr }, new AbortController().signal));
  const text = String(out.read() ?? '');
  return stripVTControlCharacters(text).trimEnd().split('\n');
}

const HEADING = ['ID', 'NAME', 'STATUS', 'CREATED', 'WAITS FOR'];
const IDS = ['order-1', '日本語の注文', 'emoji-👩‍👩‍👧‍👦-😀', 'e\u0301e\u0301', 'x'.repeat(200), '2b99fca7-486b-4778-a1b7-b3f38a4d865d'];
const rows = IDS.map((id): readonly Cell[] => [
  id,
  'order',
  { text: 'Quarantined', paint: 'red' },
  '2030-01-31T12:00:00Z',
  '1 activity (1 running)',
]);

describe('the width of text', () => {
  test.each([
    ['order', 5],
    ['日本語', 6],
    ['ｆｕｌｌ', 8],
    ['한글', 4],
    ['😀', 2],
    ['👩‍👩‍👧‍👦', 2],
    ['🇩🇪', 2],
    ['☎️', 2],
    ['e\u0301', 1],
    ['\u200D', 0],
    ['ключ', 4],
    ['', 0],
  ])('of %j is %i', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  test('is what it is cut to, and no character is cut in two', () => {
    expect(cutToWidth('order', 5)).toBe('order');
    expect(cutToWidth('orders', 5)).toBe('orde…');
    expect(cutToWidth('日本語の', 6)).toBe('日本…');
    expect(cutToWidth('👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 3)).toBe('👩‍👩‍👧‍👦…');
    for (let limit = 1; limit < 12; limit += 1) expect(displayWidth(cutToWidth('日😀e\u0301本x語', limit))).toBeLessThanOrEqual(limit);
  });
});

describe('a table', () => {
  test.each([120, 100])('on %i columns has a line for each row, aligned, with the widest cells cut', (columns) => {
    const lines = shown(columns, (io) => printTable(io, HEADING, rows));
    expect(lines.length).toBe(rows.length + 1);
    expect(lines.filter((line) => displayWidth(line) > columns)).toEqual([]);
    const at = displayWidth((lines[0] ?? '').split('NAME')[0] ?? '');
    for (const line of lines.slice(1)) expect(displayWidth(line.split('order  ').at(0 - 2) ?? '')).toBeLessThanOrEqual(at);
    for (const line of lines.slice(1)) expect(displayWidth(line.slice(0, line.lastIndexOf('order')))).toBe(at);
    expect(lines[5]).toMatch(/^x+… {2}order/);
    expect(lines[1]).toMatch(/1 activity/);
  });

  test.each([80, 40, 20])('on %i columns, where that has no room, gives each row some lines, with its id whole', (columns) => {
    const lines = shown(columns, (io) => printTable(io, HEADING, rows));
    expect(lines.filter((line) => !line.startsWith('  '))).toEqual(IDS);
    const others = lines.filter((line) => line.startsWith('  '));
    expect(others.filter((line) => displayWidth(line) > Math.max(columns, 30))).toEqual([]);
    expect(others.filter((line) => line.includes('STATUS Quarantined')).length).toBe(rows.length);
  });

  test('that has room is as wide as its cells, however many rows it has', () => {
    const many = Array.from({ length: 300 }, (_, index): readonly Cell[] => [`o-${index}`, 'order', '', '', '']);
    const lines = shown(40, (io) => printTable(io, HEADING, many));
    expect(lines.length).toBe(301);
    expect(lines[300]).toBe('o-299  order');
  });

  test('in a pipe has everything whole', () => {
    const lines = shown(null, (io) => printTable(io, HEADING, rows));
    expect(lines.length).toBe(rows.length + 1);
    expect(lines.join('\n')).not.toContain('…');
  });

  test('whose last column is prose, and fields, are never cut', () => {
    const prose = 'Give this user the right to write the file and its folder, and then look again';
    expect(shown(40, (io) => printTable(io, ['CHECK', 'DETAIL'], [['file', prose]], true))[1]).toBe(`file   ${prose}`);
    const fields = shown(20, (io) =>
      printFields(io, [
        ['id', 'x'.repeat(100)],
        ['nothing', ''],
      ]),
    );
    expect(fields).toEqual([`id  ${'x'.repeat(100)}`]);
  });
});
