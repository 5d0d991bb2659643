// Lists of instances in SQL. Neighbours: sqlite-provider.ts; migrations.ts has the indexes.
//
// A list is read by walks: each goes along an index in the order of the list, and they are merged.
// I1. A call looks at a bounded number of rows. Where an index knows of no more than MAX_SCANNED that may be meant, but not in the order of the list,
//     they are all looked at and sorted.
// I2. A page shows nothing behind the place to which every walk has come: the next call goes on from there.
import type Database from 'better-sqlite3';
import { isEnded } from '../../types/instance.ts';
import { isPageLimit, makeLimitError } from '../list-limit.ts';
import type { InstanceFilter, InstanceList, InstanceOrder, InstanceQuery, ListPosition } from '../management.ts';
import { RECORD_COLUMNS, stoppedAs, toRecord, type RecordRow } from './instance-table.ts';

/** Rows that one walk looks at. Reason: a millisecond of the event loop, or some when they are not in memory. */
const MAX_SCANNED = 10_000;
/** All walks of a call together. Most of them lie behind the place to which one of them has come, and are not read. */
const MAX_SCANNED_IN_ALL = 100_000;

/** SQL with its parameters. */
type Part = { readonly sql: string; readonly params: readonly (string | number)[] };

/** Rows in the order of a list. `index` is empty where SQLite has no other choice. */
type Walk = { readonly index: string; readonly range: Part };

type ListedRow = RecordRow & { readonly instanceKey: number };

/** What a walk has found, and how far it has come; null: to its end. */
type Walked = { readonly rows: readonly ListedRow[]; readonly end: ListPosition | null };

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
    const candidates = this.#candidates(query);
    if (candidates !== null) {
      const isOrdered = query.orderBy === 'endedAt' ? 'ended_at IS NOT NULL' : 'true';
      const range = { sql: `instance_key IN (${candidates.sql}) AND ${isOrdered}`, params: candidates.params };
      return toList(query, this.#read(query, [range, startOf(query), stopOf(query)], 'instances NOT INDEXED'), null);
    }
    const walks = this.#walks(query);
    const scanned = Math.min(MAX_SCANNED, Math.ceil(MAX_SCANNED_IN_ALL / walks.length));
    const walked = walks.map((walk) => this.#walk(query, walk, scanned));
    const order = (a: ListPosition, b: ListPosition): number => (query.descending ? -1 : 1) * comparePlaces(a, b);
    const place = (row: ListedRow): ListPosition => placeOf(row, query.orderBy);
    const [end = null] = walked.flatMap((one) => one.end ?? []).toSorted(order);
    const rows = walked.flatMap((one) => one.rows).filter((row) => end === null || order(place(row), end) <= 0);
    // One walk has the order of the list already; that of ids is not ours to compare.
    return toList(query, walks.length === 1 ? rows : rows.toSorted((a, b) => order(place(a), place(b))), end);
  }

  /** Rows that an index knows, when they are few enough to be sorted. */
  #candidates(query: InstanceQuery): Part | null {
    for (const source of this.#sources(query)) {
      const counted = this.#prepare(`SELECT count(*) FROM (${source.sql} LIMIT ${MAX_SCANNED + 1})`).pluck();
      if ((counted.get(...source.params) as number) <= MAX_SCANNED) return source;
    }
    return null;
  }

  /** What indexes can tell of a filter. */
  #sources({ filter, orderBy }: InstanceQuery): readonly Part[] {
    const { name, statuses, attributes = [], parentInstanceId } = filter;
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
    // The other orders have an index with the names.
    if (orderBy !== 'id') return sources;
    if (isLiving(filter)) {
      const names = this.#namesOf(filter);
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

  /** Ways along indexes that meet all that may be meant. */
  #walks({ filter, orderBy }: InstanceQuery): readonly Walk[] {
    const { name } = filter;
    const ofEachName = (condition: string): readonly Walk[] =>
      this.#namesOf(filter).map((one) => ({ index: 'instances_listing', range: { sql: `name = ? AND ${condition}`, params: [one] } }));
    switch (orderBy) {
      case 'id':
        return [{ index: '', range: EVERYWHERE }];
      case 'endedAt':
        return isLiving(filter) ? [] : ofEachName('ended_at IS NOT NULL');
      case 'createdAt':
        if (isLiving(filter)) return ofEachName('ended_at IS NULL');
        if (name === undefined) return [{ index: 'instances_created', range: EVERYWHERE }];
        return [{ index: 'instances_names', range: { sql: 'name = ?', params: [name] } }];
    }
  }

  #namesOf({ name }: InstanceFilter): readonly string[] {
    return name === undefined ? (this.#names.all() as string[]) : [name];
  }

  /** Looks at so many rows. Where that ends is found by the index alone: a row that is not meant costs the cells that tell so and nothing else. */
  #walk(query: InstanceQuery, { index, range }: Walk, scanned: number): Walked {
    const from = index === '' ? 'instances' : `instances INDEXED BY ${index}`;
    const ahead = [range, startOf(query), stopOf(query)].reduce(both);
    const end = this.#prepare(
      `SELECT ${PLACES[query.orderBy]} FROM ${from} WHERE ${ahead.sql} ORDER BY ${orderOf(query)} LIMIT 1 OFFSET ${scanned - 1}`,
    ).get(...ahead.params) as ListPosition | undefined;
    const stop = end === undefined ? stopOf(query) : compare(query.orderBy, query.descending ? '>=' : '<=', end);
    return { rows: this.#read(query, [range, startOf(query), stop], from), end: end ?? null };
  }

  /** Reads a row more than the page has: first which ones, so that others are not carried along. */
  #read(query: InstanceQuery, ranges: readonly Part[], from: string): readonly ListedRow[] {
    // The cheaper ones first.
    const where = [conditions(query.filter), ...ranges].reduce(both);
    const order = orderOf(query);
    const statement = this.#prepare(
      `SELECT ${RECORD_COLUMNS}, instance_key AS instanceKey
       FROM (SELECT instance_key FROM ${from} WHERE ${where.sql} ORDER BY ${order} LIMIT ?) AS found CROSS JOIN instances USING (instance_key) ORDER BY ${order}`,
    );
    return statement.all(...where.params, query.limit + 1) as ListedRow[];
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

