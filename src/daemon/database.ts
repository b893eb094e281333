/**
 * One replicated database: capture on one side, destinations on the other, and what each must know of the other.
 *
 * capture "ltx" -> queue -> destinations; "released" -> capture may delete; a destination that cannot be continued
 * -> capture makes a snapshot, or goes on further along the line.
 */
import { NO_TXID, type Txid } from "../base/ids.ts";
import type { CaptureHandle, CaptureThread } from "../capture/client.ts";
import type { CaptureEvent, CaptureOptions } from "../capture/contract.ts";
import { metaPaths } from "../capture/meta-dir.ts";
import { loadState } from "../capture/state.ts";
import {
  fromErrorRecord,
  toErrorRecord,
  toMillraceError,
  type ErrorRecord,
  type MillraceError,
} from "../errors.ts";
import type { LeaseKeeperEvent } from "../lease/keeper-options.ts";
import type { LineEvent, ShipEvent } from "../ship/contract.ts";
import { LocalLine } from "../ship/local-line.ts";
import type { LtxStore } from "../storage/ltx-store.ts";
import type { DatabaseStatus, ReplicationEvent } from "./contract.ts";
import { CaptureRequests } from "./capture-requests.ts";
import { Destination } from "./destination.ts";
import { LagMarks } from "./lag.ts";
import { DestinationLease, leaseOwner, type LeaseOptions } from "./lease.ts";
import { withoutDebug } from "./log-event.ts";
import type { ReplicatorContext } from "./context.ts";

export interface Target {
  readonly name: string;
  readonly store: LtxStore;
  readonly lease: LeaseOptions;
}

export interface DatabaseSetup {
  readonly capture: CaptureOptions;
  readonly targets: readonly Target[];
  readonly onEvent: (event: ReplicationEvent) => void;
}

export class ReplicatedDatabase implements AsyncDisposable {
  readonly path: string;
  readonly metaDir: string;
  readonly #context: ReplicatorContext;
  readonly #setup: DatabaseSetup;
  readonly #line: LocalLine;
  readonly #handle: CaptureHandle;
  readonly #lag = new LagMarks();
  readonly #destinations: Destination[] = [];
  #txid: Txid;
  /** Up to here a destination has somebody else's transactions; ours went on after them. */
  #foreignTxid: Txid = NO_TXID;
  #rebasedTxid: Txid = NO_TXID;
  #phase: DatabaseStatus["phase"] = "starting";
  #error: ErrorRecord | undefined;
  #stoppedBy: MillraceError | undefined;
  readonly #stop = new AbortController();
  readonly #requests: CaptureRequests;

  /** Begins to capture and to ship. Throws `capture/busy`, `fs/*`; then nothing goes on. */
  static async open(
    context: ReplicatorContext,
    thread: CaptureThread,
    setup: DatabaseSetup,
  ): Promise<ReplicatedDatabase> {
    // What capture tells before there is somebody to listen.
    const early: CaptureEvent[] = [];
    let hear = (event: CaptureEvent): void => void early.push(event);
    const handle = await thread.add(setup.capture, (event) => hear(event));
    const database = new ReplicatedDatabase(context, handle, setup);
    hear = (event) => database.#captured(event);
    for (const event of early) database.#captured(event);
    await database.#ship();
    return database;
  }

