// The code that instances need, numbered: the ready order of instances is kept per number, so that a fetch can ask for what its caller can
// run without looking at anything else. Neighbours: instance-table.ts and orchestrator-queue.ts number their instances, the fetch asks.
//
// C1. The list in memory holds what was read from the table, never what was just inserted: an item that fails takes its insert back. It is
//     read only where no insert of a running item can be in it (a fetch runs after the items, `byId` before its item writes), and forgotten
//     with the transaction.
// C2. Rows are never removed and numbers grow: what is new has a number above the highest known one.
import type Database from 'better-sqlite3';
import type { InstanceCode } from '../provider.ts';

type CodeRow = InstanceCode & { readonly codeId: number };

/** Tells whether the caller of a fetch can run a code. */
export type CodeFilter = (code: InstanceCode) => boolean;

/** Table `codes`, kept in memory. */
export class CodeTable {
  readonly #hasNew: Database.Statement;
  readonly #selectNew: Database.Statement;
  readonly #find: Database.Statement;
  readonly #insert: Database.Statement;
  #codes = new Map<number, InstanceCode>();
  /** The same by name: few each, and searching them costs less than making a key. */
  #byName = new Map<string, CodeRow[]>();
  #highest = 0;
  /** What each filter said. */
  #answers = new WeakMap<CodeFilter, Map<number, boolean>>();

  constructor(database: Database.Database) {
    this.#hasNew = database.prepare('SELECT 1 FROM codes WHERE code_id > ? LIMIT 1').pluck();
    this.#selectNew = database.prepare('SELECT code_id AS codeId, name, version, engine FROM codes WHERE code_id > ? ORDER BY code_id');
    this.#find = database.prepare('SELECT code_id FROM codes WHERE name = ? AND version IS ? AND engine = ?').pluck();
    this.#insert = database.prepare('INSERT INTO codes (name, version, engine) VALUES (?, ?, ?)');
  }

  /** Number of a code; a new one gets the next. Only inside a transaction. */
  idOf(name: string, version: string | null, engine: number): number {
    for (const known of this.#byName.get(name) ?? []) if (known.version === version && known.engine === engine) return known.codeId;
    const stored = this.#find.get(name, version, engine) as number | undefined;
    return stored ?? Number(this.#insert.run(name, version, engine).lastInsertRowid);
  }

  /** The code of a stored instance. To be called before anything of the item is written (C1). */
  byId(codeId: number): InstanceCode | undefined {
    if (!this.#codes.has(codeId)) this.refresh();
    return this.#codes.get(codeId);
  }

  /** Reads what was added since, by this process or another: each fetch asks, nearly always in vain, so a short look comes first. */
  refresh(): void {
    if (this.#hasNew.get(this.#highest) === undefined) return;
    for (const row of this.#selectNew.all(this.#highest) as CodeRow[]) {
      const { codeId, name, version, engine } = row;
      this.#codes.set(codeId, { name, version, engine });
      this.#byName.set(name, [...(this.#byName.get(name) ?? []), row]);
      this.#highest = codeId;
    }
  }

  /** Numbers of the known codes that a filter has not refused yet. */
  *candidates(filter: CodeFilter | undefined): Iterable<number> {
    const answers = filter === undefined ? undefined : this.#answers.get(filter);
    for (const codeId of this.#codes.keys()) if (answers?.get(codeId) !== false) yield codeId;
  }

  /** Asks a filter, once a code, and only for code that something needs. */
  accepts(filter: CodeFilter | undefined, codeId: number): boolean {
    const code = this.#codes.get(codeId);
    if (filter === undefined || code === undefined) return code !== undefined;
    const answers = this.#answers.get(filter) ?? new Map<number, boolean>();
    this.#answers.set(filter, answers);
    const known = answers.get(codeId);
    if (known !== undefined) return known;
    const answer = filter(code);
    answers.set(codeId, answer);
    return answer;
  }

  /** After a rollback: numbers that were read may not exist any more. */
  forget(): void {
    this.#codes = new Map();
    this.#byName = new Map();
    this.#highest = 0;
    this.#answers = new WeakMap();
  }
}
