// Topic subscriptions in SQL. Neighbours: turn-effects.ts subscribes and publishes with a turn, sqlite-provider.ts publishes for clients.
// A topic finds patterns without wildcards by the index; patterns with wildcards are few and are tried one after the other.
// Only living instances have subscriptions: their end and removal take them away.
import type Database from 'better-sqlite3';
import { hasWildcards, matchesTopic } from '../../types/topics.ts';
import type { Publication } from '../provider.ts';
import type { InstanceTable } from './instance-table.ts';

/** Table `subscriptions`. */
export class SubscriptionTable {
  readonly #instances: InstanceTable;
  readonly #insert: Database.Statement;
  readonly #mark: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #deleteAll: Database.Statement;
  readonly #subscribers: Database.Statement;
  readonly #wildPatterns: Database.Statement;

  constructor(database: Database.Database, instances: InstanceTable) {
    this.#instances = instances;
    this.#insert = database.prepare('INSERT INTO subscriptions (instance_id, pattern, is_wild) VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
    this.#mark = database.prepare('UPDATE instances SET has_extras = 1 WHERE instance_id = ?');
    this.#delete = database.prepare('DELETE FROM subscriptions WHERE instance_id = ? AND pattern = ?');
    this.#deleteAll = database.prepare('DELETE FROM subscriptions WHERE instance_id = ?');
    this.#subscribers = database.prepare('SELECT instance_id FROM subscriptions WHERE pattern = ?').pluck();
    // From pattern to pattern: DISTINCT would read every subscription to each of them.
    this.#wildPatterns = database
      .prepare(
        `WITH RECURSIVE wild (pattern) AS (
           SELECT min(pattern) FROM subscriptions WHERE is_wild = 1
           UNION ALL
           SELECT (SELECT min(pattern) FROM subscriptions WHERE is_wild = 1 AND pattern > wild.pattern) FROM wild WHERE pattern IS NOT NULL
         )
         SELECT pattern FROM wild WHERE pattern IS NOT NULL`,
      )
      .pluck();
  }

  subscribe(instanceId: string, pattern: string): void {
    const { changes } = this.#insert.run(instanceId, pattern, hasWildcards(pattern) ? 1 : 0);
    if (changes === 1) this.#mark.run(instanceId);
  }

  unsubscribe(instanceId: string, pattern: string): void {
    this.#delete.run(instanceId, pattern);
  }

  deleteAll(instanceId: string): void {
    this.#deleteAll.run(instanceId);
  }

  /** Enqueues one message for each subscriber. Returns how many got it. */
  publish({ topic, payload, key }: Publication): number {
    const patterns = [topic, ...this.#wildPatterns.all().filter((pattern) => typeof pattern === 'string' && matchesTopic(pattern, topic))];
    const subscribers = new Set(patterns.flatMap((pattern) => this.#subscribers.all(pattern) as string[]));
    let count = 0;
    for (const instanceId of subscribers) {
      const message = key === undefined ? { instanceId, payload } : { instanceId, payload, key };
      if (this.#instances.enqueue(message) === 'enqueued') count += 1;
    }
    return count;
  }
}