/** SQL: the place of a row in a list. */
const PLACES: Readonly<Record<InstanceOrder, string>> = {
  id: '0 AS at, 0 AS seq, instance_id AS instanceId',
  createdAt: "created_at AS at, instance_key AS seq, '' AS instanceId",
  endedAt: "ended_at AS at, instance_key AS seq, '' AS instanceId",
};

const EVERYWHERE: Part = { sql: 'true', params: [] };

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
  // With a plus SQLite takes no index for a column: walks say which way rows are read.
  if (name !== undefined) add('+name = ?', name);
  if (statuses !== undefined) add(`status IN (${marks(statuses)})`, ...statuses);
  if (version !== undefined) add('version = ?', version);
  if (parentInstanceId !== undefined) add('+parent_instance_id = ?', parentInstanceId);
  if (createdFromMs !== undefined) add('+created_at >= ?', createdFromMs);
  if (createdBeforeMs !== undefined) add('+created_at < ?', createdBeforeMs);
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
  return parts.reduce(both, EVERYWHERE);
}

/** Where a walk begins: behind the page before, or where the filter does. One of them only, so that SQLite seeks just that. */
function startOf({ orderBy, descending, after, filter }: InstanceQuery): Part {
  if (after !== null) return compare(orderBy, descending ? '<' : '>', after);
  return orderBy === 'createdAt' ? createdBound(filter, descending ? 'before' : 'from') : EVERYWHERE;
}

/** Where a walk ends by the filter. */
function stopOf({ orderBy, descending, filter }: InstanceQuery): Part {
  return orderBy === 'createdAt' ? createdBound(filter, descending ? 'from' : 'before') : EVERYWHERE;
}

function createdBound({ createdFromMs, createdBeforeMs }: InstanceFilter, bound: 'from' | 'before'): Part {
  const atMs = bound === 'from' ? createdFromMs : createdBeforeMs;
  return atMs === undefined ? EVERYWHERE : { sql: `created_at ${bound === 'from' ? '>=' : '<'} ?`, params: [atMs] };
}

function compare(orderBy: InstanceOrder, operator: string, { at, seq, instanceId }: ListPosition): Part {
  switch (orderBy) {
    case 'id':
      return { sql: `instance_id ${operator} ?`, params: [instanceId] };
    case 'createdAt':
      return { sql: `(created_at, instance_key) ${operator} (?, ?)`, params: [at, seq] };
    case 'endedAt':
      return { sql: `(ended_at, instance_key) ${operator} (?, ?)`, params: [at, seq] };
  }
}

function orderOf({ orderBy, descending }: InstanceQuery): string {
  const direction = descending ? 'DESC' : 'ASC';
  switch (orderBy) {
    case 'id':
      return `instance_id ${direction}`;
    case 'createdAt':
      return `created_at ${direction}, instance_key ${direction}`;
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

function isLiving({ statuses }: InstanceFilter): boolean {
  return statuses?.every((status) => !isEnded(status)) === true;
}

/** A page of rows that were found, and where to go on: behind its last row, or from where looking ended. */
function toList({ orderBy, limit }: InstanceQuery, found: readonly ListedRow[], end: ListPosition | null): InstanceList {
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  return { records: rows.map(toListed), next: found.length > limit && last !== undefined ? placeOf(last, orderBy) : end };
}

function toListed({ instanceKey: _instanceKey, ...row }: ListedRow): InstanceList['records'][number] {
  return toRecord(row);
}

function placeOf({ instanceId, instanceKey, createdAtMs, endedAtMs }: ListedRow, orderBy: InstanceOrder): ListPosition {
  switch (orderBy) {
    case 'id':
      return { at: 0, seq: 0, instanceId };
    case 'createdAt':
      return { at: createdAtMs, seq: instanceKey, instanceId: '' };
    case 'endedAt':
      return { at: endedAtMs ?? 0, seq: instanceKey, instanceId: '' };
  }
}

function comparePlaces(a: ListPosition, b: ListPosition): number {
  return a.at - b.at || a.seq - b.seq;
}
