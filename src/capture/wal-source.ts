/**
 * Capturing a WAL-mode database: the committed frames since the last capture become a level 0 file.
 *
 * Continuity [C3, C4]. A read transaction is always held, and every capture ends at a frame that SQLite itself
 * holds for committed. While the reader sits on a frame, nobody can restart the WAL. It sits on no frame
 * (`#restartable`) only when all frames had been captured and copied into the file; then the WAL can be restarted
 * once, and the next generation is captured from its beginning. Any other change of generation is a break and
 * leads to a resync.
 */
import { MillraceError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { WalSession } from "../sqlite/wal-session.ts";
import { frameSize, WAL_HEADER_SIZE, walSize } from "../wal/constants.ts";
import { sameGeneration, type WalHeader } from "../wal/header.ts";
import { scanWal, startOfGeneration, type WalChunk, type WalPosition } from "../wal/scan.ts";
import { CheckpointPolicy, runCheckpoint } from "./checkpoint.ts";
import { writeChunkPages } from "./chunk-pages.ts";
import { DatabaseImage } from "./image.ts";
import { boundarySnapshot, resync, type ResyncInput } from "./resync.ts";
import {
  announce,
  sameFile,
  identityOf,
  type DatabaseFile,
  type Source,
  type SourceContext,
} from "./source.ts";
import type { CaptureState, FileIdentity, Owed, WalMark } from "./state.ts";
import { WalFile } from "./wal-file.ts";

/** Where the last capture ended. */
interface Mark {
  readonly header: WalHeader;
  readonly position: WalPosition;
}

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

  /**
   * Goes on where `recorded` ended, if that can be proven; returns why not, if it cannot. Proven means: the same
   * generation with the same cumulative checksum at the recorded place; or its direct successor, with the
   * recorded frame still in place and the frame after it of neither generation, so that nothing followed it.
   */
  attach(recorded: CaptureState): string | undefined {
    if (!sameFile(recorded.file, this.#file.identity))
      return "the database file was replaced while Millrace was not running";
    if (recorded.wal === undefined) return "the WAL held nothing when Millrace stopped";
    const mark = recorded.wal;
    return this.#session.withWriteLock(() => {
      const found = this.#findMark(mark);
      if (typeof found === "string") return found;
      this.#mark = found;
      this.#session.advanceRead();
      const { frames, copied } = this.#session.committed();
      const end = walSize(frames, this.#kernel.pageSize);
      this.#broken = undefined;
      if (frames === copied) {
        if (end - found.position.offset > ATTACH_BACKLOG_BYTES) {
          this.#broken = "a long WAL was checkpointed before Millrace saw it";
        } else {
          this.#capture();
          this.#restartable = true;
        }
      }
      return this.#broken;
    });
  }

  #findMark(mark: WalMark): Mark | string {
    const header = this.#wal.header();
    const { pageSize } = this.#kernel;
    if (header === undefined) return "the WAL is gone or empty";
    if (header.pageSize !== pageSize) return "the WAL has another page size";
    const sum = { s0: mark.s0, s1: mark.s1 };
    const before = this.#wal.frameAt(mark.offset - frameSize(pageSize), pageSize);
    const intact =
      before !== undefined &&
      sameGeneration(before, mark) &&
      before.sum.s0 === sum.s0 &&
      before.sum.s1 === sum.s1;
    if (sameGeneration(header, mark)) {
      if (mark.offset === WAL_HEADER_SIZE) return { header, position: startOfGeneration(header) };
      return intact
        ? { header, position: { offset: mark.offset, sum } }
        : "the WAL was rewritten before the last captured frame";
    }
    const next = this.#wal.frameAt(mark.offset, pageSize);
    const successor = header.salt1 === (mark.salt1 + 1) >>> 0;
    if (intact && successor && next !== undefined && !sameGeneration(next, mark)) {
      return { header, position: startOfGeneration(header) };
    }
    return "the WAL was restarted while Millrace was not running";
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
      this.#broken = "the WAL was emptied by another program";
      return undefined;
    }
    // A generation that begins just now is captured at the next look.
    if (before === undefined || !sameGeneration(before, header))
      return this.#restartable ? undefined : this.#break(header);
    const endOffset = walSize(frames, header.pageSize);
    if (mark !== undefined && sameGeneration(mark.header, header)) {
      return endOffset > mark.position.offset
        ? { header, from: mark.position, endOffset }
        : undefined;
    }
    if (!this.#restartable) return this.#break(header);
    return { header, from: startOfGeneration(header), endOffset };
  }

  #break(header: WalHeader): undefined {
    this.#broken = `the WAL was restarted by another program (salt ${header.salt1.toString(16)})`;
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
      wal: mark === undefined ? undefined : walMark(mark),
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
        advance: () => this.#advance(),
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
    const frozen = this.#freeze(inStep);
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

  /**
   * Under the write lock, fixes an image of the database: which frames it consists of and where it ends. The
   * read transaction that begins before the lock is released keeps it readable.
   */
  #freeze(inStep: boolean): Frozen {
    const { files, line, clock } = this.#context;
    const kernel = this.#kernel;
    const ahead = this.#scanAll(undefined);
    return this.#session.withWriteLock(() => {
      if (inStep && !this.#capture())
        throw new MillraceError(
          "capture/state-invalid",
          `snapshot "${this.#file.path}": ${this.#broken}`,
        );
      const scanned = this.#scanAll(ahead);
      this.#session.advanceRead();
      const { frames, copied } = this.#session.committed();
      this.#restartable = frames === copied;
      const header = scanned?.header;
      const overlay =
        scanned === undefined
          ? undefined
          : {
              frames: scanned.frames,
              walFd: this.#wal.fd,
              holds: () => this.#wal.holds(scanned.header),
            };
      return {
        line,
        kernel,
        commit: scanned?.commit ?? this.#file.pageCount(kernel.pageSize),
        image: new DatabaseImage({ files, fd: this.#file.fd, kernel, overlay }),
        mark: scanned === undefined ? undefined : { header: scanned.header, position: scanned.end },
        header: {
          timestampMs: clock.now(),
          walOffset: scanned === undefined ? 0 : WAL_HEADER_SIZE,
          walSize: scanned === undefined ? 0 : scanned.end.offset - WAL_HEADER_SIZE,
          walSalt1: header?.salt1 ?? 0,
          walSalt2: header?.salt2 ?? 0,
        },
      };
    });
  }

  /** Scans the WAL's committed frames from its beginning, or on from an earlier scan of the same generation. */
  #scanAll(ahead: ScannedWal | undefined): ScannedWal | undefined {
    const header = this.#wal.header();
    const { frames } = this.#session.committed();
    if (header === undefined || frames === 0) return undefined;
    const known = ahead !== undefined && sameGeneration(ahead.header, header) ? ahead : undefined;
    const chunk = scanWal({
      kernel: this.#kernel,
      read: this.#wal.read,
      header,
      from: known?.end ?? startOfGeneration(header),
      endOffset: walSize(frames, header.pageSize),
      keepCutOff: true,
    });
    if (chunk.end.offset !== walSize(frames, header.pageSize)) {
      throw new MillraceError(
        "wal/invalid",
        `read WAL "${this.#wal.path}": frames end at byte ${chunk.end.offset}, SQLite holds ${frames} frames for committed`,
        { hint: "the WAL was changed by something other than SQLite, or the disk lost part of it" },
      );
    }
    const commit = chunk.transactions === 0 ? known?.commit : chunk.commit;
    if (commit === undefined) return undefined;
    return { header, commit, end: chunk.end, frames: merge(known?.frames, chunk.frames) };
  }

  /** Closes every connection; the WAL stays in place [C11]. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

interface ScannedWal {
  readonly header: WalHeader;
  readonly frames: ReadonlyMap<number, number>;
  readonly commit: number;
  readonly end: WalPosition;
}

interface Frozen extends Omit<ResyncInput, "complete"> {
  readonly mark: Mark | undefined;
}

function merge(
  older: ReadonlyMap<number, number> | undefined,
  newer: ReadonlyMap<number, number>,
): ReadonlyMap<number, number> {
  if (older === undefined) return newer;
  const merged = new Map(older);
  for (const [pgno, offset] of newer) merged.set(pgno, offset);
  return merged;
}

function walMark({ header, position }: Mark): WalMark {
  return {
    salt1: header.salt1,
    salt2: header.salt2,
    offset: position.offset,
    s0: position.sum.s0,
    s1: position.sum.s1,
  };
}
