/**
 * One database's local line and its destinations, driven step by step: a stand-in for capture, a store in
 * memory that fails on command, a clock that tests move.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SILENT, type Logger } from "../base/logger.ts";
import { toTxid, type Txid } from "../base/ids.ts";
import type { Files } from "../platform/files.ts";
import { nodeFiles } from "../platform/files.ts";
import { planFiles } from "../restore/plan.ts";
import type { LineEvent, ShipEvent } from "../ship/contract.ts";
import { LocalLine, type LocalLineOptions } from "../ship/local-line.ts";
import type { WritePermit } from "../ship/permit.ts";
import { Shipper, type StepOutcome } from "../ship/shipper.ts";
import { MemoryObjects, openMemoryStore } from "../storage/backends/memory/memory.ts";
import type { StoreCapabilities } from "../storage/contract.ts";
import { LtxStore, MAX_LEVEL, type LtxFileId, type LtxFileInfo } from "../storage/ltx-store.ts";
import type { FaultPlan } from "./fault-store-plan.ts";
import { FaultStore } from "./fault-store.ts";
import { applyFiles, LineMaker, type Image, type MadeFile } from "./line-maker.ts";
import { ManualClock } from "./manual-clock.ts";

/** `3`, `3-5` at level 0, `L9:1-5` at others. */
export function nameOf(file: LtxFileId): string {
  const span =
    file.minTxid === file.maxTxid ? `${file.minTxid}` : `${file.minTxid}-${file.maxTxid}`;
  return file.level === 0 ? span : `L${file.level}:${span}`;
}

/** A place that LTX files are shipped to; it outlives the shippers. */
export class Destination {
  readonly clock: ManualClock;
  readonly objects: MemoryObjects = new MemoryObjects();
  readonly #capabilities: Partial<StoreCapabilities> | undefined;

  constructor(clock: ManualClock, capabilities?: Partial<StoreCapabilities>) {
    this.clock = clock;
    this.#capabilities = capabilities;
  }

