// Rows that were damaged outside duraloom (a flipped bit, another program): told from sound ones, and mended so far that they harm nobody.
// Neighbours: the tables call it when a statement is refused or a row that was just read cannot be found by its key. Sound rows cost nothing.
//
// D1. STRICT tables refuse every UPDATE of a row with one cell of a wrong type. So one damaged row would fail each batch that it is in.
// D2. A key that is no text, or text that is no UTF-8, finds nothing, and a queue that stays ready for it would turn in circles.
// D3. A damaged instance is quarantined with the reason, one without a readable id under a new one; a damaged session or work item that
//     belongs to nobody any more is removed.
// D4. A row whose place in its queue cannot be read is never met by a fetch: those are looked for when the store is opened.
import { isUtf8 } from 'node:buffer';
import type Database from 'better-sqlite3';
import { encodeRecord } from '../../types/codec.ts';
import { DurableError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';
import { sqliteCode } from './open-database.ts';

/** A table of work items. */
export type WorkTable = 'work_items' | 'routed_items';

type ColumnInfo = { readonly name: string; readonly type: string; readonly notnull: number; readonly pk: number };

/** A payload that nobody can read: whoever needs it fails with `MESSAGE_INVALID` instead of going on with another value. */
const UNREADABLE = 'damaged';

/** Begins the ids of instances whose own cannot be read; what was there follows in hexadecimal. */
const UNREADABLE_ID = 'unreadable:';

/** What the columns of an instance hold that is quarantined. */
const STOPPED: Readonly<Record<string, string>> = {
  status: "'Quarantined'",
  stopped_as: "'Quarantined'",
  output: '$output',
  ready_at: 'NULL',
  lock_token: 'NULL',
  handed_seq: 'NULL',
  handed_at: 'NULL',
};

/** Where sound rows never stand in an index (D4): numbers come before text, and bytes behind it. Each is one search. */
const HIDDEN: readonly (readonly [table: WorkTable | 'instances', where: string])[] = [
  ['work_items', `work_items WHERE lock_token IS NULL AND ready_at >= ''`],
  ['work_items', 'work_items WHERE lock_token IS NULL AND ready_at IS NULL'],
  ...['tag IS NULL AND ready_at IS NULL', `tag IS NULL AND ready_at >= ''`, `tag < ''`, `tag >= x''`].map(
    (place) => ['routed_items', `routed_items WHERE session_id IS NULL AND limit_key IS NULL AND ${place}`] as const,
  ),
  ['routed_items', `routed_items WHERE session_id < ''`],
  ['routed_items', `routed_items WHERE session_id >= x''`],
  ['routed_items', `routed_items WHERE limit_lane < ''`],
  ['routed_items', `routed_items WHERE limit_lane >= x''`],
  ['instances', `codes CROSS JOIN instances ON instances.code_id = codes.code_id AND lock_token IS NULL AND ready_at >= ''`],
];

/** Mends the rows of a store. */
export class RowRepair {
  readonly #database: Database.Database;

  constructor(database: Database.Database) {
    this.#database = database;
    database.function('duraloom_is_utf8', { deterministic: true }, (bytes: unknown) => (Buffer.isBuffer(bytes) && isUtf8(bytes) ? 1 : 0));
  }

  /** Quarantines an instance whose row is damaged. Returns false when it is sound, or not there, or has no readable id. */
  mendInstance(instanceId: string): boolean {
    return typeof instanceId === 'string' && this.#quarantine('instance_id = ?', instanceId).length > 0;
  }

  /** Quarantines ready instances that cannot be read. Returns their ids, new ones where there was none to read (D3). */
  mendUnnamed(): readonly string[] {
    const quarantined = this.#quarantine('ready_at IS NOT NULL');
    // None: the index names a row that is not there.
    if (quarantined.length === 0) this.#database.exec('REINDEX instances');
    return quarantined;
  }

  /** D4. Tables with rows that no fetch meets. Of items with a tag or session only those in no lane are found: others would cost a scan. */
  hidden(): ReadonlySet<WorkTable | 'instances'> {
    const found = HIDDEN.filter(([, where]) => this.#database.prepare(`SELECT 1 FROM ${where} LIMIT 1`).get() !== undefined);
    return new Set(found.map(([table]) => table));
  }

  /** Removes work items without a readable key, and takes from the others what cannot be read. Returns whose are lost. */
  mendWork(table: WorkTable): readonly string[] {
    const columns = this.#columns(table);
    const lost = `NOT ${allSound(columns.filter(({ pk }) => pk > 0))}`;
    const ids = this.#database.prepare(`SELECT DISTINCT instance_id FROM ${table} WHERE ${lost}`).pluck().all();
    this.#database.exec(`DELETE FROM ${table} WHERE ${lost}`);
    const cells = columns
      .filter(({ pk, name }) => pk === 0 && name !== 'payload')
      .map((column) => `${column.name} = ${soundOr(column)}`)
      .join(', ');
    this.#database.prepare(`UPDATE ${table} SET ${cells}, payload = ? WHERE NOT ${allSound(columns)}`).run(UNREADABLE);
    return ids.filter((id) => typeof id === 'string');
  }

  /** Forgets claims of sessions that cannot be read: the sessions are free then. */
  forgetSessions(): void {
    this.#database.exec(`DELETE FROM sessions WHERE NOT ${allSound(this.#columns('sessions'))}`);
  }

  #quarantine(where: string, ...params: readonly string[]): readonly string[] {
    const columns = this.#columns('instances');
    const cells = columns
      .filter(({ pk }) => pk === 0)
      .map((column) => {
        const { name } = column;
        const unreadable = `'${UNREADABLE_ID}' || substr(hex(instance_id), 1, 256)`;
        const id = `instance_id = CASE WHEN ${isSound(column)} THEN instance_id ELSE ${unreadable} END`;
        return name === 'instance_id' ? id : `${name} = ${STOPPED[name] ?? soundOr(column)}`;
      });
    return this.#database
      .prepare(`UPDATE instances SET ${cells.join(', ')} WHERE ${where} AND NOT ${allSound(columns)} RETURNING instance_id`)
      .pluck()
      .all(...params, { output: describeDamage() }) as string[];
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

/** The cell, or something harmless where it cannot be read. */
function soundOr(column: ColumnInfo): string {
  const fallback = column.notnull === 0 ? 'NULL' : column.type === 'TEXT' ? "''" : '0';
  return `CASE WHEN ${isSound(column)} THEN ${column.name} ELSE ${fallback} END`;
}
