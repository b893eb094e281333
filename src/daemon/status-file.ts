/**
 * `status.json` in a database's local directory: what is durable where, for `millrace status`, which needs no
 * connection to the daemon. Written by temporary name and rename, not flushed: after a power failure an older one is
 * as good. At most one write a second while things move, one more when they have come to rest, none while idle.
 */
import { hostname } from "node:os";
import { z } from "zod";
import { formatTxid } from "../base/ids.ts";
import { toMillraceError, type ErrorRecord } from "../errors.ts";
import { replaceFile, type Files } from "../platform/files.ts";
import type { ReplicatorContext } from "./context.ts";
import type { DatabaseStatus } from "./contract.ts";

const INTERVAL_MS = 1000;
/** The event that changes the status comes first: what follows from it is not held up by a slow disk. */
const DEFER_MS = 50;

const ERROR = z.object({ code: z.string(), message: z.string(), hint: z.string().optional() });
const RECORD = z.object({
  format: z.literal(1),
  version: z.string(),
  pid: z.number().int(),
  host: z.string(),
  startedAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  database: z.string(),
  phase: z.string(),
  txid: z.string(),
  error: ERROR.optional(),
  destinations: z.array(
    z.object({
      name: z.string(),
      state: z.string(),
      durableTxid: z.string(),
      pendingFiles: z.number(),
      pendingBytes: z.number(),
      behindSince: z.iso.datetime().optional(),
      lastUploadAt: z.iso.datetime().optional(),
      error: ERROR.optional(),
    }),
  ),
});

export interface StatusError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** TXIDs are 16 hexadecimal digits, times are ISO 8601. */
export interface StatusRecord {
  readonly format: 1;
  readonly version: string;
  readonly pid: number;
  readonly host: string;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly database: string;
  readonly phase: string;
  readonly txid: string;
  readonly error?: StatusError | undefined;
  readonly destinations: readonly {
    readonly name: string;
    readonly state: string;
    readonly durableTxid: string;
    readonly pendingFiles: number;
    readonly pendingBytes: number;
    readonly behindSince?: string | undefined;
    readonly lastUploadAt?: string | undefined;
    readonly error?: StatusError | undefined;
  }[];
}

/** `undefined` when there is none, or none that can be understood. */
export function readStatusFile(files: Files, path: string): StatusRecord | undefined {
  const bytes = files.readFile("read status", path);
  if (bytes === undefined) return undefined;
  try {
    const parsed = RECORD.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    return parsed.data;
  } catch {
    return undefined; // No record: the database counts as never replicated from here.
  }
}

export interface StatusFileOptions {
  readonly context: ReplicatorContext;
  readonly path: string;
  readonly identity: {
    readonly pid: number;
    readonly version: string;
    readonly startedAtMs: number;
  };
  readonly status: () => DatabaseStatus;
}

export class StatusFile implements Disposable {
  readonly #options: StatusFileOptions;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #timer: Disposable | undefined;
  #isFailing = false;

  constructor(options: StatusFileOptions) {
    this.#options = options;
  }

  /** Something in the status changed: writes in a moment, or when a second is over. */
  changed(): void {
    if (this.#timer !== undefined) return;
    const { clock } = this.#options.context;
    const delayMs = Math.max(DEFER_MS, this.#writtenAtMs + INTERVAL_MS - clock.monotonic());
    this.#timer = clock.schedule(delayMs, () => this.write(), { unref: true });
  }

  /** Writes now. A failure is logged once: nothing depends on the file. */
  write(): void {
    this[Symbol.dispose]();
    const { context, path } = this.#options;
    this.#writtenAtMs = context.clock.monotonic();
    const text = `${JSON.stringify(this.#record(), undefined, 2)}\n`;
    try {
      const bytes = new TextEncoder().encode(text);
      replaceFile(context.files, "write status", path, bytes);
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) {
        const { message } = toMillraceError(error);
        context.logger.log("warn", "cannot write the status file", { error: message });
      }
      this.#isFailing = true;
    }
  }

  #record(): StatusRecord {
    const { context, identity, status } = this.#options;
    const { path, phase, txid, error, destinations } = status();
    return {
      format: 1,
      version: identity.version,
      pid: identity.pid,
      host: hostname(),
      startedAt: iso(identity.startedAtMs),
      updatedAt: iso(context.clock.now()),
      database: path,
      phase,
      txid: formatTxid(txid),
      error: shortError(error),
      destinations: destinations.map((destination) => ({
        name: destination.name,
        state: destination.state,
        durableTxid: formatTxid(destination.durableTxid),
        pendingFiles: destination.pendingFiles,
        pendingBytes: destination.pendingBytes,
        behindSince: optionalIso(destination.behindSinceMs),
        lastUploadAt: optionalIso(destination.lastUploadAtMs),
        error: shortError(destination.error),
      })),
    };
  }

  /** Forgets a write that is due. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function optionalIso(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : iso(timeMs);
}

function shortError(error: ErrorRecord | undefined): StatusError | undefined {
  return error && { code: error.code, message: error.message, hint: error.hint };
}
