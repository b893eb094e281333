/** What the two ways of capturing a database, by its WAL and by comparing its pages, have in common. */
import type { Clock } from "../base/clock.ts";
import { MillraceError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { FileStat, Files } from "../platform/files.ts";
import {
  DATABASE_HEADER_SIZE,
  parseDatabaseHeader,
  type DatabaseHeader,
} from "../sqlite/header.ts";
import type { CaptureEvent, CaptureOptions } from "./contract.ts";
import type { Line, LineFile } from "./line.ts";
import type { CaptureState, FileIdentity, Owed } from "./state.ts";

export interface SourceContext {
  readonly files: Files;
  readonly clock: Clock;
  readonly options: CaptureOptions;
  readonly line: Line;
  readonly kernel: (pageSize: number) => Kernel;
  readonly emit: (event: CaptureEvent) => void;
  /** Persists the continuity record; the line's position is added by the callee. */
  readonly save: (record: Pick<CaptureState, "file" | "wal" | "owed">) => void;
}

/** A database being captured. Disposing closes every connection and leaves the WAL in place. */
export interface Source extends Disposable {
  readonly phase: "wal" | "rollback";
  /** A cheap look: is there anything that `sync` would capture? */
  pending(): boolean;
  /** Captures every transaction committed so far. */
  sync(): void;
  /** Checkpoints when the policy says so; a no-op for rollback-journal databases. */
  maintain(): void;
  /** Compares or copies every page, or writes a boundary snapshot. */
  resync(owed: Owed): void;
  /** Another file lies under the path, or none. */
  moved(): "no" | "missing" | "replaced";
  readonly walBytes: number;
}

/** The database file, opened before any SQLite connection and closed after the last one [C2]. */
export class DatabaseFile implements Disposable {
  readonly #files: Files;
  readonly path: string;
  readonly fd: number;
  readonly identity: FileIdentity;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.path = path;
    this.fd = files.open("open database", path, "r");
    const stat = files.fstat("stat database", this.fd);
    this.identity = identityOf(stat);
    if (!stat.isFile) {
      files.close("close database", this.fd);
      throw new MillraceError(
        "sqlite/not-a-database",
        `open database "${path}": not a regular file`,
      );
    }
  }

  header(): DatabaseHeader {
    const bytes = new Uint8Array(DATABASE_HEADER_SIZE);
    const got = this.#files.read("read database header", this.fd, bytes, 0);
    return parseDatabaseHeader(bytes.subarray(0, got), this.path);
  }

  stat(): FileStat {
    return this.#files.fstat("stat database", this.fd);
  }

  /** Size in pages, as SQLite counts a file whose last page is incomplete. */
  pageCount(pageSize: number): number {
    return Math.ceil(this.stat().sizeBytes / pageSize);
  }

  moved(): "no" | "missing" | "replaced" {
    const stat = this.#files.stat("stat database", this.path);
    if (stat === undefined) return "missing";
    return sameFile(identityOf(stat), this.identity) ? "no" : "replaced";
  }

  [Symbol.dispose](): void {
    this.#files.close("close database", this.fd);
  }
}

export function identityOf(stat: { readonly dev: bigint; readonly ino: bigint }): FileIdentity {
  return { dev: String(stat.dev), ino: String(stat.ino) };
}

export function sameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Tells of a file that is durable now, if there is one. */
export function announce(context: SourceContext, file: LineFile | undefined): void {
  if (file !== undefined) context.emit({ type: "ltx", ...file });
}
