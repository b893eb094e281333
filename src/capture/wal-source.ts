/**
 * Capturing a WAL-mode database: the committed frames since the last capture become a level 0 file.
 *
 * Continuity [C3, C4]. A read transaction is always held, and every capture ends at a frame that SQLite itself
 * holds for committed. While the reader sits on a frame, nobody can restart the WAL. It sits on no frame
 * (`#restartable`) only when all frames had been captured and copied into the file; then the WAL can be restarted
 * once, and the next generation is captured from its beginning. Any other change of generation is a break and
 * leads to a resync.
 */
import type { Kernel } from "../kernel/kernel.ts";
import { WalSession } from "../sqlite/wal-session.ts";
import { walSize } from "../wal/constants.ts";
import { sameGeneration, type WalHeader } from "../wal/header.ts";
import { scanWal, startOfGeneration, type WalChunk, type WalPosition } from "../wal/scan.ts";
import { CheckpointPolicy, runCheckpoint } from "./checkpoint.ts";
import { writeChunkPages } from "./chunk-pages.ts";
import { boundarySnapshot, resync } from "./resync.ts";
import {
  announce,
  sameFile,
  identityOf,
  type DatabaseFile,
  type Source,
  type SourceContext,
} from "./source.ts";
import type { CaptureState, FileIdentity, Owed } from "./state.ts";
import { WalFile } from "./wal-file.ts";
import { freezeWal } from "./wal-freeze.ts";
import { findMark, recordMark, type Mark } from "./wal-mark.ts";

/** A backlog up to this size is captured under the write lock when a start finds everything checkpointed. */
const ATTACH_BACKLOG_BYTES = 64 << 20;

export class WalSource implements Source {
  readonly phase = "wal";
  readonly #context: SourceContext;
  readonly #file: DatabaseFile;
  readonly #kernel: Kernel;
  readonly #stack: DisposableStack;
  readonly #session: WalSession;
  readonly #wal: WalFile;
  readonly #walIdentity: FileIdentity;
  readonly #policy: CheckpointPolicy;
  #mark: Mark | undefined;
  /** The reader may sit on no frame: one restart of the WAL is expected and harmless. */
  #restartable = false;
  #broken: string | undefined = "capture starts";

  /** Opens the connections; `file` stays the caller's. */
  constructor(context: SourceContext, file: DatabaseFile, pageSize: number) {
    this.#context = context;
    this.#file = file;
    this.#kernel = context.kernel(pageSize);
    const { path, busyTimeoutMs } = context.options;
    using stack = new DisposableStack();
    this.#session = stack.use(new WalSession({ path, clock: context.clock, busyTimeoutMs }));
    this.#wal = stack.use(new WalFile(context.files, `${path}-wal`));
    this.#walIdentity = this.#wal.identity();
    this.#policy = new CheckpointPolicy(context.clock, context.options);
    this.#stack = stack.move();
  }

  get walBytes(): number {
    return this.#mark?.position.offset ?? 0;
  }

  get session(): WalSession {
    return this.#session;
  }

  /** Goes on where `recorded` ended, if that can be proven; returns why not, if it cannot. */
  attach(recorded: CaptureState): string | undefined {
    if (!sameFile(recorded.file, this.#file.identity)) {
      return "the database file was replaced while Millrace was not running";
    }
    const { wal } = recorded;
    if (wal === undefined) return "the WAL held nothing when Millrace stopped";
    return this.#session.withWriteLock(() => {
      const { frames, copied } = this.#session.committed();
      const found = findMark(this.#wal, wal, { kernel: this.#kernel, committedFrames: frames });
      if (typeof found === "string") return found;
      this.#mark = found;
      this.#broken = undefined;
      this.#session.advanceRead();
      // With everything copied the reader sits on no frame: what is not captured now could be overwritten.
      if (frames === copied) this.#attachRestartable(walSize(frames, this.#kernel.pageSize));
      return this.#broken;
    });
  }

