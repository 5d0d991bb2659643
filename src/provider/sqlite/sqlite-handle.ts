// What duraloom uses of a better-sqlite3 handle that belongs to the application, declared here so that users' compilers need no types of the driver.
// Neighbours: enlisted-store.ts works on such a handle; transactions/ takes it from callers and gives it to them.

/** A prepared statement. */
export interface SqliteStatement {
  run(...params: unknown[]): { readonly changes: number; readonly lastInsertRowid: number | bigint };
  get(...params: unknown[]): unknown;
  all(...params: unknown[]): unknown[];
}

/** A handle of better-sqlite3 (`new Database(file)`). */
export interface SqliteHandle {
  /** Path that it was opened with. */
  readonly name: string;
  readonly open: boolean;
  readonly inTransaction: boolean;
  readonly readonly: boolean;
  readonly memory: boolean;
  prepare(sql: string): SqliteStatement;
}
