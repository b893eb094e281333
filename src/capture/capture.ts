/**
 * Captures one database for as long as it lives: finds it, attaches to it by its WAL or by comparison, follows it
 * through replacement, deletion and change of journal mode, and keeps one TXID line throughout [C8].
 *
 * Synchronous: every method returns when its work is done. Who calls it, and when, is the worker's matter.
 */
import { formatTxid, NO_TXID, type Txid } from "../base/ids.ts";
import type { Clock } from "../base/clock.ts";
import { MillraceError, toErrorRecord, toMillraceError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Files } from "../platform/files.ts";
import { takeProcessLock } from "../sqlite/process-lock.ts";
import type {
  CaptureEvent,
  CaptureOptions,
  CapturePhase,
  CaptureStatus,
  MoveRequest,
} from "./contract.ts";
import { Line } from "./line.ts";
import { metaPaths, type MetaPaths } from "./meta-dir.ts";
import { RollbackSource } from "./rollback-source.ts";
import { DatabaseFile, type Source, type SourceContext } from "./source.ts";
import { StateFile, type CaptureState, type Owed } from "./state.ts";
import { WalSource } from "./wal-source.ts";

export interface CaptureContext {
  readonly files: Files;
  readonly clock: Clock;
  /** A kernel for the page size; shared by the databases of a thread. */
  readonly kernel: (pageSize: number) => Kernel;
  readonly emit: (event: CaptureEvent) => void;
}

export class Capture implements Disposable {
  readonly #context: CaptureContext;
  readonly #options: CaptureOptions;
  readonly #meta: MetaPaths;
  #lock: Disposable;
  #line: Line;
  /** The highest TXID that was told of, by level. */
  readonly #announced = new Map<number, Txid>();
  readonly #stateFile: StateFile;
  #state: CaptureState | undefined;
  #attached: { readonly file: DatabaseFile; readonly source: Source } | undefined;
  #owed: Owed | undefined;
  #phase: CapturePhase = "starting";
  #failures = 0;
  #error: MillraceError | undefined;

  /** Takes the database's local directory for this process and finds the end of its line. */
  constructor(context: CaptureContext, options: CaptureOptions) {
    this.#context = context;
    this.#options = options;
    this.#meta = metaPaths(options.metaDir);
    this.#stateFile = new StateFile(context.files, this.#meta.state);
    context.files.mkdir("create meta directory", this.#meta.root, 0o700);
    this.#lock = this.#takeLock();
    try {
      this.#line = this.#openLine();
    } catch (error) {
      this.#lock[Symbol.dispose]();
      throw error;
    }
  }

  #takeLock(): Disposable {
    const lock = takeProcessLock(this.#meta.lock);
    if (lock !== undefined) return lock;
    throw new MillraceError(
      "capture/busy",
      `capture "${this.#options.path}": another Millrace process already does, it holds "${this.#meta.lock}"`,
      {
        hint: "stop the other process, or give this one another meta directory",
        details: { path: this.#options.path },
      },
    );
  }

  #openLine(): Line {
    const { files } = this.#context;
    using stack = new DisposableStack();
    this.#state = this.#stateFile.load();
    const line = stack.use(new Line(files, this.#meta, { pageFormat: this.#options.pageFormat }));
    const problem = line.recover(this.#state);
    this.#owed = this.#state?.owed;
    if (problem !== undefined) this.#owed = this.#fullCopyOwed(problem);
    for (const file of line.localFiles()) this.#announced.set(file.level, file.maxTxid);
    stack.move();
    return line;
  }

  #fullCopyOwed(reason: string): Owed {
    return { kind: this.#owed?.kind === "boundary" ? "boundary" : "full", reason };
  }

  /** After a failed write: finds out what became of it, and tells of files that nobody was told of. */
  #reload(): void {
    const problem = this.#line.recover(this.#state);
    if (problem !== undefined) this.#owed = this.#fullCopyOwed(problem);
    for (const file of this.#line.localFiles()) {
      if (file.maxTxid > (this.#announced.get(file.level) ?? NO_TXID)) {
        this.#emit({ type: "ltx", ...this.#line.describe(file) });
      }
    }
  }

  #emit(event: CaptureEvent): void {
    if (event.type === "ltx") this.#announced.set(event.level, event.maxTxid);
    this.#context.emit(event);
  }

  get txid(): Txid {
    return this.#line.position.txid;
  }

  status(): CaptureStatus {
    const { txid, pageSize, commit } = this.#line.position;
    return {
      phase: this.#phase,
      txid,
      pageSize,
      commit,
      walBytes: this.#attached?.source.walBytes ?? 0,
      error: this.#error === undefined ? undefined : toErrorRecord(this.#error),
    };
  }

  /** Files already on local disk, for a shipper that starts. */
  localFiles(): readonly {
    readonly level: number;
    readonly minTxid: Txid;
    readonly maxTxid: Txid;
  }[] {
    return this.#line.localFiles();
  }

  /** A cheap look, a few microseconds: would `sync` do anything? */
  pending(): boolean {
    if (this.#attached === undefined || this.#error !== undefined || this.#owed !== undefined)
      return true;
    return this.#attached.source.moved() !== "no" || this.#attached.source.pending();
  }

  /**
   * Captures everything committed so far and checkpoints when due. Throws what went wrong; nothing is lost by it, and
   * the next call tries again.
   */
  sync(): Txid {
    try {
      this.#step();
      this.#succeeded();
    } catch (error) {
      this.#failed(toMillraceError(error));
      throw error;
    }
    return this.txid;
  }

  #step(): void {
    this.#checkMetaDir();
    if (this.#line.stale) this.#reload();
    this.#checkMoved();
    if (this.#attached === undefined && !this.#attach()) return;
    const source = this.#attached?.source;
    if (source === undefined) return;
    if (this.#owed !== undefined) {
      source.resync(this.#owed);
      this.#owed = undefined;
    }
    source.sync();
    source.maintain();
  }

  /** The local directory may be deleted under a running process; everything in it is then made anew. */
  #checkMetaDir(): void {
    const { files } = this.#context;
    if (files.stat("check meta directory", this.#meta.pageTable) !== undefined) return;
    const { txid } = this.#line.position;
    this.#detach();
    this.#line[Symbol.dispose]();
    files.mkdir("create meta directory", this.#meta.root, 0o700);
    this.#lock[Symbol.dispose]();
    this.#lock = this.#takeLock();
    this.#line = new Line(files, this.#meta, { pageFormat: this.#options.pageFormat });
    this.#line.moveTo(txid);
    this.#state = undefined;
    this.#owed = { kind: "boundary", reason: "the local directory was deleted" };
  }

  #checkMoved(): void {
    const moved = this.#attached?.source.moved() ?? "no";
    if (moved === "no") return;
    this.#detach();
    if (moved === "missing") {
      this.#enter("missing", `no file at "${this.#options.path}"`);
      return;
    }
    this.#emit({
      type: "replaced",
      reason: `another file lies at "${this.#options.path}", or its journal mode changed`,
    });
  }

  /** Opens the database; false while there is nothing to open. */
  #attach(): boolean {
    const { files } = this.#context;
    const { path } = this.#options;
    const stat = files.stat("find database", path);
    if (stat === undefined || stat.sizeBytes === 0) {
      this.#enter("missing", stat === undefined ? `no file at "${path}"` : `"${path}" is empty`);
      return false;
    }
    using stack = new DisposableStack();
    const file = stack.use(new DatabaseFile(files, path));
    const { journal, pageSize } = file.header();
    const context = this.#sourceContext();
    if (journal === "rollback") {
      this.#attached = { file, source: stack.use(new RollbackSource(context, file, pageSize)) };
    } else {
      const source = stack.use(new WalSource(context, file, pageSize));
      this.#owed ??= this.#resume(source);
      this.#attached = { file, source };
    }
    stack.move();
    this.#enter(this.#attached.source.phase);
    return true;
  }

  #resume(source: WalSource): Owed | undefined {
    const reason =
      this.#state === undefined ? "the local state is missing" : source.attach(this.#state);
    return reason === undefined ? undefined : { kind: "diff", reason };
  }

  #sourceContext(): SourceContext {
    const { files, clock, kernel } = this.#context;
    return {
      files,
      clock,
      kernel,
      emit: (event) => this.#emit(event),
      options: this.#options,
      line: this.#line,
      save: (record) => {
        this.#state = { ...this.#line.position, ...record };
        this.#stateFile.save(this.#state);
      },
    };
  }

  #detach(): void {
    const attached = this.#attached;
    this.#attached = undefined;
    attached?.source[Symbol.dispose]();
    attached?.file[Symbol.dispose]();
  }

  #enter(phase: CapturePhase, reason?: string): void {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#emit({ type: "phase", phase, reason });
  }

