/** A database, an application connection on it and a capture of it, in one temporary directory. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Txid } from "../base/ids.ts";
import { Capture } from "../capture/capture.ts";
import { DEFAULT_CAPTURE, type CaptureEvent, type CaptureOptions } from "../capture/contract.ts";
import { openKernel } from "../kernel/kernel.ts";
import { systemClock } from "../platform/clock.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import { checkpointedCopy } from "./database-copy.ts";
import { replay } from "./replay.ts";

export interface BenchOptions extends Partial<Omit<CaptureOptions, "path" | "metaDir">> {
  readonly pageSize?: number | undefined;
  /** Default WAL. */
  readonly journalMode?: string | undefined;
  /** SQL before the first table, e.g. a pragma that must come first. */
  readonly prepare?: string | undefined;
  /** Create no database. */
  readonly absent?: boolean | undefined;
  readonly files?: Files | undefined;
}

export class CaptureBench implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "millrace-capture-"));
  readonly path: string = join(this.dir, "app.db");
  readonly metaDir: string = join(this.dir, ".app.db-millrace");
  readonly events: CaptureEvent[] = [];
  readonly #options: BenchOptions;
  #app: DatabaseSync | undefined;
  #capture: Capture | undefined;

  constructor(options: BenchOptions = {}) {
    this.#options = options;
    if (options.absent !== true) this.#app = this.createDatabase();
  }

  /** Creates the database as the options say; returns a connection that does not checkpoint by itself. */
  createDatabase(options: BenchOptions = this.#options): DatabaseSync {
    const app = new DatabaseSync(this.path, { timeout: 2000 });
    app.exec(`PRAGMA page_size = ${options.pageSize ?? 4096}; ${options.prepare ?? ""}`);
    app.exec(
      `PRAGMA journal_mode = ${options.journalMode ?? "wal"}; PRAGMA wal_autocheckpoint = 0`,
    );
    return app;
  }

  get app(): DatabaseSync {
    assert.ok(this.#app !== undefined, "the application is open");
    return this.#app;
  }

  set app(connection: DatabaseSync) {
    this.#app = connection;
  }

  /** Ends the application; as the last connection it checkpoints and removes the WAL. */
  closeApp(): void {
    this.#app?.close();
    this.#app = undefined;
  }

  /** Ends the application, puts another database, made by `sql`, in the place of this one, and opens that. */
  replaceDatabase(sql: string, options: BenchOptions = {}): void {
    this.closeApp();
    using other = new CaptureBench(options);
    other.app.exec(`${sql}; PRAGMA wal_checkpoint(TRUNCATE)`);
    other.closeApp();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${this.path}${suffix}`, { force: true });
    renameSync(other.path, this.path);
    this.app = new DatabaseSync(this.path);
  }

  get capture(): Capture {
    assert.ok(this.#capture !== undefined, "capture runs");
    return this.#capture;
  }

  /** Opens another capture of the same database. */
  open(): Capture {
    const {
      pageSize: _,
      journalMode: __,
      prepare: ___,
      absent: ____,
      files,
      ...options
    } = this.#options;
    const kernels = (pageSize: number): ReturnType<typeof openKernel> => openKernel({ pageSize });
    return new Capture(
      {
        files: files ?? nodeFiles,
        clock: systemClock,
        kernel: kernels,
        emit: (event) => this.events.push(event),
      },
      { ...DEFAULT_CAPTURE, ...options, path: this.path, metaDir: this.metaDir },
    );
  }

  start(): void {
    this.#capture ??= this.open();
    this.#capture.sync();
  }

  sync(): void {
    this.capture.sync();
  }

  /** Ends capture in order. */
  stop(): void {
    this.#capture?.[Symbol.dispose]();
    this.#capture = undefined;
  }

  resyncs(): Extract<CaptureEvent, { type: "resync" }>[] {
    return this.events.filter((event) => event.type === "resync");
  }

  walSizeBytes(): number {
    return statSync(`${this.path}-wal`).size;
  }

  /** What the database holds now, by SQLite. */
  expected(): Uint8Array {
    return checkpointedCopy(this.path);
  }

  /** The local line, applied file by file, equals the database byte for byte and adds up to its checksum. */
  verify(options: { readonly txid?: Txid | undefined } = {}): void {
    const replayed = replay(join(this.metaDir, "ltx", "0"));
    const expected = this.expected();
    assert.equal(replayed.image.length, expected.length, "size of the replica");
    assert.ok(Buffer.from(replayed.image).equals(expected), "replica equals the database");
    assert.equal(replayed.computed, replayed.recorded, "database checksum");
    assert.equal(replayed.txid, options.txid ?? this.capture.txid);
  }

  [Symbol.dispose](): void {
    this.stop();
    this.closeApp();
    if (existsSync(this.dir)) rmSync(this.dir, { recursive: true });
  }
}
