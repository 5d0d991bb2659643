// Tables for people: aligned columns without a frame. On a terminal long cells are cut; a pipe gets all of them. Neighbours: io.ts, text.ts.
import { stripVTControlCharacters } from 'node:util';
import type { Io, Paint } from './io.ts';
import { clean } from './text.ts';

/** A cell: text of anybody, or text with a colour. */
export type Cell = string | number | { readonly text: string; readonly paint: Paint };

/** Longest cell on a terminal, in UTF-16 units; the last column has what is left of the line. */
const MAX_CELL = 48;
const GAP = 2;

/**
 * Prints rows under a heading.
 *
 * @param io - where
 * @param heading - names of the columns
 * @param rows - the cells
 */
export async function printTable(io: Io, heading: readonly string[], rows: readonly (readonly Cell[])[]): Promise<void> {
  await layOut(io, [heading.map((text): Cell => ({ text, paint: 'bold' })), ...rows]);
}

/**
 * Prints names with their values, a line each; those without a value are left out.
 *
 * @param io - where
 * @param fields - name and value
 */
export async function printFields(io: Io, fields: readonly (readonly [string, Cell])[]): Promise<void> {
  const shown = fields.filter(([, value]) => (typeof value === 'object' ? value.text : value) !== '');
  await layOut(
    io,
    shown.map(([name, value]) => [{ text: name, paint: 'dim' }, value]),
    Number.POSITIVE_INFINITY,
  );
}

async function layOut(io: Io, rows: readonly (readonly Cell[])[], lastLimit = io.width): Promise<void> {
  const { default: Table } = await import('cli-table3');
  const none = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
  };
  const chars = { ...none, left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: ' '.repeat(GAP) };
  const table = new Table({ chars, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true } });
  const columns = rows[0]?.length ?? 0;
  const limit = io.isTerminal ? MAX_CELL : Number.POSITIVE_INFINITY;
  const widths = Array.from({ length: columns }, (_, index) =>
    Math.max(0, ...rows.map((row) => cut(textOf(row[index] ?? ''), limit).length)),
  );
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP, 0);
  for (const row of rows) {
    const cells = row.map((cell, index) => {
      const room = index === columns - 1 ? Math.max(MAX_CELL / 2, lastLimit - before) : limit;
      const text = cut(textOf(cell), room);
      return typeof cell === 'object' ? io.paint(cell.paint, text) : text;
    });
    table.push(cells);
  }
  for (const line of table.toString().split('\n')) io.print(trimmed(line));
}

function textOf(cell: Cell): string {
  return clean(typeof cell === 'object' ? cell.text : String(cell));
}

function cut(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

/** Without the blanks that fill up the last column. */
function trimmed(line: string): string {
  return stripVTControlCharacters(line) === line ? line.trimEnd() : line;
}
