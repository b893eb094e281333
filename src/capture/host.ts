/**
 * Runs the captures of one thread: answers calls, listens to the file system's notifications (a hint) and looks
 * by itself at a slow common rhythm (the truth). While nothing is committed a look costs a few microseconds and
 * writes nothing.
 */
import { MillraceError } from "../errors.ts";
import type { Clock, Random } from "../base/clock.ts";
import type { Txid } from "../base/ids.ts";
import { openKernel, type Kernel } from "../kernel/kernel.ts";
import type { Files } from "../platform/files.ts";
import { Capture } from "./capture.ts";
import type { CaptureEvent, CaptureOptions } from "./contract.ts";
import { Pacer } from "./pacer.ts";
import type { CallName, CaptureCalls } from "./protocol.ts";
import { WriteHints } from "./write-hints.ts";

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
  readonly #hints = new WriteHints();
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
      listen: (hint) => this.#hints.listen(options.path, hint),
    });
    this.#guests.set(key, { capture, options, pacer });
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
    }
  }

  #kernel(pageSize: number): Kernel {
    const known = this.#kernels.get(pageSize);
    if (known !== undefined) return known;
    const kernel = openKernel({ pageSize });
    this.#kernels.set(pageSize, kernel);
    return kernel;
  }

  #beat(): void {
    if (this.#rhythm !== undefined || this.#guests.size === 0) return;
    const periods = [...this.#guests.values()].map(({ options }) => options.monitorIntervalMs);
    this.#rhythm = this.#context.clock.schedule(Math.min(...periods), () => {
      this.#rhythm = undefined;
      this.#hints.retry();
      for (const guest of this.#guests.values()) this.#look(guest);
      this.#beat();
    });
  }

  #look({ capture, pacer }: Guest): void {
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
    this.#hints[Symbol.dispose]();
  }
}
