// Tables for people: aligned columns without a frame. On a terminal a table is made to fit: its widest cells are cut, and where it is too narrow for
// that, each row becomes a few lines. A pipe gets all of them whole. Neighbours: io.ts, text.ts, display-width.ts.
import { displayWidth, cutToWidth } from './display-width.ts';
import type { Io, Paint } from './io.ts';
import { clean } from './text.ts';

/** A cell: text of anybody, or text with a colour. */
export type Cell = string | number | { readonly text: string; readonly paint: Paint };

/** Longest cell on a terminal, in columns. */
const MAX_CELL = 48;
/** How far cells are cut to make a table fit. Reason: of a moment or a name less says nothing. */
const MIN_CELL = 16;
/** As much of the first column stays. Reason: it is what to type next, and often a UUID. */
const MIN_FIRST = 36;
const GAP = '  ';

/**
 * Prints rows under a heading.
 *
 * @param io - where
 * @param heading - names of the columns
 * @param rows - the cells
 * @param isLastWhole - the last column is prose: the terminal breaks it, nothing cuts it
 */
export function printTable(io: Io, heading: readonly string[], rows: readonly (readonly Cell[])[], isLastWhole = false): void {
  const titles = heading.map((text): Cell => ({ text, paint: 'bold' }));
  const all = [titles, ...rows];
  const widths = isLastWhole ? naturalWidths(all, Number.POSITIVE_INFINITY) : fit(all, io.width);
  if (widths === null) for (const row of rows) printStacked(io, heading, row);
  else for (const row of [titles, ...rows]) printRow(io, row, widths);
}

/**
 * Prints names with their values, a line each; those without a value are left out, and none is cut.
 *
 * @param io - where
 * @param fields - name and value
 */
export function printFields(io: Io, fields: readonly (readonly [string, Cell])[]): void {
  const shown = fields.filter(([, value]) => textOf(value) !== '');
  const width = Math.max(0, ...shown.map(([name]) => displayWidth(name)));
  for (const [name, value] of shown) printRow(io, [{ text: name, paint: 'dim' }, value], [width, Number.POSITIVE_INFINITY]);
}

function naturalWidths(rows: readonly (readonly Cell[])[], most: number): number[] {
  const count = rows[0]?.length ?? 0;
  return Array.from({ length: count }, (_, index) =>
    Math.min(most, Math.max(0, ...rows.map((row) => displayWidth(textOf(row[index] ?? ''))))),
  );
}

/** Widths of columns that fit; null: there is no room for them. The last column is not filled up, and gets what is left. */
function fit(rows: readonly (readonly Cell[])[], room: number): readonly number[] | null {
  if (!Number.isFinite(room)) return naturalWidths(rows, room);
  const last = (rows[0]?.length ?? 0) - 1;
  const widths = naturalWidths(rows, MAX_CELL);
  const sum = (): number => widths.reduce((total, width) => total + width, GAP.length * last);
  for (let over = sum() - room; over > 0; over = sum() - room) {
    const spare = widths.map((width, index) => width - (index === 0 ? MIN_FIRST : MIN_CELL));
    const widest = spare.lastIndexOf(Math.max(...spare));
    if ((spare[widest] ?? 0) <= 0) return null;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  widths[last] = (widths[last] ?? 0) + room - sum();
  return widths;
}

function printRow(io: Io, row: readonly Cell[], widths: readonly number[]): void {
  const cells = row.map((cell, index) => {
    const text = cutToWidth(textOf(cell), widths[index] ?? 0);
    const isLast = row.slice(index + 1).every((later) => textOf(later) === '');
    return `${painted(io, cell, text)}${isLast ? '' : ' '.repeat((widths[index] ?? 0) - displayWidth(text))}`;
  });
  io.print(cells.join(GAP).trimEnd());
}

/** The first cell whole, the others below it with their names, as many as go on a line. */
function printStacked(io: Io, heading: readonly string[], row: readonly Cell[]): void {
  const [first = '', ...others] = row;
  io.print(painted(io, first, textOf(first)));
  const room = io.width - GAP.length;
  let [line, used] = ['', 0];
  for (const [index, cell] of others.entries()) {
    if (textOf(cell) === '') continue;
    const name = heading[index + 1] ?? '';
    const text = cutToWidth(textOf(cell), Math.max(MIN_CELL, room - name.length - 1));
    const width = name.length + 1 + displayWidth(text);
    if (used > 0 && used + GAP.length + width > room) {
      io.print(`${GAP}${line}`);
      [line, used] = ['', 0];
    }
    line += `${used === 0 ? '' : GAP}${io.paint('bold', name)} ${painted(io, cell, text)}`;
    used += (used === 0 ? 0 : GAP.length) + width;
  }
  if (used > 0) io.print(`${GAP}${line}`);
}

function painted(io: Io, cell: Cell, text: string): string {
  return typeof cell === 'object' ? io.paint(cell.paint, text) : text;
}

function textOf(cell: Cell): string {
  return clean(typeof cell === 'object' ? cell.text : String(cell));
}
