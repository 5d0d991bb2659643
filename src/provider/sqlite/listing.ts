// Lists of instances in SQL. Neighbours: sqlite-provider.ts; migrations.ts has the indexes.
//
// I1. A call looks at MAX_SCANNED rows and no more. Where an index knows of no more than these that may be meant, they are all looked at and
//     sorted; else the rows are read in the order of the list, and the page ends where looking ended.
import type Database from 'better-sqlite3';
import { isEnded } from '../../types/instance.ts';
import { isPageLimit, makeLimitError } from '../list-limit.ts';
import type { InstanceFilter, InstanceList, InstanceOrder, InstanceQuery, ListPosition } from '../management.ts';
import { RECORD_COLUMNS, stoppedAs, toRecord, type RecordRow } from './instance-table.ts';

/** Rows that one call looks at. Reason: about 10 ms of the event loop. */
const MAX_SCANNED = 10_000;

/** SQL with its parameters. */
type Part = { readonly sql: string; readonly params: readonly (string | number)[] };

type ListedRow = RecordRow & { readonly instanceKey: number };

/** Finds instances. */
export class InstanceListing {
  readonly #database: Database.Database;
  readonly #names: Database.Statement;
  /** By text. There are few: their number is that of combinations of filters that people use. */
  readonly #statements = new Map<string, Database.Statement>();

  constructor(database: Database.Database) {
    this.#database = database;
    this.#names = database.prepare('SELECT DISTINCT name FROM codes ORDER BY name').pluck();
  }

  /**
   * Lists instances.
   *
   * @param query - which, in which order, from where on
   * @returns a page
   * @throws {ArgumentError} for a limit outside its range
   */
  list(query: InstanceQuery): InstanceList {
    if (!isPageLimit(query.limit)) throw makeLimitError('listInstances', query.limit);
    const { filter, orderBy, limit } = query;
    const candidates = this.#candidates(filter);
    if (candidates !== null) {
      const wanted = [`instance_key IN (${candidates.sql})`, orderBy === 'endedAt' ? 'ended_at IS NOT NULL' : '']
        .filter(Boolean)
        .join(' AND ');
      const rows = this.#read(query, { sql: wanted, params: candidates.params }, limit + 1);
      return toList(rows.slice(0, limit), orderBy, rows.length > limit);
    }
    if (orderBy === 'endedAt') return this.#listEnded(query);
    const { rows, next } = this.#scan(query, { sql: 'true', params: [] });
    return { records: rows.map(toListed), next };
  }

  /** Rows that an index knows, when they are few enough to be sorted. */
  #candidates(filter: InstanceFilter): Part | null {
    for (const source of this.#sources(filter)) {
      const counted = this.#prepare(`SELECT count(*) FROM (${source.sql} LIMIT ${MAX_SCANNED + 1})`).pluck();
      if ((counted.get(...source.params) as number) <= MAX_SCANNED) return source;
    }
    return null;
  }

  /** What indexes can tell of a filter. */
  #sources({ name, statuses, attributes = [], parentInstanceId }: InstanceFilter): readonly Part[] {
    const sources: Part[] = attributes.map(({ key, value }) => ({
      sql: 'SELECT instance_key FROM instance_attributes WHERE key = ? AND value = ?',
      params: [key, value],
    }));
    if (parentInstanceId !== undefined) {
      sources.push({ sql: 'SELECT instance_key FROM instances WHERE parent_instance_id = ?', params: [parentInstanceId] });
    }
    if (statuses?.every((status) => stoppedAs(status) !== null) === true) {
      sources.push({
        sql: `SELECT instance_key FROM instances INDEXED BY instances_stopped WHERE stopped_as IN (${marks(statuses)})`,
        params: statuses,
      });
    }
    const names = name === undefined ? (this.#names.all() as string[]) : [name];
    if (statuses?.every((status) => !isEnded(status)) === true) {
      sources.push({
        sql: `SELECT instance_key FROM instances INDEXED BY instances_listing WHERE name IN (${marks(names)}) AND ended_at IS NULL`,
        params: names,
      });
    }
    if (name !== undefined) {
      sources.push({ sql: 'SELECT instance_key FROM instances INDEXED BY instances_listing WHERE name = ?', params: [name] });
    }
    return sources;
  }

  /** In the order of ends there is an index for each name: their rows are merged. */
  #listEnded(query: InstanceQuery): InstanceList {
    const { filter, descending, limit } = query;
    const names = filter.name === undefined ? (this.#names.all() as string[]) : [filter.name];
    const lists = names.map((name) => this.#scan(query, { sql: 'name = ? AND ended_at IS NOT NULL', params: [name] }));
    const direction = descending ? -1 : 1;
    const merged = lists
      .flatMap(({ rows }) => rows)
      .toSorted((a, b) => direction * ((a.endedAtMs ?? 0) - (b.endedAtMs ?? 0) || a.instanceKey - b.instanceKey));
    // Behind the place where looking ended for one name, others may only be shown when that name was looked at further.
    const ends = lists.map(({ next, rows }) => (next === null || rows.length >= limit ? null : next)).filter((next) => next !== null);
    const end = ends.toSorted((a, b) => direction * (a.at - b.at || a.seq - b.seq)).at(0);
    const shown =
      end === undefined ? merged : merged.filter((row) => direction * ((row.endedAtMs ?? 0) - end.at || row.instanceKey - end.seq) <= 0);
    const page = shown.slice(0, limit);
    const isMore = shown.length > limit || lists.some(({ next }) => next !== null);
    if (shown.length < limit && end !== undefined) return { records: page.map(toListed), next: end };
    return toList(page, 'endedAt', isMore);
  }

  /** Reads rows in the order of the list and leaves out what is not meant. */
  #scan(query: InstanceQuery, range: Part): { readonly rows: readonly ListedRow[]; readonly next: ListPosition | null } {
    const { orderBy, limit } = query;
    const from = both(range, after(query));
    const order = orderOf(query);
    const where = conditions(query.filter);
    // From the inside: rows in order, as far as looking goes; those that are meant, until there are enough; all of them. A row that is not meant
    // costs the cells that tell so.
    const looked = `SELECT ${FILTER_COLUMNS} FROM instances WHERE ${from.sql} ORDER BY ${order} LIMIT ${MAX_SCANNED}`;
    const found = `SELECT instance_key FROM (${looked}) AS instances WHERE ${where.sql} LIMIT ?`;
    const columns = `${RECORD_COLUMNS}, instances.instance_key AS instanceKey`;
    const statement = this.#prepare(`SELECT ${columns} FROM (${found}) AS found CROSS JOIN instances USING (instance_key)`);
    const rows = statement.all(...from.params, ...where.params, limit + 1) as ListedRow[];
    if (rows.length > limit) return { rows: rows.slice(0, limit), next: toList(rows.slice(0, limit), orderBy, true).next };
    const last = this.#prepare(
      `SELECT ${columns} FROM instances WHERE ${from.sql} ORDER BY ${order} LIMIT 1 OFFSET ${MAX_SCANNED - 1}`,
    ).get(...from.params) as ListedRow | undefined;
    return { rows, next: last === undefined ? null : positionOf(last, orderBy) };
  }

  #read(query: InstanceQuery, range: Part, limit: number): readonly ListedRow[] {
    const where = [range, conditions(query.filter), after(query)].reduce(both);
    const statement = this.#prepare(
      `SELECT ${RECORD_COLUMNS}, instance_key AS instanceKey FROM instances WHERE ${where.sql} ORDER BY ${orderOf(query)} LIMIT ?`,
    );
    return statement.all(...where.params, limit) as ListedRow[];
  }

  #prepare(sql: string): Database.Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    // Lists of names and statuses may have any length.
    if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** What conditions look at. */
