// Key-value pairs of instances in SQL. Neighbours: turn-effects.ts writes them, sqlite-provider.ts reads. They go only with their instance.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import { encodeRecord } from '../../types/codec.ts';
import type { StoredValue } from '../provider.ts';

/** Table `instance_values`. */
export class ValueTable {
  readonly #clock: Clock;
  readonly #put: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #deleteAll: Database.Statement;
  readonly #read: Database.Statement;
  readonly #readAll: Database.Statement;
  readonly #readSome: Database.Statement;

  constructor(database: Database.Database, clock: Clock) {
    this.#clock = clock;
    this.#put = database.prepare(
      `INSERT INTO instance_values (instance_id, key, value, updated_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (instance_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
    );
    this.#delete = database.prepare('DELETE FROM instance_values WHERE instance_id = ? AND key = ?');
    this.#deleteAll = database.prepare('DELETE FROM instance_values WHERE instance_id = ?');
    this.#read = database.prepare('SELECT value FROM instance_values WHERE instance_id = ? AND key = ?').pluck();
    const read = 'SELECT key, value, updated_at AS updatedAtMs FROM instance_values WHERE instance_id = ?';
    this.#readAll = database.prepare(`${read} ORDER BY key`);
    this.#readSome = database.prepare(`${read} AND key IN (SELECT value FROM json_each(?)) ORDER BY key`);
  }

  /** Writes a value; null deletes it. */
  set(instanceId: string, key: string, value: string | null): void {
    if (value === null) this.#delete.run(instanceId, key);
    else this.#put.run(instanceId, key, value, this.#clock.nowMs());
  }

  deleteAll(instanceId: string): void {
    this.#deleteAll.run(instanceId);
  }

  get(instanceId: string, key: string): string | null {
    return (this.#read.get(instanceId, key) as string | undefined) ?? null;
  }

  read(instanceId: string, keys: readonly string[] | null): readonly StoredValue[] {
    const rows = keys === null ? this.#readAll.all(instanceId) : this.#readSome.all(instanceId, encodeRecord(keys));
    return rows as readonly StoredValue[];
  }
}