  #attachRestartable(endOffset: number): void {
    if (endOffset - this.walBytes > ATTACH_BACKLOG_BYTES) {
      this.#broken = "a long WAL was checkpointed before Millrace saw it";
    } else if (this.#capture()) {
      this.#restartable = true;
    }
  }

  moved(): "no" | "missing" | "replaced" {
    const moved = this.#file.moved();
    if (moved !== "no") return moved;
    const stat = this.#context.files.stat("stat wal", this.#wal.path);
    return stat !== undefined && sameFile(identityOf(stat), this.#walIdentity) ? "no" : "replaced";
  }

  pending(): boolean {
    if (this.#broken !== undefined) return true;
    const { frames } = this.#session.committed();
    const header = this.#wal.header();
    if (header === undefined) return frames > 0;
    if (this.#mark !== undefined && sameGeneration(header, this.#mark.header)) {
      return walSize(frames, header.pageSize) > this.#mark.position.offset;
    }
    return frames > 0;
  }

  sync(): void {
    if (this.#capture()) return;
    this.resync({ kind: "diff", reason: this.#broken ?? "unknown" });
  }

  /** Captures everything committed so far; false when the WAL's continuity is broken. */
  #capture(): boolean {
    while (this.#broken === undefined && this.#captureChunk());
    return this.#broken === undefined;
  }

  /** Captures one chunk; false when nothing is left. */
  #captureChunk(): boolean {
    const wal = this.#committedEnd();
    if (wal === undefined) return false;
    const { header, from, endOffset } = wal;
    const chunk = scanWal({
      kernel: this.#kernel,
      read: this.#wal.read,
      header,
      from,
      endOffset,
      maxBytes: this.#context.options.maxSyncWalBytes,
    });
    if (!chunk.limited && chunk.end.offset !== endOffset) {
      this.#broken = `the WAL cannot be read past byte ${chunk.end.offset}, although SQLite holds ${endOffset} bytes for committed`;
      return false;
    }
    this.#append(header, from, chunk);
    return chunk.limited;
  }

  /** What lies between the mark and the last committed frame; `undefined` when nothing does, or it is a break. */
  #committedEnd(): { header: WalHeader; from: WalPosition; endOffset: number } | undefined {
    const before = this.#wal.header();
    const { frames } = this.#session.committed();
    const header = this.#wal.header();
    const mark = this.#mark;
    if (header === undefined || frames === 0) {
      // Restarted and not yet written to, or never written to.
      if (mark === undefined || this.#restartable) return undefined;
      return this.#break("the WAL was emptied by another program");
    }
    const endOffset = walSize(frames, header.pageSize);
    if (mark !== undefined && sameGeneration(mark.header, header)) {
      const captured = mark.position.offset;
      if (endOffset > captured) return { header, from: mark.position, endOffset };
      if (endOffset === captured) return undefined;
      return this.#break("SQLite holds fewer frames for committed than were captured");
    }
    if (!this.#restartable) return this.#break("the WAL was restarted by another program");
    // The number of frames may still be that of the generation before: the next look is sure.
    if (before === undefined || !sameGeneration(before, header)) return undefined;
    return { header, from: startOfGeneration(header), endOffset };
  }

  #break(reason: string): undefined {
    this.#broken = reason;
    return undefined;
  }

  #append(header: WalHeader, from: WalPosition, chunk: WalChunk): void {
    const { files, line, clock } = this.#context;
    const kernel = this.#kernel;
    const commitBefore = line.position.commit;
    const pages = {
      files,
      kernel,
      wal: this.#wal,
      databaseFd: this.#file.fd,
      header,
      from,
      chunk,
      commitBefore,
    };
    const file = line.append({
      kernel,
      commit: chunk.commit,
      timestampMs: clock.now(),
      walOffset: from.offset,
      walSize: chunk.end.offset - from.offset,
      walSalt1: header.salt1,
      walSalt2: header.salt2,
      complete: false,
      pages: (write) => writeChunkPages(pages, write),
    });
    announce(this.#context, file);
    this.#mark = { header, position: chunk.end };
    this.#restartable = false;
    this.#policy.captured();
    this.#save();
  }

  #save(owed?: Owed): void {
    const mark = this.#mark;
    this.#context.save({
      file: this.#file.identity,
      wal: mark === undefined ? undefined : recordMark(mark),
      owed,
    });
  }

  maintain(): void {
    const { options } = this.#context;
    const { pageSize } = this.#kernel;
    if (this.#broken !== undefined || !this.#policy.due(this.walBytes, pageSize)) return;
    const truncate = this.#wal.sizeBytes() > walSize(options.truncatePages, pageSize);
    const report = runCheckpoint(
      {
        session: this.#session,
        clock: this.#context.clock,
        capture: () => this.#capture(),
        pending: () => this.pending(),
        advance: () => this.#advance(),
        flush: () => this.#context.files.fsync("flush database for checkpoint", this.#file.fd),
        expectRestart: () => (this.#restartable = true),
      },
      { truncate },
    );
    if (report === undefined) return;
    this.#policy.ran(report.restarted, this.walBytes);
    this.#context.emit({ type: "checkpoint", ...report });
  }

  #advance(): void {
    const before = this.#session.committed();
    this.#session.advanceRead();
    const after = this.#session.committed();
    // The reader sits on no frame exactly when everything was copied at the moment it began.
    if (before.copied === before.frames || after.copied === after.frames) this.#restartable = true;
  }

  resync(owed: Owed): void {
    const { line, clock, emit } = this.#context;
    const started = clock.monotonic();
    const { pageSize: sizeBefore, txid: txidBefore } = line.position;
    const inStep = this.#broken === undefined && line.trusted && owed.kind === "boundary";
    if (!inStep) {
      this.#broken ??= owed.reason;
      this.#mark = undefined;
      this.#save(owed);
    }
    const frozen = freezeWal({
      ...this.#context,
      kernel: this.#kernel,
      session: this.#session,
      wal: this.#wal,
      file: this.#file,
      beforeFreeze: () => !inStep || this.#capture(),
    });
    this.#restartable = frozen.restartable;
    const complete = owed.kind === "full" || !line.trusted || sizeBefore !== this.#kernel.pageSize;
    const file = inStep ? undefined : resync({ ...frozen, complete });
    announce(this.#context, file);
    this.#mark = frozen.mark;
    this.#broken = undefined;
    const boundary =
      owed.kind === "boundary" ||
      (complete && txidBefore > 0n && sizeBefore !== 0 && sizeBefore !== this.#kernel.pageSize);
    this.#save(boundary ? { kind: "boundary", reason: owed.reason } : undefined);
    if (boundary) {
      announce(this.#context, boundarySnapshot(frozen));
      this.#save();
    }
    this.#policy.captured();
    emit({
      type: "resync",
      kind: boundary ? "boundary" : complete ? "full" : "diff",
      reason: owed.reason,
      txid: line.position.txid,
      pagesScanned: frozen.commit,
      pagesWritten: file?.pageCount ?? 0,
      durationMs: clock.monotonic() - started,
    });
  }

  /** Closes every connection; the WAL stays in place [C11]. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
