/**
 * An application's connection, in a process of its own: what it holds and drops of locks is nobody else's. Run as a
 * program it is that process: `node sql-process.ts DATABASE`.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

interface Answer {
  readonly rows?: readonly Record<string, unknown>[];
  readonly error?: string;
}

const BUSY_TIMEOUT_MS = 10_000;

export class SqlProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Opens or creates the database, in WAL mode. */
  static async open(path: string): Promise<SqlProcess> {
    const child = fork(fileURLToPath(import.meta.url), [path], { execArgv: [] });
    const process = new SqlProcess(child);
    await process.exec("PRAGMA journal_mode = WAL");
    return process;
  }

  /** Runs one statement or more; returns the rows of the last, if it is a query. */
  async exec(sql: string): Promise<readonly Record<string, unknown>[]> {
    const answered = once(this.#child, "message");
    this.#child.send(sql);
    const [answer] = (await answered) as [Answer];
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.rows ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.disconnect();
    await exited;
  }
}

function answer(db: DatabaseSync, sql: string): Answer {
  try {
    if (/^\s*(select|pragma)\b/i.test(sql)) return { rows: db.prepare(sql).all() };
    db.exec(sql);
    return {};
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

if (import.meta.main) {
  const db = new DatabaseSync(process.argv[2] ?? "", { timeout: BUSY_TIMEOUT_MS });
  process.on("message", (sql: string) => process.send?.(answer(db, sql)));
  process.on("disconnect", () => db.close());
}
