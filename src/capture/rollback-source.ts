/**
 * Capturing a rollback-journal database [C9]: when the file has changed, all of its pages are compared with the
 * page-checksum table under a read transaction, and those that differ become a level 0 file. The journal mode
 * (DELETE, TRUNCATE, PERSIST) makes no difference, and it is not changed.
 */
import { UNKNOWN_WAL_RANGE } from "../ltx/header.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { RollbackSession } from "../sqlite/rollback-session.ts";
import { DatabaseImage } from "./image.ts";
import { boundarySnapshot, resync } from "./resync.ts";
import { announce, type DatabaseFile, type Source, type SourceContext } from "./source.ts";
import type { Owed } from "./state.ts";

/** What shows that the file may have changed. */
interface Look {
  readonly changeCounter: number;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

export class RollbackSource implements Source {
  readonly phase = "rollback";
  readonly walBytes = 0;
  readonly #context: SourceContext;
  readonly #file: DatabaseFile;
  readonly #kernel: Kernel;
  readonly #session: RollbackSession;
  #seen: Look | undefined;

  constructor(context: SourceContext, file: DatabaseFile, pageSize: number) {
    this.#context = context;
    this.#file = file;
    this.#kernel = context.kernel(pageSize);
    this.#session = new RollbackSession(context.options.path);
  }

  moved(): "no" | "missing" | "replaced" {
    const moved = this.#file.moved();
    if (moved !== "no") return moved;
    const { journal, pageSize } = this.#file.header();
    return journal === "rollback" && pageSize === this.#kernel.pageSize ? "no" : "replaced";
  }

  #look(): Look {
    const { sizeBytes, mtimeMs } = this.#file.stat();
    return { changeCounter: this.#file.header().changeCounter, sizeBytes, mtimeMs };
  }

  pending(): boolean {
    const look = this.#look();
    const seen = this.#seen;
    return (
      seen === undefined ||
      seen.changeCounter !== look.changeCounter ||
      seen.sizeBytes !== look.sizeBytes ||
      seen.mtimeMs !== look.mtimeMs
    );
  }

  sync(): void {
    if (this.pending()) this.resync({ kind: "diff", reason: "the database file changed" });
  }

  maintain(): void {
    // There is no WAL to checkpoint.
  }

  resync(owed: Owed): void {
    const { line, clock, emit } = this.#context;
    const started = clock.monotonic();
    const { pageSize: sizeBefore, txid: txidBefore } = line.position;
    const resized = txidBefore > 0n && sizeBefore !== 0 && sizeBefore !== this.#kernel.pageSize;
    const complete = owed.kind === "full" || !line.trusted || resized;
    const boundary = owed.kind === "boundary" || resized;
    if (complete || boundary)
      this.#save({ kind: boundary ? "boundary" : "full", reason: owed.reason });
    this.#session.withReadTransaction(() => {
      const look = this.#look();
      const input = this.#input();
      const file = resync({ ...input, complete });
      announce(this.#context, file);
      this.#save(boundary ? { kind: "boundary", reason: owed.reason } : undefined);
      if (boundary) {
        announce(this.#context, boundarySnapshot(input));
        this.#save(undefined);
      }
      this.#seen = look;
      if (file === undefined && !boundary) return;
      emit({
        type: "resync",
        kind: boundary ? "boundary" : complete ? "full" : "diff",
        reason: owed.reason,
        txid: line.position.txid,
        pagesScanned: input.commit,
        pagesWritten: file?.pageCount ?? 0,
        durationMs: clock.monotonic() - started,
      });
    });
  }

  #input(): Omit<Parameters<typeof resync>[0], "complete"> {
    const { files, line, clock } = this.#context;
    const kernel = this.#kernel;
    return {
      line,
      kernel,
      commit: this.#file.pageCount(kernel.pageSize),
      image: new DatabaseImage({ files, fd: this.#file.fd, kernel }),
      header: { timestampMs: clock.now(), ...UNKNOWN_WAL_RANGE },
    };
  }

  #save(owed: Owed | undefined): void {
    this.#context.save({ file: this.#file.identity, wal: undefined, owed });
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}
