/**
 * Runs the captures of one thread: answers calls, listens to the file system's notifications (a hint) and looks
 * by itself at a slow common rhythm (the truth). While nothing is committed a look costs a few microseconds and
 * writes nothing.
 */
import { watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";
import { MillraceError } from "../errors.ts";
import type { Clock, Random } from "../base/clock.ts";
import type { Txid } from "../base/ids.ts";
import { openKernel, type Kernel } from "../kernel/kernel.ts";
import type { Files } from "../platform/files.ts";
import { Capture } from "./capture.ts";
import type { CaptureEvent, CaptureOptions } from "./contract.ts";
import { Pacer } from "./pacer.ts";
import type { CallName, CaptureCalls } from "./protocol.ts";

export interface HostContext {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: (key: string, event: CaptureEvent) => void;
}

interface Guest {
  readonly capture: Capture;
  readonly options: CaptureOptions;
  readonly pacer: Pacer;
}

type Handlers = {
  [Name in CallName]: (
    key: string,
    argument: CaptureCalls[Name]["argument"],
  ) => CaptureCalls[Name]["result"];
};

export class CaptureHost implements Disposable {
  readonly #context: HostContext;
  readonly #guests = new Map<string, Guest>();
  readonly #kernels = new Map<number, Kernel>();
  readonly #watchers = new Map<string, FSWatcher>();
  #rhythm: Disposable | undefined;

  constructor(context: HostContext) {
    this.#context = context;
  }

  readonly handlers: Handlers = {
    add: (key, options) => this.#add(key, options),
    sync: (key) => this.#guest(key).capture.sync(),
    status: (key) => this.#guest(key).capture.status(),
    requireBoundary: (key, reason) =>
      this.#later(key, (capture) => capture.requireBoundary(reason)),
    moveTo: (key, request) => this.#later(key, (capture) => capture.moveTo(request)),
    release: (key, durable) => {
      this.#guest(key).capture.release(durable);
      return undefined;
    },
    remove: (key) => this.#remove(key),
  };

  #guest(key: string): Guest {
    const guest = this.#guests.get(key);
    if (guest !== undefined) return guest;
    throw new MillraceError("daemon/closed", `capture "${key}": it is not being captured`);
  }

  #add(key: string, options: CaptureOptions): CaptureCalls["add"]["result"] {
    const { files, clock, random, emit } = this.#context;
    const capture = new Capture(
      {
        files,
        clock,
        kernel: (pageSize) => this.#kernel(pageSize),
        emit: (event) => emit(key, event),
      },
      options,
    );
    const pacer = new Pacer({
      clock,
      random,
      intervalMs: options.syncIntervalMs,
      run: () => {
        if (!capture.pending()) return false;
        capture.sync();
        return true;
      },
    });
    this.#guests.set(key, { capture, options, pacer });
    this.#watch(dirname(options.path));
    this.#beat();
    return { txid: capture.txid, files: capture.localFiles() };
  }

  /** Work that the next sync must do; it is started at once, but not waited for. */
  #later(key: string, change: (capture: Capture) => void): undefined {
    const guest = this.#guest(key);
    change(guest.capture);
    guest.pacer.hint();
    return undefined;
  }

  #remove(key: string): Txid {
    const { capture, pacer } = this.#guest(key);
    this.#guests.delete(key);
    pacer[Symbol.dispose]();
    try {
      return capture.sync();
    } finally {
      capture[Symbol.dispose]();
      this.#unwatch();
    }
  }

  #kernel(pageSize: number): Kernel {
    const known = this.#kernels.get(pageSize);
    if (known !== undefined) return known;
    const kernel = openKernel({ pageSize });
    this.#kernels.set(pageSize, kernel);
    return kernel;
  }

  /** One watch a directory. Where none is to be had, the rhythm alone finds the commits, up to a second later. */
  #watch(directory: string): void {
    if (this.#watchers.has(directory)) return;
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) =>
        this.#noticed(directory, name),
      );
      watcher.on("error", () => this.#watchers.delete(directory));
      this.#watchers.set(directory, watcher);
    } catch {
      // Too many watches, or the directory is not there yet: the next beat tries again.
    }
  }

  #unwatch(): void {
    const wanted = new Set([...this.#guests.values()].map(({ options }) => dirname(options.path)));
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
  }

  #noticed(directory: string, name: string | null): void {
    for (const { options, pacer } of this.#guests.values()) {
      if (dirname(options.path) !== directory) continue;
      const base = basename(options.path);
      if (name === null || name === base || name === `${base}-wal` || name === `${base}-journal`)
        pacer.hint();
    }
  }

  #beat(): void {
    if (this.#rhythm !== undefined || this.#guests.size === 0) return;
    const periods = [...this.#guests.values()].map(({ options }) => options.monitorIntervalMs);
    this.#rhythm = this.#context.clock.schedule(Math.min(...periods), () => {
      this.#rhythm = undefined;
      for (const guest of this.#guests.values()) this.#look(guest);
      this.#beat();
    });
  }

  #look({ capture, options, pacer }: Guest): void {
    this.#watch(dirname(options.path));
    pacer.look();
    try {
      capture.maintain();
    } catch {
      // The same failure meets the next sync, which reports it.
      pacer.hint();
    }
  }

  /** Lets go of every database without another capture. */
  [Symbol.dispose](): void {
    this.#rhythm?.[Symbol.dispose]();
    for (const { capture, pacer } of this.#guests.values()) {
      pacer[Symbol.dispose]();
      capture[Symbol.dispose]();
    }
    this.#guests.clear();
    this.#unwatch();
  }
}
