// An INSERT of several rows at once: each call of SQLite costs about as much as a row. Neighbours: work-queue.ts and instance-table.ts collect
// the rows of one item.
import type Database from 'better-sqlite3';

/** A cell. */
export type Cell = string | number | null;

/** Most rows of one statement. Reason: more gain nothing (measured with 5, 8, 16 and 32), and each number of rows has a statement of its own. */
const MAX_ROWS = 8;

/** A statement for any number of rows. */
export class WideStatement {
  readonly #database: Database.Database;
  readonly #parts: { readonly before: string; readonly row: string; readonly after?: string };
  readonly #width: number;
  /** By number of rows, made when needed. */
  readonly #statements: Database.Statement[] = [];

  /**
   * @param database - an open one
   * @param parts - the SQL up to `VALUES`, the placeholders of one row, and what follows the rows
   */
  constructor(database: Database.Database, parts: { readonly before: string; readonly row: string; readonly after?: string }) {
    this.#database = database;
    this.#parts = parts;
    this.#width = parts.row.split('?').length - 1;
  }

  /**
   * Runs it.
   *
   * @param cells - of all rows, one row after the other
   */
  run(cells: readonly Cell[]): void {
    const most = MAX_ROWS * this.#width;
    if (cells.length <= most) {
      if (cells.length > 0) this.#statement(cells.length / this.#width).run(cells);
      return;
    }
    for (let first = 0; first < cells.length; first += most) {
      const some = cells.slice(first, first + most);
      this.#statement(some.length / this.#width).run(some);
    }
  }

  #statement(rows: number): Database.Statement {
    const known = this.#statements[rows];
    if (known !== undefined) return known;
    const { before, row, after = '' } = this.#parts;
    const statement = this.#database.prepare(`${before} ${Array.from({ length: rows }, () => row).join(', ')} ${after}`);
    this.#statements[rows] = statement;
    return statement;
  }
}
