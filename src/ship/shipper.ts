/**
 * Ships the local line of one database to one destination: strictly in order, one file at a time.
 *
 * The destination is listed once when shipping starts; from then on what it holds is known from what was
 * uploaded, so an idle shipper makes no request, writes nothing and has no timer. A failure is waited
 * out and repeated; nothing is skipped. When the line cannot be continued, shipping asks capture for a
 * file that stands alone and waits for it; when another writer owns the destination, it stops for good.
 *
 * Source: litestream `Replica.syncOnce`, `Replica.monitor`, for the behaviour that is kept and that is not.
 */
import { assert } from "../base/assert.ts";
import { aborted } from "../base/async.ts";
import type { Clock, Random } from "../base/clock.ts";
import { NO_TXID, type Txid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { isMillraceError, MillraceError, toMillraceError } from "../errors.ts";
import type { Files } from "../platform/files.ts";
import type { LtxStore } from "../storage/ltx-store.ts";
import type { ShipEvent, ShipPosition, ShipState } from "./contract.ts";
import { isFileLost, openLocalFile, type LocalContent } from "./local-file.ts";
import type { LineConsumer, LocalLine } from "./local-line.ts";
import { ANYBODY, Turn, type WritePermit } from "./permit.ts";
import {
  afterUpload,
  nextAction,
  reconcile,
  refusalOf,
  releasedTxid,
  sameFile,
  type RemoteState,
  type WorkAction,
} from "./reconcile.ts";
import { Requests } from "./requests.ts";
import { Rest } from "./rest.ts";
import { Retry } from "./retry.ts";
import type { LocalFile } from "./span.ts";
import { surveyRemote } from "./survey.ts";
import { upload, type Fence } from "./upload.ts";
import { TxidWaiters } from "./waiters.ts";

export const DEFAULT_RETRY_INITIAL_MS = 500;
export const DEFAULT_RETRY_MAX_MS = 30_000; // A destination that is back is noticed so soon.
/** Uninterrupted work after which other tasks of the process get a turn. */
const TURN_MS = 10;

export interface ShipperOptions {
  /** The local queue, shared by all destinations of the database. Capture's position must be known to it. */
  readonly line: LocalLine;
  readonly store: LtxStore;
  /** Names the destination in messages and errors. */
  readonly name: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Default: everybody may write. */
  readonly permit?: WritePermit | undefined;
  readonly retryInitialMs?: number | undefined;
  readonly retryMaxMs?: number | undefined;
  readonly onEvent?: ((event: ShipEvent) => void) | undefined;
}

/** What a step did. `worked`: call again at once. */
export type StepOutcome =
  | { readonly kind: "worked" | "idle" | "waiting" | "stopped" }
  | { readonly kind: "failed"; readonly backoffMs: number };

const WORKED: StepOutcome = { kind: "worked" };

export class Shipper implements LineConsumer, Disposable {
  readonly #options: ShipperOptions;
  readonly #line: LocalLine;
  readonly #logger: Logger;
  readonly #retry: Retry;
  readonly #durable = new TxidWaiters();
  #remote: RemoteState | undefined;
  /** Page size at the destination's head. */
  #pageSize: number | undefined;
  /** Uploads that ended without a clear answer. */
  #uncertain: LocalFile[] = [];
  readonly #requests: Requests;
  #stoppedBy: MillraceError | undefined;
  #lastUploadAtMs: number | undefined;
  #isRunning = false;
  #shipping: LocalFile | undefined;
  readonly #rest: Rest;
  readonly #turn: Turn;

  constructor(options: ShipperOptions) {
    const { clock, random, retryInitialMs, retryMaxMs } = options;
    this.#options = options;
    this.#line = options.line;
    this.#logger = options.logger.with({ destination: options.name });
    this.#rest = new Rest(clock);
    this.#turn = new Turn(options.permit ?? ANYBODY);
    this.#retry = new Retry({
      clock,
      random,
      logger: this.#logger,
      initialMs: retryInitialMs ?? DEFAULT_RETRY_INITIAL_MS,
      maxMs: retryMaxMs ?? DEFAULT_RETRY_MAX_MS,
      emit: (event) => this.#emit(event),
    });
    this.#requests = new Requests({
      line: this.#line,
      logger: this.#logger,
      emit: (event) => this.#emit(event),
    });
    this.#line.attach(this);
  }

  get stopped(): boolean {
    return this.#stoppedBy !== undefined;
  }

  get releasedTxid(): Txid | undefined {
    return this.#remote && releasedTxid(this.#remote, this.#line);
  }

  /** The local file that is being uploaded. */
  get shipping(): LocalFile | undefined {
    return this.#shipping;
  }

  /** Everything up to here can be restored from the destination. */
  get durableTxid(): Txid {
    return this.#durable.reached;
  }

  position(): ShipPosition {
    const { name } = this.#options;
    const released = this.releasedTxid ?? NO_TXID;
    const pending = this.#line.files.filter((file) => file.maxTxid > released);
    return {
      name,
      state: this.#state(),
      durableTxid: this.#durable.reached,
      pendingFiles: pending.length,
      pendingBytes: pending.reduce((sum, file) => sum + file.sizeBytes, 0),
      lastUploadAtMs: this.#lastUploadAtMs,
      error:
        this.#stoppedBy ?? (this.#turn.isWaiting ? this.#turn.permit.problem : this.#retry.error),
      need: this.#requests.need,
    };
  }

  /**
   * Ships until aborted, then resolves. An upload in flight is aborted too; whether it arrived is found
   * out at the next start.
   */
  async run(signal: AbortSignal): Promise<void> {
    assert(!this.#isRunning, "a shipper runs once at a time");
    this.#isRunning = true;
    const { clock } = this.#options;
    try {
      for (let turnMs = clock.monotonic(); !signal.aborted;) {
        this.#rest.begin();
        const outcome = await this.step({ signal });
        if (outcome.kind === "worked") {
          if (clock.monotonic() - turnMs < TURN_MS) continue;
          await new Promise<void>((resolve) => setImmediate(resolve));
        } else if (outcome.kind === "stopped") {
          await aborted(signal);
        } else {
          const backoffMs = outcome.kind === "failed" ? outcome.backoffMs : undefined;
          await this.#rest.pause({ backoffMs, signal });
        }
        turnMs = clock.monotonic();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#isRunning = false;
    }
  }

  /**
   * Does the next thing: looks at the destination, or uploads one file. Failures are counted and
   * reported, not thrown. Rejects with `signal.reason` when aborted.
   */
  async step(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<StepOutcome> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#stoppedBy !== undefined) return { kind: "stopped" };
    try {
      return await this.#advance(signal);
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      // The next step waits until it is this process's turn again.
      if (isMillraceError(error, "lease/lost")) return WORKED;
      if (isMillraceError(error, "ship/conflict") && this.#turn.forgives()) {
        this.#compareAnew("another process wrote last before it lost its turn", error);
        return WORKED;
      }
      if (isMillraceError(error, "ship/conflict", "internal/bug")) return this.#stop(error);
      return { kind: "failed", backoffMs: this.#retry.failed(toMillraceError(error)) };
    } finally {
      this.#shipping = undefined;
    }
  }

  /** Resolves when everything up to `txid` is in the destination; rejects when shipping stopped. */
  waitFor(txid: Txid, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return this.#durable.wait(txid, options);
  }

  /**
   * Waits until everything announced so far is in the destination, trying again at once and then every
   * 500 ms instead of backing off. How long that may take is the signal's business.
   */
  async drain(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    using _urging = this.#rest.urge();
    await this.waitFor(this.#line.positionTxid, options);
  }

  wake(): void {
    this.#rest.announce();
  }

  restarted(): void {
    if (this.#remote !== undefined) this.#compareAnew("the local line began anew");
    this.#requests.set(undefined);
    this.#durable.set(NO_TXID);
    this.wake();
  }

  /** What is known of the destination counts no more. */
  #compareAnew(reason: string, error?: MillraceError): void {
    const facts = error === undefined ? { reason } : { reason, error: error.message };
    this.#logger.log("warn", "destination is compared again", facts);
    this.#remote = undefined;
  }

  /** Lets go of the line; waiters are rejected. The loop is ended by its signal. */
  [Symbol.dispose](): void {
    this.#line.detach(this);
    const { name } = this.#options;
    this.#durable.fail(new MillraceError("daemon/closed", `ship to "${name}": closed`));
  }

  #state(): ShipState {
    if (this.#stoppedBy !== undefined) return "stopped";
    const why = this.#turn.isWaiting ? this.#turn.permit.problem : undefined;
    if (why !== undefined) return why.code === "lease/held" ? "standby" : "failing";
    if (this.#retry.error !== undefined) return "failing";
    if (this.#requests.need !== undefined) return "waiting";
    return this.#remote === undefined ? "starting" : "shipping";
  }

  async #advance(signal: AbortSignal | undefined): Promise<StepOutcome> {
    this.#line.load();
    if (this.#remote === undefined) {
      await this.#turn.ensure(signal);
      return this.#start(signal);
    }
    const action = nextAction(this.#remote, this.#line);
    if (action.kind === "wait") this.#requests.set(action.need);
    else if (action.kind !== "rebase" && action.kind !== "probe") this.#requests.set(undefined);
    if (action.kind === "idle" || action.kind === "wait") {
      this.#retry.succeeded();
      return { kind: action.kind === "idle" ? "idle" : "waiting" };
    }
    const merging = this.#line.whenUsable(action.file);
    if (merging === undefined) {
      const remote = this.#remote;
      if ((await this.#turn.ensure(signal)) === "same" && remote === this.#remote)
        return this.#ship(remote, action, signal);
      this.#remote = undefined;
      return WORKED;
    }
    await Promise.race([merging, ...(signal === undefined ? [] : [aborted(signal)])]);
    signal?.throwIfAborted();
    return WORKED;
  }

  async #start(signal: AbortSignal | undefined): Promise<StepOutcome> {
    const { store, files } = this.#options;
    const line = this.#line;
    const restarts = line.restarts;
    const survey = await surveyRemote({ store, line, files, logger: this.#logger, signal });
    if (restarts !== line.restarts) return WORKED;
    const { local, remote, provenTxid, diverged } = survey;
    this.#retry.succeeded();
    this.#pageSize = survey.pageSize;
    this.#remote = reconcile({ local, remote, provenTxid, diverged });
    const { headTxid, need } = this.#remote;
    const facts = { headTxid, remoteMaxTxid: remote.maxTxid, provenTxid };
    this.#logger.log("info", "destination compared", { ...facts, need: need?.reason });
    this.#emit({ type: "reconciled", ...facts });
    this.#moved(need === undefined ? headTxid : NO_TXID);
    return WORKED;
  }

  async #ship(
    remote: RemoteState,
    action: WorkAction,
    signal: AbortSignal | undefined,
  ): Promise<StepOutcome> {
    const { file } = action;
    this.#shipping = file;
    const restarts = this.#line.restarts;
    const content = await this.#open(action, signal);
    if (content === undefined || restarts !== this.#line.restarts) return WORKED;
    const { header, holdsEveryPage } = content;
    const facts = { pageSize: header.pageSize, holdsEveryPage };
    const refusal = refusalOf(action, facts, this.#pageSize);
    if (refusal !== undefined) {
      this.#remote = { ...remote, need: refusal };
      return WORKED;
    }
    const isRebase = action.kind !== "continue";
    const isRange = file.level === 0 && file.minTxid !== file.maxTxid;
    const own = this.#uncertain;
    const fence: Fence = { headTxid: remote.headTxid, known: remote.beyond, own };
    await this.#upload(file, content, { fence: isRebase || isRange ? fence : undefined, signal });
    if (restarts !== this.#line.restarts) return WORKED;
    this.#pageSize = header.pageSize;
    this.#remote = afterUpload(remote, file);
    this.#requests.set(undefined);
    this.#moved(this.#remote.headTxid);
    return WORKED;
  }

  /** The file's content, or `undefined` when the file is lost for good. */
  async #open(
    { kind, file }: WorkAction,
    signal: AbortSignal | undefined,
  ): Promise<LocalContent | undefined> {
    const path = this.#line.pathOf(file);
    try {
      return await openLocalFile(this.#options.files, path, { file, signal });
    } catch (cause) {
      if (!isFileLost(cause)) throw cause;
      this.#line.lost(file);
      // A line that is given up: capture deletes its files.
      if (kind === "probe" && isMillraceError(cause, "fs/not-found")) return undefined;
      const { level, minTxid, maxTxid } = file;
      const found = toMillraceError(cause).message;
      const error = new MillraceError("ship/local-missing", `ship "${path}": ${found}`, {
        op: "ship",
        details: { path },
        hint: "a boundary snapshot replaces it; points in time inside it are lost",
        cause,
      });
      // If it was made on request, it is requested again.
      this.#requests.repeat();
      this.#logger.log("error", "local file lost before it was uploaded", { error: error.message });
      this.#emit({ type: "local-missing", level, minTxid, maxTxid, error });
      return undefined;
    }
  }

  async #upload(
    file: LocalFile,
    content: LocalContent,
    options: { readonly fence: Fence | undefined; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    const { store, name, clock } = this.#options;
    const { permit } = this.#turn;
    using _use = permit.use();
    const startMs = clock.monotonic();
    let outcome: "created" | "repeated";
    try {
      outcome = await upload({ store, name, file, content, permit, ...options });
    } catch (error) {
      this.#uncertain = [...this.#uncertain.filter((other) => !sameFile(other, file)), file];
      throw error;
    }
    this.#uncertain = this.#uncertain.filter((other) => !sameFile(other, file));
    this.#retry.succeeded();
    this.#lastUploadAtMs = clock.now();
    const { level, minTxid, maxTxid, sizeBytes } = file;
    const facts = { level, minTxid, maxTxid, sizeBytes };
    const durationMs = clock.monotonic() - startMs;
    this.#logger.log("debug", "uploaded", { ...facts, durationMs });
    this.#emit({ type: "uploaded", ...facts, durationMs, repeated: outcome === "repeated" });
  }

  #moved(txid: Txid): void {
    if (txid > this.#durable.reached) {
      this.#durable.set(txid);
      this.#emit({ type: "durable", txid });
    }
    this.#line.advanced();
  }

  #stop(error: MillraceError): StepOutcome {
    this.#stoppedBy = error;
    const { message, code, hint } = error;
    this.#logger.log("error", "shipping stopped", { error: message, code, hint });
    this.#emit({ type: code === "ship/conflict" ? "conflict" : "stopped", error });
    this.#durable.fail(error);
    this.#line.advanced();
    return { kind: "stopped" };
  }

  #emit(event: ShipEvent): void {
    this.#options.onEvent?.(event);
  }
}