  open(plan?: FaultPlan): FaultStore {
    const { clock, objects } = this;
    const inner = openMemoryStore({ clock, objects, capabilities: this.#capabilities });
    return new FaultStore(inner, { plan, clock });
  }

  async files(): Promise<LtxFileInfo[]> {
    await using store = new LtxStore(this.open());
    const files: LtxFileInfo[] = [];
    for (let level = 0; level <= MAX_LEVEL; level += 1) {
      files.push(...(await Array.fromAsync(store.list(level))));
    }
    return files;
  }

  /** Names of all files, level 0 first. */
  async names(): Promise<string> {
    return (await this.files()).map(nameOf).join(" ");
  }

  /** Puts a local file there, past any shipper. */
  async put(maker: LineMaker, ...files: readonly MadeFile[]): Promise<void> {
    await using store = new LtxStore(this.open());
    for (const file of files) {
      const bytes = nodeFiles.readFile("read made file", maker.pathOf(file));
      if (bytes === undefined) throw new Error(`no file ${nameOf(file)}`);
      await store.write(file, bytes, { createdAtMs: file.timestampMs });
    }
  }

  async remove(...files: readonly LtxFileId[]): Promise<void> {
    await using store = new LtxStore(this.open());
    await store.delete(files);
  }

  /** Restores what is there, every file proven. */
  async restore(txid?: Txid): Promise<{ txid: Txid; image: Image }> {
    await using store = new LtxStore(this.open());
    const plan = planFiles(await this.files(), txid === undefined ? "latest" : { txid });
    const bytes: Uint8Array[] = [];
    for (const file of plan.files) bytes.push(await (await store.open(file)).bytes());
    return applyFiles(bytes);
  }
}

export interface HarnessOptions {
  readonly clock?: ManualClock | undefined;
  readonly destination?: Destination | undefined;
  readonly maker?: LineMaker | undefined;
  readonly seed?: number | undefined;
  readonly pageSize?: number | undefined;
  readonly noise?: boolean | undefined;
  readonly logger?: Logger | undefined;
  readonly files?: Files | undefined;
  readonly plan?: FaultPlan | undefined;
  readonly permit?: WritePermit | undefined;
  readonly line?: Partial<LocalLineOptions> | undefined;
}

export class ShipHarness implements AsyncDisposable {
  readonly clock: ManualClock;
  readonly destination: Destination;
  readonly maker: LineMaker;
  readonly events: ShipEvent[] = [];
  readonly lineEvents: LineEvent[] = [];
  readonly #options: HarnessOptions;
  store: FaultStore;
  line: LocalLine;
  shipper: Shipper;
  #running: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;

  constructor(options: HarnessOptions = {}) {
    this.#options = options;
    this.clock = options.clock ?? options.destination?.clock ?? new ManualClock();
    this.destination = options.destination ?? new Destination(this.clock);
    this.maker =
      options.maker ??
      new LineMaker({
        directory: mkdtempSync(join(tmpdir(), "millrace-ship-")),
        seed: options.seed,
        pageSize: options.pageSize,
        noise: options.noise,
      });
    this.store = this.destination.open(options.plan);
    this.line = this.#newLine(options.line);
    this.shipper = this.newShipper(this.store, "main");
  }

  #newLine(options: Partial<LocalLineOptions> | undefined): LocalLine {
    return new LocalLine({
      files: this.#options.files ?? nodeFiles,
      directory: this.maker.directory,
      logger: this.#options.logger ?? SILENT,
      clock: this.clock,
      onEvent: (event) => this.lineEvents.push(event),
      ...options,
    });
  }

  /** A shipper of the same line. */
  newShipper(store: FaultStore, name: string): Shipper {
    return new Shipper({
      line: this.line,
      store: new LtxStore(store),
      name,
      files: this.#options.files ?? nodeFiles,
      clock: this.clock,
      random: () => 0.5,
      logger: this.#options.logger ?? SILENT,
      permit: this.#options.permit,
      onEvent: (event) => this.events.push(event),
    });
  }

  /** As a new process finds things: same directory, same destination, nothing in memory. */
  async restart(
    options: { line?: Partial<LocalLineOptions>; plan?: FaultPlan } = {},
  ): Promise<void> {
    await this.stop();
    this.shipper[Symbol.dispose]();
    await this.line[Symbol.asyncDispose]();
    this.events.length = 0;
    this.lineEvents.length = 0;
    this.store = this.destination.open(options.plan);
    this.line = this.#newLine(options.line ?? this.#options.line);
    this.shipper = this.newShipper(this.store, "main");
  }

  announce(...files: readonly MadeFile[]): void {
    for (const file of files) this.line.announce(file);
  }

  /** Commits once and announces it. */
  commit(countTimes = 1): void {
    for (let count = 0; count < countTimes; count += 1) this.announce(this.maker.commit());
  }

  /** Steps until there is nothing to do; returns what the last step said. */
  async settle(shipper: Shipper = this.shipper): Promise<StepOutcome> {
    for (let count = 0; count < 10_000; count += 1) {
      const outcome = await shipper.step();
      if (outcome.kind !== "worked") return outcome;
    }
    throw new Error("the shipper does not come to rest");
  }

  /** Starts the shipper's own loop. */
  run(): void {
    const stop = new AbortController();
    this.#running = { stop, done: this.shipper.run(stop.signal) };
  }

  async stop(): Promise<void> {
    this.#running?.stop.abort();
    await this.#running?.done;
    this.#running = undefined;
  }

  /** What was told, without noise: types with their TXIDs. */
  told(...types: readonly ShipEvent["type"][]): ShipEvent[] {
    return this.events.filter(({ type }) => types.includes(type));
  }

  /** The names of uploaded files in order. */
  uploaded(): string {
    return this.events
      .filter((event) => event.type === "uploaded")
      .map(nameOf)
      .join(" ");
  }

  /** The destination restores to exactly what the line held. */
  async assertRestores(txid: Txid = this.maker.txid): Promise<void> {
    const restored = await this.destination.restore();
    if (restored.txid !== txid) throw new Error(`restored TXID ${restored.txid}, wanted ${txid}`);
    const wanted = this.maker.history.get(txid);
    for (const [pgno, page] of wanted ?? []) {
      const found = restored.image.get(pgno);
      if (found === undefined || Buffer.compare(found, page) !== 0) {
        throw new Error(`page ${pgno} of TXID ${txid} differs`);
      }
    }
    if (wanted?.size !== restored.image.size) throw new Error(`TXID ${txid} has other pages`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.shipper[Symbol.dispose]();
    await this.line[Symbol.asyncDispose]();
    if (this.#options.maker === undefined) {
      rmSync(this.maker.directory, { recursive: true, force: true });
    }
  }
}

/** Lets the event loop turn until `holds`; time stands still meanwhile. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let count = 0; count < 20_000; count += 1) {
    if (holds()) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  throw new Error(`waited in vain until ${what}`);
}

/** Capture of a harness answers requests at once. */
export function answer(ship: ShipHarness): void {
  const { need } = ship.shipper.position();
  if (need === undefined) return;
  if (need.minTxid > ship.maker.txid) ship.maker.moveTo(toTxid(need.minTxid - 1n));
  ship.announce(need.wholeFileTxid === undefined ? ship.maker.snapshot() : ship.maker.whole());
}
