/**
 * Where a restore puts the database, and how the new file takes the old one's place.
 *
 * Everything is written to `<output>.<unique>.tmp` beside the output; until that file is complete, proven
 * and flushed, nothing else is touched. Then, in this order:
 *
 * 1. Sidecars of the old database (`-wal`, `-shm`, `-journal`) are renamed to `<output>.<unique>.old-wal` and
 *    so on, and the directory is flushed. A log that belongs to the old file must never lie beside the new
 *    one: SQLite would apply it.
 * 2. The new file is renamed over the output and the directory is flushed.
 * 3. The set-aside sidecars are removed.
 *
 * A crash leaves: before 1, the old database as it was; between 1 and 2, the old file with its log renamed
 * beside it, and the proven new file under its temporary name (running the restore again, or renaming the
 * logs back, ends that state); after 2, the new database and at most some set-aside logs. If step 2 fails,
 * step 1 is undone.
 *
 * Whether an application has the old database open cannot be found out portably without opening it through
 * SQLite, which might recover or change it. So it is not asked: an application that keeps running goes on
 * with the old, now nameless file, and has to be stopped before a forced restore.
 */
import { basename, dirname, resolve } from "node:path";
import type { Random } from "../base/clock.ts";
import { isMillraceError, MillraceError, toMillraceError } from "../errors.ts";
import type { Files, FileStat } from "../platform/files.ts";

/** Files that SQLite would take for part of the database. */
export const SIDECAR_SUFFIXES = ["-wal", "-shm", "-journal"] as const;
/** Of a file that replaces none; the process's umask takes bits away. */
const NEW_FILE_MODE = 0o644;
/** While it is not known whether the old file's mode is stricter. */
const PRIVATE_MODE = 0o600;
const NAME_ATTEMPTS = 16;

export interface OutputOptions {
  readonly files: Files;
  /** Path of the database file to be. */
  readonly output: string;
  /** Whether an existing database may be replaced. */
  readonly force: boolean;
  readonly random: Random;
}

interface Move {
  readonly from: string;
  readonly to: string;
}

/** The place of one restore. Create the temporary file, fill and prove it, then `publish`; `discard` on every path. */
export class Output {
  /** The database file's path, absolute and without a symbolic link at its end. */
  readonly path: string;
  readonly #files: Files;
  readonly #force: boolean;
  readonly #random: Random;
  #unique: string | undefined;

  /** Throws `restore/output-exists` when something is there that must not be replaced. Changes nothing. */
  constructor(options: OutputOptions) {
    const absolute = resolve(options.output);
    this.#files = options.files;
    this.#force = options.force;
    this.#random = options.random;
    this.path = this.#files.realpath("restore output", absolute) ?? absolute;
    this.#check();
  }

  /** The path of the temporary file. */
  get temporaryPath(): string {
    return `${this.path}.${this.#unique ?? "unnamed"}.tmp`;
  }

  /** Creates missing parent directories and an empty temporary file. Returns its path. */
  createTemporary(): string {
    const op = "restore output create";
    this.#files.mkdir(op, dirname(this.path));
    const mode = this.#check() === undefined ? NEW_FILE_MODE : PRIVATE_MODE;
    for (let attempt = 1; ; attempt += 1) {
      this.#unique = Math.floor(this.#random() * 2 ** 32)
        .toString(16)
        .padStart(8, "0");
      try {
        this.#files.close(op, this.#files.open(op, this.temporaryPath, "wx", mode));
        return this.temporaryPath;
      } catch (error) {
        const isTaken = this.#files.stat(op, this.temporaryPath) !== undefined;
        this.#unique = undefined;
        if (!isTaken || attempt === NAME_ATTEMPTS) throw error;
      }
    }
  }