const FILTER_COLUMNS = 'instance_key, instance_id, name, status, version, parent_instance_id, created_at, updated_at';

/** Statements that are kept. */
const MAX_STATEMENTS = 200;

function conditions(filter: InstanceFilter): Part {
  const {
    name,
    statuses,
    version,
    parentInstanceId,
    attributes = [],
    createdFromMs,
    createdBeforeMs,
    updatedFromMs,
    updatedBeforeMs,
  } = filter;
  const parts: Part[] = [];
  const add = (sql: string, ...params: readonly (string | number)[]): number => parts.push({ sql, params });
  if (name !== undefined) add('name = ?', name);
  if (statuses !== undefined) add(`status IN (${marks(statuses)})`, ...statuses);
  if (version !== undefined) add('version = ?', version);
  if (parentInstanceId !== undefined) add('parent_instance_id = ?', parentInstanceId);
  if (createdFromMs !== undefined) add('created_at >= ?', createdFromMs);
  if (createdBeforeMs !== undefined) add('created_at < ?', createdBeforeMs);
  if (updatedFromMs !== undefined) add('updated_at >= ?', updatedFromMs);
  if (updatedBeforeMs !== undefined) add('updated_at < ?', updatedBeforeMs);
  if (filter.search !== undefined) add('instr(instance_id, ?) > 0', filter.search);
  for (const { key, value } of attributes) {
    add(
      'EXISTS (SELECT 1 FROM instance_attributes a WHERE a.key = ? AND a.value = ? AND a.instance_key = instances.instance_key)',
      key,
      value,
    );
  }
  return parts.reduce(both, { sql: 'true', params: [] });
}

function after({ orderBy, descending, after: position }: InstanceQuery): Part {
  if (position === null) return { sql: 'true', params: [] };
  const beyond = descending ? '<' : '>';
  switch (orderBy) {
    case 'id':
      return { sql: `instance_id ${beyond} ?`, params: [position.instanceId] };
    case 'createdAt':
      return { sql: `instance_key ${beyond} ?`, params: [position.seq] };
    case 'endedAt':
      return { sql: `(ended_at, instance_key) ${beyond} (?, ?)`, params: [position.at, position.seq] };
  }
}

function orderOf({ orderBy, descending }: InstanceQuery): string {
  const direction = descending ? 'DESC' : 'ASC';
  switch (orderBy) {
    case 'id':
      return `instance_id ${direction}`;
    case 'createdAt':
      return `instance_key ${direction}`;
    case 'endedAt':
      return `ended_at ${direction}, instance_key ${direction}`;
  }
}

function both(left: Part, right: Part): Part {
  return { sql: `${left.sql} AND ${right.sql}`, params: [...left.params, ...right.params] };
}

function marks(values: readonly unknown[]): string {
  return values.map(() => '?').join(', ');
}

function toList(rows: readonly ListedRow[], orderBy: InstanceOrder, isMore: boolean): InstanceList {
  const last = rows.at(-1);
  return { records: rows.map(toListed), next: isMore && last !== undefined ? positionOf(last, orderBy) : null };
}

function toListed({ instanceKey: _instanceKey, ...row }: ListedRow): InstanceList['records'][number] {
  return toRecord(row);
}

function positionOf({ instanceId, instanceKey, endedAtMs }: ListedRow, orderBy: InstanceOrder): ListPosition {
  return { at: orderBy === 'endedAt' ? (endedAtMs ?? 0) : 0, seq: orderBy === 'id' ? 0 : instanceKey, instanceId };
}
