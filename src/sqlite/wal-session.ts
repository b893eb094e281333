/**
 * The connections that capture holds on one WAL-mode database, and nothing else about it.
 *
 * - `writer` (read-write) takes the write lock by `BEGIN IMMEDIATE … COMMIT` with nothing written [C1];
 * - `checkpointer` (read-write) runs checkpoints, also while `writer` holds the write lock;
 * - two read-only readers, of which one always holds a read transaction [C3]. They are read-only so that the last
 *   connection to close cannot checkpoint or delete a WAL, not even one that has come to belong to another
 *   file of the same name [C11].
 *
 * POSIX locks belong to the process: the database file's own descriptor must be opened before this session and
 * closed after it [C2]. Source: sqlite.org/wal.html; architecture C1–C3, C7, C11.
 */
import type { Clock } from "../base/clock.ts";
import { isMillraceError } from "../errors.ts";
import {
  isBusy,
  openConnection,
  translateSqliteError,
  type Connection,
  type Statement,
} from "./database.ts";
import { requireSafeSqlite } from "./version.ts";

export type CheckpointMode = "PASSIVE" | "RESTART" | "TRUNCATE";

export interface CheckpointResult {
  /** A lock or a reader kept the checkpoint from completing. */
  readonly busy: boolean;
  /** Frames in the WAL; -1 when the checkpoint could not start. */
  readonly logFrames: number;
  /** Frames of these that are in the database file now. */
  readonly copiedFrames: number;
}

export interface WalSessionOptions {
  readonly path: string;
  readonly clock: Clock;
  /** How long to fight for a lock before giving up with `sqlite/busy`. */
  readonly busyTimeoutMs: number;
  /** What the library calls itself; for tests. */
  readonly sqliteVersion?: string | undefined;
}

/** Pause between attempts at a lock: SQLite's own busy handler sleeps too long to win against busy writers. */
const LOCK_RETRY_MS = 0.2;

const napCell = new Int32Array(new SharedArrayBuffer(4));

export class WalSession implements Disposable {
  readonly #options: WalSessionOptions;
  readonly #writer: Connection;
  readonly #checkpointer: Connection;
  readonly #noop: Statement;
  #reader: Connection;
  #spare: Connection;

  /** Opens all connections and begins the read transaction. Throws `sqlite/vulnerable` before it touches anything. */
  constructor(options: WalSessionOptions) {
    requireSafeSqlite(options.sqliteVersion ?? process.versions["sqlite"] ?? "unknown");
    this.#options = options;
    const opened: Connection[] = [];
    const open = (readOnly: boolean): Connection => {
      const connection = openConnection(options.path, { readOnly });
      opened.push(connection);
      return connection;
    };
    try {
      // The first read attaches the wal-index read-write; the readers share it and can set read marks.
      this.#writer = open(false);
      this.#configure(this.#writer);
      this.#checkpointer = open(false);
      this.#configure(this.#checkpointer);
      this.#noop = this.#checkpointer.prepare("PRAGMA wal_checkpoint(NOOP)");
      this.#reader = open(true);
      this.#spare = open(true);
      this.#beginRead(this.#reader);
    } catch (error) {
      for (const connection of opened) connection.close();
      throw error;
    }
  }

  #configure(connection: Connection): void {
    this.#retryWhileBusy("configure connection", () => {
      connection.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL");
      readSchema(connection);
    });
  }

  /** Moves the held read transaction to the present end of the WAL: the new one begins before the old one ends. */
  advanceRead(): void {
    this.#beginRead(this.#spare);
    this.#attempt("end read transaction", () => this.#reader.exec("COMMIT"));
    [this.#reader, this.#spare] = [this.#spare, this.#reader];
  }

  /**
   * Runs `body` while holding the write lock: nobody can append to or restart the WAL meanwhile. Nothing is
   * written. Throws `sqlite/busy` when the lock is not to be had in time.
   */
  withWriteLock<T>(body: () => T): T {
    this.#retryWhileBusy("take write lock", () => this.#writer.exec("BEGIN IMMEDIATE"));
    return this.#locked(body);
  }

  /** The same for work that can wait: `undefined` when the lock is not to be had within `patienceMs`. */
  tryWithWriteLock<T>(patienceMs: number, body: () => T): T | undefined {
    try {
      const op = "take write lock";
      this.#retryWhileBusy(op, () => this.#writer.exec("BEGIN IMMEDIATE"), patienceMs);
    } catch (error) {
      if (isMillraceError(error, "sqlite/busy")) return undefined;
      throw error;
    }
    return this.#locked(body);
  }

  #locked<T>(body: () => T): T {
    try {
      return body();
    } finally {
      this.#attempt("release write lock", () => this.#writer.exec("COMMIT"));
    }
  }

  /**
   * What SQLite itself holds for committed: frames in the WAL and how many of them are in the database file.
   * Touches no file. A frame that a killed writer left behind is not counted, although its checksum is right.
   */
  committed(): { readonly frames: number; readonly copied: number } {
    const row = this.#attempt("read WAL state", () => this.#noop.get());
    return { frames: Number(row?.["log"]), copied: Number(row?.["checkpointed"]) };
  }

  /** One checkpoint; tries again for `patienceMs` while another checkpointer is at work. */
  checkpoint(
    mode: CheckpointMode,
    options: { readonly patienceMs?: number | undefined } = {},
  ): CheckpointResult {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + (options.patienceMs ?? 0);
    for (;;) {
      const result = this.#checkpointOnce(mode);
      if (!result.busy || clock.monotonic() >= deadline) return result;
      nap();
    }
  }

  #checkpointOnce(mode: CheckpointMode): CheckpointResult {
    try {
      const row = this.#checkpointer.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
      return {
        busy: Number(row?.["busy"]) !== 0,
        logFrames: Number(row?.["log"]),
        copiedFrames: Number(row?.["checkpointed"]),
      };
    } catch (error) {
      if (isBusy(error)) return { busy: true, logFrames: -1, copiedFrames: -1 };
      throw translateSqliteError(error, `checkpoint ${mode}`, this.#options.path);
    }
  }

  #beginRead(connection: Connection): void {
    this.#retryWhileBusy("begin read transaction", () => {
      connection.exec("BEGIN");
      try {
        readSchema(connection);
      } catch (error) {
        connection.exec("ROLLBACK");
        throw error;
      }
    });
  }

  #retryWhileBusy(
    op: string,
    attempt: () => void,
    patienceMs: number = this.#options.busyTimeoutMs,
  ): void {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + patienceMs;
    for (;;) {
      try {
        attempt();
        return;
      } catch (error) {
        if (isBusy(error) && clock.monotonic() < deadline) nap();
        else throw translateSqliteError(error, op, this.#options.path);
      }
    }
  }

  #attempt<T>(op: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw translateSqliteError(error, op, this.#options.path);
    }
  }

  /** Read-write connections close first, while a read transaction is held; the WAL stays in place [C11]. */
  [Symbol.dispose](): void {
    for (const connection of [this.#writer, this.#checkpointer, this.#spare, this.#reader]) {
      if (connection.isOpen) connection.close();
    }
  }
}

/** Reading the schema table is what makes SQLite take a read mark. */
function readSchema(connection: Connection): void {
  connection.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get();
}

function nap(): void {
  Atomics.wait(napCell, 0, 0, LOCK_RETRY_MS);
}