  /** Puts the finished, flushed temporary file in the output's place. See the head of this file for the order. */
  publish(): void {
    const op = "restore output publish";
    const temporary = this.temporaryPath;
    const existing = this.#check();
    if (existing !== undefined) this.#takeOver(temporary, existing);
    const moved = this.#setSidecarsAside();
    try {
      this.#files.rename(op, temporary, this.path);
    } catch (error) {
      // Over a network a rename may have happened although it failed; then the old logs must stay away.
      if (this.#files.stat(op, temporary) !== undefined) {
        throw this.#putBack(moved, error);
      }
    }
    this.#files.fsyncDirectory(op, dirname(this.path));
    this.#unique = undefined;
    for (const { to } of moved) this.#files.unlink(op, to);
  }

  /** Removes the temporary file if there is one. */
  discard(): void {
    if (this.#unique === undefined) return;
    const temporary = this.temporaryPath;
    this.#unique = undefined;
    this.#files.unlink("restore output discard", temporary);
  }

  /** What is at the output; throws unless it may be replaced. */
  #check(): FileStat | undefined {
    const op = "restore output check";
    const existing = this.#files.stat(op, this.path);
    if (existing !== undefined && !existing.isFile) {
      const found = existing.isDirectory ? "it is a directory" : "it is not a regular file";
      throw exists(this.path, found, "name the database file itself");
    }
    if (this.#force) return existing;
    if (existing !== undefined && existing.sizeBytes > 0) {
      throw exists(this.path, "the file exists", "remove it, choose another output, or use -force");
    }
    const sidecar = SIDECAR_SUFFIXES.map((suffix) => this.path + suffix).find(
      (path) => this.#files.stat(op, path) !== undefined,
    );
    if (sidecar !== undefined) {
      throw exists(
        this.path,
        `"${basename(sidecar)}" of another database is beside it`,
        "SQLite would apply it to the restored file: remove it, choose another output, or use -force",
      );
    }
    return existing;
  }

  /** The new file gets the mode and, where allowed, the owner of the one it replaces. */
  #takeOver(temporary: string, existing: FileStat): void {
    const op = "restore output mode";
    const own = this.#files.stat(op, temporary);
    if (own !== undefined && (own.uid !== existing.uid || own.gid !== existing.gid)) {
      try {
        this.#files.chown(op, temporary, existing);
      } catch (error) {
        // Only root may give files away; the content matters more than its owner.
        if (!(error instanceof MillraceError) || error.code !== "fs/permission") throw error;
      }
    }
    this.#files.chmod(op, temporary, existing.mode);
  }

  #setSidecarsAside(): Move[] {
    const op = "restore output set aside";
    const moved: Move[] = [];
    try {
      for (const suffix of SIDECAR_SUFFIXES) {
        const from = this.path + suffix;
        if (this.#files.stat(op, from) === undefined) continue;
        const to = `${this.path}.${this.#unique ?? ""}.old${suffix}`;
        // Noted before it is done: a rename that fails may have happened.
        moved.push({ from, to });
        this.#files.rename(op, from, to);
      }
      if (moved.length > 0) this.#files.fsyncDirectory(op, dirname(this.path));
    } catch (error) {
      throw this.#putBack(moved, error);
    }
    return moved;
  }

  /** Undoes `moved` because of `error`; returns that, with what is still to be done by hand if something is. */
  #putBack(moved: readonly Move[], error: unknown): unknown {
    const left: Move[] = [];
    for (const { from, to } of moved) {
      try {
        this.#files.rename("restore output put back", to, from);
      } catch (failure) {
        // A rename that failed may not have been needed: nothing had been moved.
        if (!isMillraceError(failure, "fs/not-found")) left.push({ from: to, to: from });
      }
    }
    if (left.length === 0) return error;
    const { code, message, details } = toMillraceError(error);
    const moves = left.map(({ from, to }) => `"${from}" to "${to}"`).join(", ");
    return new MillraceError(code, `${message}; logs of the old database could not be put back`, {
      op: "restore output put back",
      details: { ...details, left: left.map(({ from }) => from) },
      hint: `the old database is as it was, but its log lies aside: rename ${moves} before anybody opens it`,
      cause: error,
    });
  }
}

function exists(path: string, found: string, hint: string): MillraceError {
  return new MillraceError("restore/output-exists", `restore to "${path}": ${found}`, {
    op: "restore output check",
    details: { path },
    hint,
  });
}