  #succeeded(): void {
    if (this.#error === undefined) return;
    this.#error = undefined;
    this.#failures = 0;
    this.#emit({ type: "recovered" });
  }

  #failed(error: MillraceError): void {
    this.#error = error;
    this.#failures += 1;
    if (error.code.startsWith("sqlite/") && this.#attached === undefined)
      this.#enter("waiting", error.message);
    this.#emit({
      type: "failing",
      error: toErrorRecord(error),
      consecutive: this.#failures,
    });
  }

  /** Checkpoints when due although nothing was committed; cheap when not. */
  maintain(): void {
    if (this.#error === undefined && this.#owed === undefined) this.#attached?.source.maintain();
  }

  /** Asks for a level 9 snapshot at the next sync, because the destination's line has a hole [C6]. */
  requireBoundary(reason: string): void {
    this.#owe({ kind: "boundary", reason });
  }

  /**
   * Leaves the present line: goes on after `txid` (or after the local TXID, if that is higher) with a complete copy, because
   * the destination holds something else up to there. A snapshot 1-N comes with it when asked for, or when the
   * destination would otherwise have a hole.
   */
  moveTo({ txid, snapshot }: MoveRequest): void {
    const last = txid > this.txid ? txid : this.txid;
    const kind = snapshot || last !== txid ? "boundary" : "full";
    this.#line.moveTo(last);
    this.#owe({
      kind,
      reason: `the destination holds another line up to TXID ${formatTxid(txid)}`,
    });
  }

  #owe(owed: Owed): void {
    this.#owed = owed;
    const state = this.#state;
    if (state === undefined) return;
    this.#state = { ...state, ...this.#line.position, owed };
    this.#stateFile.save(this.#state);
  }

  /** Deletes local files that every destination holds. */
  release(durable: Txid): void {
    this.#line.release(durable);
  }

  /** Ends capture; the WAL stays in place, so that the next start goes on where this one ended. */
  [Symbol.dispose](): void {
    this.#detach();
    this.#line[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
    this.#enter("closed");
  }
}
