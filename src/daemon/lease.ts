/**
 * The lease of one destination: which process ships to it. Taken when the daemon starts, given back when it ends; losing
 * it stops shipping and never capture.
 */
import { hostname } from "node:os";
import { join } from "node:path";
import { replaceFile } from "../platform/files.ts";
import type { LeaseKeeperEvent } from "../lease/keeper-options.ts";
import { LeaseKeeper } from "../lease/lease-keeper.ts";
import { DEFAULT_TTL_MS, leaseRules } from "../lease/lease-rules.ts";
import { parseLease, type LeaseChoice } from "../lease/lease-url.ts";
import { openLeaseCell } from "../lease/registry.ts";
import { ANYBODY, type WritePermit } from "../ship/permit.ts";
import type { LtxStore } from "../storage/ltx-store.ts";
import type { ReplicatorContext } from "./context.ts";
import type { DestinationLocation } from "./contract.ts";

export interface LeaseOptions {
  readonly choice: LeaseChoice;
  /** Default 30 s. */
  readonly ttlMs: number | undefined;
}

export interface DestinationLeaseOptions extends LeaseOptions {
  readonly store: LtxStore;
  /** The destination's name, without credentials. */
  readonly name: string;
  readonly owner: string;
  readonly context: ReplicatorContext;
  readonly onEvent: (event: LeaseKeeperEvent) => void;
}

/** What a location says of its lease. Throws `config/invalid`. */
export function leaseOptions({ lease = "auto", leaseTtlMs }: DestinationLocation): LeaseOptions {
  leaseRules({ owner: "nobody", ttlMs: leaseTtlMs });
  return { choice: parseLease(lease), ttlMs: leaseTtlMs };
}

export class DestinationLease implements AsyncDisposable {
  readonly permit: WritePermit;
  readonly #keeper: LeaseKeeper | undefined;
  readonly #end = new AbortController();
  #loop: Promise<void> | undefined;

  /** Opens the cell; asks it nothing yet. */
  static async open(options: DestinationLeaseOptions): Promise<DestinationLease> {
    const { choice, ttlMs = DEFAULT_TTL_MS, store, name, owner, context, onEvent } = options;
    const { clock, random, files, logger } = context;
    const opened = await openLeaseCell(choice, { store: store.store, name, files });
    if (opened === undefined) {
      if (choice.kind === "auto") {
        logger.log("warn", "no lease: the store has no conditional writes", {
          destination: name,
          hint: "see to it that one process writes there, or configure another lease provider",
        });
      }
      return new DestinationLease(undefined);
    }
    const { cell, mayPark } = opened;
    const keeper = new LeaseKeeper({
      cell,
      name,
      owner,
      ttlMs,
      // Renewed by the next write, not by a timer.
      parkAfterMs: mayPark ? 0 : undefined,
      clock,
      random,
      logger,
      onEvent,
    });
    return new DestinationLease(keeper);
  }

  private constructor(keeper: LeaseKeeper | undefined) {
    this.#keeper = keeper;
    this.permit = keeper === undefined ? ANYBODY : new KeeperPermit(keeper);
  }

  /** Begins to take it. */
  start(): void {
    this.#loop ??= this.#keeper?.run(this.#end.signal);
  }

  /** Gives it back, in bounded time. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#loop;
    await this.#keeper?.[Symbol.asyncDispose]();
  }
}

class KeeperPermit implements WritePermit {
  readonly #keeper: LeaseKeeper;
  readonly isExclusive = true;

  constructor(keeper: LeaseKeeper) {
    this.#keeper = keeper;
  }

  get problem(): WritePermit["problem"] {
    return this.#keeper.problem;
  }

  ensure(signal: AbortSignal | undefined): Promise<number> {
    return this.#keeper.acquired({ signal });
  }

  check(): void {
    this.#keeper.check();
  }

  use(): Disposable {
    return this.#keeper.use();
  }
}

/**
 * The name under which this installation holds leases: the machine's, and an identity that lies in the database's local
 * directory, which one process at a time may use. So a process that was killed takes its own lease again at once.
 */
export function leaseOwner({ files, random }: ReplicatorContext, metaDir: string): string {
  const path = join(metaDir, "instance");
  const known = files.readFile("read instance", path);
  const text = known === undefined ? "" : new TextDecoder().decode(known).trim();
  if (/^[0-9a-f]{16}$/.test(text)) return `${hostname()}/${text}`;
  const digits = Array.from({ length: 16 }, () => Math.floor(random() * 16).toString(16));
  const made = digits.join("");
  replaceFile(files, "write instance", path, new TextEncoder().encode(`${made}\n`));
  return `${hostname()}/${made}`;
}
