// Search attributes in SQL. Neighbours: instance-table.ts writes those of a start, turn-effects.ts those of a turn, listing.ts finds by them.
import type Database from 'better-sqlite3';
import type { StoredAttributes } from '../../types/attributes.ts';

/** Table `instance_attributes`, and the column of the whole in `instances`. */
export class AttributeTable {
  readonly #keyOf: Database.Statement;
  readonly #insert: Database.Statement;
  readonly #deleteAll: Database.Statement;
  readonly #setText: Database.Statement;
  readonly #read: Database.Statement;

  constructor(database: Database.Database) {
    this.#keyOf = database.prepare('SELECT instance_key FROM instances WHERE instance_id = ?').pluck();
    this.#insert = database.prepare('INSERT INTO instance_attributes (key, value, instance_key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
    this.#deleteAll = database.prepare('DELETE FROM instance_attributes WHERE instance_key = ?');
    this.#setText = database.prepare('UPDATE instances SET attributes = ? WHERE instance_key = ?');
    this.#read = database.prepare(
      `SELECT key, value FROM instance_attributes WHERE instance_key = (SELECT instance_key FROM instances WHERE instance_id = ?) ORDER BY key`,
    );
  }

  /** Writes those of an instance that has none; the column is the caller's. */
  put(instanceId: string, { list }: StoredAttributes): void {
    const instanceKey = this.#keyOf.get(instanceId);
    for (const { key, value } of list) this.#insert.run(key, value, instanceKey);
  }

  /** Writes all that an instance has from now on. */
  replace(instanceId: string, attributes: StoredAttributes): void {
    const instanceKey = this.#keyOf.get(instanceId);
    this.#deleteAll.run(instanceKey);
    this.#setText.run(attributes.list.length === 0 ? null : attributes.text, instanceKey);
    for (const { key, value } of attributes.list) this.#insert.run(key, value, instanceKey);
  }

  list(instanceId: string): StoredAttributes['list'] {
    return this.#read.all(instanceId) as StoredAttributes['list'];
  }
}
