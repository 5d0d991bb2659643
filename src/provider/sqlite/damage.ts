// Rows that were damaged outside duraloom (a flipped bit, another program): told from sound ones, and mended so far that they harm nobody.
// Neighbours: the tables call it when a statement is refused or a row that was just read cannot be found by its key. Sound rows cost nothing.
//
// D1. STRICT tables refuse every UPDATE of a row with one cell of a wrong type. So one damaged row would fail each batch that it is in.
// D2. Text that is no UTF-8 cannot be named by JavaScript: such a key finds nothing, and a queue that stays ready for it would turn in circles.
// D3. A damaged instance is quarantined with the reason; a damaged session or work item that belongs to nobody any more is removed.
import { isUtf8 } from 'node:buffer';
import type Database from 'better-sqlite3';
import { encodeRecord } from '../../types/codec.ts';
import { DurableError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { sqliteCode } from './open-database.ts';

type ColumnInfo = { readonly name: string; readonly type: string; readonly notnull: number; readonly pk: number };

/** A payload that nobody can read: whoever needs it fails with `MESSAGE_INVALID` instead of going on with another value. */
const UNREADABLE = 'damaged';

/** Mends the rows of a store. */
export class RowRepair {
  readonly #database: Database.Database;

  constructor(database: Database.Database) {
    this.#database = database;
    database.function('duraloom_is_utf8', { deterministic: true }, (bytes: unknown) => (Buffer.isBuffer(bytes) && isUtf8(bytes) ? 1 : 0));
  }

  /** Quarantines an instance whose row is damaged. Returns false when it is sound, or not there. */
  mendInstance(instanceId: string): boolean {
    return this.#quarantine('instance_id = ?', instanceId) > 0;
  }

  /** Quarantines ready instances that no key finds. */
  mendUnnamed(): void {
    // None: the index names a row that is not there.
    if (this.#quarantine('ready_at IS NOT NULL') === 0) this.#database.exec('REINDEX instances');
  }

  /** Removes work items without a readable key, and takes from the others what cannot be read. */
  mendWork(table: 'work_items' | 'routed_items'): void {
    const columns = this.#columns(table);
    this.#database.exec(`DELETE FROM ${table} WHERE NOT ${allSound(columns.filter(({ pk }) => pk > 0))}`);
    this.#database.prepare(`UPDATE ${table} SET ${mended(columns)}, payload = ? WHERE NOT ${allSound(columns)}`).run(UNREADABLE);
  }

  /** Forgets claims of sessions that cannot be read: the sessions are free then. */
  forgetSessions(): void {
    this.#database.exec(`DELETE FROM sessions WHERE NOT ${allSound(this.#columns('sessions'))}`);
  }

  #quarantine(where: string, ...params: readonly string[]): number {
    const columns = this.#columns('instances');
    const kept = columns.filter(({ name }) => !['status', 'output', 'ready_at', 'lock_token'].includes(name));
    return this.#database
      .prepare(
        `UPDATE instances SET ${mended(kept)}, status = 'Quarantined', output = ?, ready_at = NULL, lock_token = NULL
         WHERE ${where} AND NOT ${allSound(columns)}`,
      )
      .run(describeDamage(), ...params).changes;
  }

  #columns(table: string): readonly ColumnInfo[] {
    return this.#database.pragma(`table_info(${table})`) as readonly ColumnInfo[];
  }
}

/**
 * Tells whether SQLite refused a row for what it holds already.
 *
 * @param error - what was caught
 * @returns true for a cell of a wrong type
 */
export function isDamage(error: unknown): boolean {
  return ['SQLITE_CONSTRAINT_DATATYPE', 'SQLITE_CONSTRAINT_NOTNULL', 'SQLITE_MISMATCH'].includes(sqliteCode(error));
}

/**
 * Makes the output of an instance that is quarantined because its rows cannot be read.
 *
 * @returns the encoded failure
 */
export function describeDamage(): string {
  const message =
    'its rows in the store cannot be read. They were changed outside duraloom, or the file is damaged: restore it from a backup, or terminate the instance';
  const { stack: _, ...failure } = toFailure(new DurableError('MESSAGE_INVALID', message));
  return encodeRecord(failure);
}

/**
 * Gives text of the store, whatever the cell holds.
 *
 * @param cell - of a TEXT column
 * @returns the text; something that is no JSON for a cell that is no text
 */
export function readText(cell: unknown): string {
  return typeof cell === 'string' ? cell : UNREADABLE;
}

function allSound(columns: readonly ColumnInfo[]): string {
  return `(${columns.map(isSound).join(' AND ')})`;
}

function isSound(column: ColumnInfo): string {
  const { name, type } = column;
  const sound =
    type === 'TEXT'
      ? `(typeof(${name}) = 'text' AND duraloom_is_utf8(CAST(${name} AS BLOB)) = 1)`
      : `(typeof(${name}) = 'integer' AND ${name} BETWEEN ${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER})`;
  return column.notnull === 1 ? sound : `(${name} IS NULL OR ${sound})`;
}

/** The assignments that put something harmless where something unreadable is. Keys stay. */
function mended(columns: readonly ColumnInfo[]): string {
  return columns
    .filter(({ pk }) => pk === 0)
    .map((column) => {
      const fallback = column.notnull === 0 ? 'NULL' : column.type === 'TEXT' ? "''" : '0';
      return `${column.name} = CASE WHEN ${isSound(column)} THEN ${column.name} ELSE ${fallback} END`;
    })
    .join(', ');
}