  private constructor(context: ReplicatorContext, handle: CaptureHandle, setup: DatabaseSetup) {
    const { files, clock, logger } = context;
    this.path = setup.capture.path;
    this.metaDir = setup.capture.metaDir;
    this.#context = context;
    this.#setup = setup;
    this.#handle = handle;
    this.#requests = new CaptureRequests({
      handle,
      clock,
      onFailing: (error) => this.#captureFailed(toErrorRecord(error), 1),
      onDefect: (error) => this.fail(error),
    });
    const meta = metaPaths(this.metaDir);
    const state = loadState(files, meta.state);
    this.#txid = handle.initial.txid;
    this.#lag.captured(this.#txid, clock.now());
    this.#line = new LocalLine({
      files,
      clock,
      directory: meta.ltx,
      logger: logger.with({ db: this.path }),
      anchor: state && { txid: state.txid, checksum: state.databaseChecksum },
      onEvent: (event) => this.#lineMoved(event),
    });
  }

  async #ship(): Promise<void> {
    const { files, clock, random, logger } = this.#context;
    const owner = leaseOwner(this.#context, this.metaDir);
    const context = { ...this.#context, logger: logger.with({ db: this.path }) };
    for (const { name, store, lease: options } of this.#setup.targets) {
      const lease = await DestinationLease.open({
        ...options,
        store,
        name,
        owner,
        context,
        onEvent: (event) => this.#leased(name, event),
      });
      const destination = new Destination({
        name,
        store,
        lease,
        line: this.#line,
        lag: this.#lag,
        files,
        clock,
        random,
        logger: withoutDebug(logger.with({ db: this.path })),
        onEvent: (event) => this.#shipped(name, event),
      });
      this.#destinations.push(destination);
      destination.start();
    }
  }

  get txid(): Txid {
    return this.#txid;
  }

  /** Why this database is not replicated any more, if it is not. */
  get stoppedBy(): MillraceError | undefined {
    return this.#stoppedBy;
  }

  /** What ended for good: capture, or shipping to a destination. */
  failures(): MillraceError[] {
    const shipping = this.#destinations.map(({ stoppedBy }) => stoppedBy);
    return [this.#stoppedBy, ...shipping].filter((error) => error !== undefined);
  }

  status(): DatabaseStatus {
    return {
      path: this.path,
      metaDir: this.metaDir,
      phase: this.#phase,
      txid: this.#txid,
      error: this.#error,
      destinations: this.#destinations.map((destination) => destination.status()),
    };
  }

  /** Captures everything committed before the call; resolves with the TXID that holds it. */
  async capture(): Promise<Txid> {
    this.#stop.signal.throwIfAborted();
    return this.#handle.sync();
  }

  /** After `drain`, the TXID under which every destination holds what was captured as `txid`. */
  whereDurable(txid: Txid): Txid {
    const isRebased = txid <= this.#foreignTxid && this.#foreignTxid < this.#rebasedTxid;
    return isRebased ? this.#rebasedTxid : txid;
  }

  /** Resolves when everything captured before the call is in every destination. */
  async drain(signal: AbortSignal | undefined): Promise<void> {
    const either =
      signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    await Promise.all(this.#destinations.map((destination) => destination.drain(either)));
  }

  /** Everything captured is in every destination. */
  get isDrained(): boolean {
    return this.#destinations.every(({ durableTxid }) => durableTxid >= this.#txid);
  }

  /** Captures once more and lets go of the database; shipping goes on. */
  async release(): Promise<void> {
    this.#txid = await this.#handle.remove();
  }

  /** Capture cannot go on: nothing is deleted, and nobody waits in vain. */
  fail(error: MillraceError): void {
    if (this.#stoppedBy !== undefined) return;
    this.#stoppedBy = error;
    this.#error = toErrorRecord(error);
    this.#phase = "stopped";
    this.#stop.abort(error);
    this.#tell({ type: "stopped", database: this.path, error: this.#error });
  }

  #tell(event: ReplicationEvent): void {
    this.#setup.onEvent(event);
  }

  #captured(event: CaptureEvent): void {
    const database = this.path;
    switch (event.type) {
      case "ltx": {
        this.#captureFile(event);
        return;
      }
      case "phase": {
        if (this.#stoppedBy === undefined) this.#phase = event.phase;
        this.#tell({ ...event, database });
        return;
      }
      case "failing": {
        this.#captureFailed(event.error, event.consecutive);
        return;
      }
      case "recovered": {
        this.#error = undefined;
        this.#tell({ type: "recovered", database });
        return;
      }
      case "checkpoint":
      case "resync":
      case "replaced": {
        this.#tell({ ...event, database });
      }
    }
  }

  #captureFile(event: CaptureEvent & { readonly type: "ltx" }): void {
    const { level, minTxid, maxTxid, sizeBytes, pageCount, timestampMs } = event;
    if (maxTxid > this.#txid) this.#txid = maxTxid;
    if (maxTxid > this.#foreignTxid && this.#rebasedTxid <= this.#foreignTxid)
      this.#rebasedTxid = maxTxid;
    this.#lag.captured(maxTxid, timestampMs);
    this.#line.announce({ level, minTxid, maxTxid, sizeBytes });
    const facts = { level, minTxid, maxTxid, sizeBytes, pageCount, timestampMs };
    this.#tell({ type: "captured", database: this.path, ...facts });
  }

  #captureFailed(record: ErrorRecord, consecutive: number): void {
    if (record.code === "internal/bug") {
      // A defect: this database is let go, so that nothing is built on a state that should not exist.
      this.#handle.remove().catch((error: unknown) => {
        const { message } = toMillraceError(error);
        const { logger } = this.#context;
        logger.log("warn", "letting go of a database after a defect failed", {
          db: this.path,
          error: message,
        });
      });
      this.fail(fromErrorRecord(record));
      return;
    }
    this.#error = record;
    this.#tell({ type: "failing", database: this.path, error: record, consecutive });
  }

  #lineMoved(event: LineEvent): void {
    if (event.type !== "released") return;
    this.#lag.released(event.txid);
    this.#requests.release(event.txid);
  }

  #shipped(destination: string, event: ShipEvent): void {
    const base = { database: this.path, destination };
    switch (event.type) {
      case "uploaded": {
        const { level, minTxid, maxTxid, sizeBytes, durationMs } = event;
        const facts = { level, minTxid, maxTxid, sizeBytes, durationMs };
        return this.#tell({ type: "uploaded", ...base, ...facts });
      }
      case "durable":
        return this.#tell({ type: "durable", ...base, txid: event.txid });
      case "failing": {
        const error = toErrorRecord(event.error);
        return this.#tell({
          type: "failing",
          ...base,
          error,
          consecutive: event.consecutiveErrors,
        });
      }
      case "recovered":
        return this.#tell({ type: "recovered", ...base });
      case "conflict":
      case "stopped":
        return this.#tell({ type: "stopped", ...base, error: toErrorRecord(event.error) });
      case "boundary-needed":
      case "remote-ahead":
        return this.#rebase(destination, event);
      case "reconciled":
      case "local-missing":
        return;
    }
  }

  #leased(destination: string, event: LeaseKeeperEvent): void {
    const base = { database: this.path, destination };
    if (event.type === "recovered") return this.#tell({ type: "recovered", ...base });
    if (event.type === "failing") {
      const error = toErrorRecord(event.error);
      return this.#tell({ type: "failing", ...base, error, consecutive: 1 });
    }
    const { type: state } = event;
    const epoch = "epoch" in event ? event.epoch : undefined;
    const holder = state === "waiting" ? event.owner : undefined;
    this.#tell({ type: "lease", ...base, state, epoch, owner: holder });
  }

  /** The line cannot be continued at a destination: capture provides what can. */
  #rebase(
    destination: string,
    event: ShipEvent & { readonly type: "boundary-needed" | "remote-ahead" },
  ): void {
    const tell = (reason: string): void =>
      this.#tell({ type: "rebase", database: this.path, destination, reason });
    if (event.type === "boundary-needed") {
      tell(event.reason);
      this.#requests.boundary(event.reason);
      return;
    }
    tell("remote-ahead");
    if (event.remoteMaxTxid > this.#foreignTxid) this.#foreignTxid = event.remoteMaxTxid;
    this.#requests.move(event.remoteMaxTxid, event);
  }

  /** Ends shipping. What is not uploaded stays in the local queue. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#requests[Symbol.dispose]();
    if (this.#stoppedBy === undefined) this.#phase = "closed";
    await Promise.all(this.#destinations.map((destination) => destination[Symbol.asyncDispose]()));
    await this.#line[Symbol.asyncDispose]();
    for (const { store } of this.#setup.targets) await store[Symbol.asyncDispose]();
  }
}
