// Fills a database file with copies of one instance, by SQL: a million of them by the runtime would take longer than the rest of the bench.
// The only place besides raw-ceiling.ts that knows how the schema names things. Neighbours: timers.ts (W7), full-store.ts (W11), listing.ts (W14).
import { openDatabase } from '../src/provider/sqlite/open-database.ts';

/** Copies of one transaction. */
const CHUNK = 20_000;
/** Columns that name the instance: tables have one of them, `instances` has both. */
const ID_COLUMN = 'instance_id';
const KEY_COLUMN = 'instance_key';
/** Columns that hold times. Those of copies are a millisecond apart, as they would be in life. */
const TIME_COLUMNS = new Set(['ready_at', 'visible_at', 'created_at', 'updated_at', 'ended_at']);
/** `visible_at` of what is not a timer is below this. */
const FIRST_TIME = 1_000_000;

/** What is to be copied. */
export type Copying = { readonly file: string; readonly instanceId: string; readonly prefix: string; readonly count: number };

/**
 * Copies an instance with its rows in all tables. Nobody else may have the file open.
 *
 * @param copying - which instance, and how often
 */
export async function copyInstance({ file, instanceId, prefix, count }: Copying): Promise<void> {
  const database = await openDatabase(file, 'NORMAL');
  try {
    // Durable when it is closed: nothing else is needed here.
    database.pragma('synchronous = OFF');
    const tables = database
      .prepare(
        `SELECT tables.name AS name, group_concat(columns.name) AS columns
         FROM sqlite_master tables, pragma_table_info(tables.name) columns WHERE tables.type = 'table'
         GROUP BY tables.name HAVING sum(columns.name IN ('${ID_COLUMN}', '${KEY_COLUMN}')) > 0`,
      )
      .all() as readonly { readonly name: string; readonly columns: string }[];
    const key = Number(database.prepare(`SELECT ${KEY_COLUMN} FROM instances WHERE ${ID_COLUMN} = ?`).pluck().get(instanceId));
    const highest = Number(database.prepare(`SELECT max(${KEY_COLUMN}) FROM instances`).pluck().get());
    const inserts = tables.map(({ name, columns }) => {
      const names = columns.split(',');
      const isKeyed = names.includes(KEY_COLUMN);
      database
        .prepare(`CREATE TEMP TABLE template_${name} AS SELECT * FROM ${name} WHERE ${isKeyed ? KEY_COLUMN : ID_COLUMN} = ?`)
        .run(isKeyed ? key : instanceId);
      const values = names.map((column) => {
        if (column === ID_COLUMN) return `printf('${prefix}-%08d', series.copy_number)`;
        if (column === KEY_COLUMN) return `${highest + 1} + series.copy_number`;
        return TIME_COLUMNS.has(column)
          ? `CASE WHEN ${column} >= ${FIRST_TIME} THEN ${column} + series.copy_number ELSE ${column} END`
          : column;
      });
      return database.prepare(
        `WITH RECURSIVE series(copy_number) AS (SELECT ? UNION ALL SELECT copy_number + 1 FROM series WHERE copy_number + 1 < ?)
         INSERT INTO ${name} (${names.join(', ')}) SELECT ${values.join(', ')} FROM series CROSS JOIN template_${name}`,
      );
    });
    const copyChunk = database.transaction((from: number, to: number) => {
      for (const insert of inserts) insert.run(from, to);
    });
    for (let from = 0; from < count; from += CHUNK) copyChunk(from, Math.min(count, from + CHUNK));
    const copied = Number(
      database
        .prepare(`SELECT count(*) FROM instances WHERE ${ID_COLUMN} > ? AND ${ID_COLUMN} < ?`)
        .pluck()
        .get(`${prefix}-`, `${prefix}.`),
    );
    if (copied !== count)
      throw new TypeError(`expected ${count} copies, found ${copied}: bring bench/copy-instance.ts in line with the schema`);
    database.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    database.close();
  }
}
