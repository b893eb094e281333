/**
 * Reading a rollback-journal database: one read-only connection that holds SQLite's SHARED lock only while a
 * diff runs, so that no writer can change the file under it [C9]. A hot journal is left to the application:
 * a read-only connection cannot roll it back, and says so.
 */
import { openConnection, translateSqliteError, type Connection } from "./database.ts";

export class RollbackSession implements Disposable {
  readonly #path: string;
  readonly #connection: Connection;

  constructor(path: string) {
    this.#path = path;
    this.#connection = openConnection(path, { readOnly: true });
  }

  /** Runs `body` under a read transaction. Throws `sqlite/busy` when a writer is committing right now. */
  withReadTransaction<T>(body: () => T): T {
    this.#run("begin read transaction", "BEGIN");
    try {
      this.#run("read schema", "SELECT 1 FROM sqlite_schema LIMIT 1");
      return body();
    } finally {
      // SQLite has ended the transaction by itself after some errors.
      if (this.#connection.isTransaction) this.#run("end read transaction", "ROLLBACK");
    }
  }

  #run(op: string, sql: string): void {
    try {
      this.#connection.prepare(sql).get();
    } catch (error) {
      throw translateSqliteError(error, op, this.#path);
    }
  }

  [Symbol.dispose](): void {
    if (this.#connection.isOpen) this.#connection.close();
  }
}
