/**
 * The lease in a NATS key-value bucket: one key, replaced only at the revision that was read.
 *
 * The connection is made by the first request and made again by the library; until it stands, requests fail and are tried
 * again like any others. The bucket is created when it is missing.
 * Frozen: the value is the record of docs/formats/lease.md.
 * Source: nats-io/nats.js `Kvm.create`, `Bucket.create`, `Bucket.update`, `JetStreamApiCodes`.
 */
import type { KV } from "@nats-io/kv";
import type { NatsConnection, NodeConnectionOptions } from "@nats-io/transport-node";
import { foreignCode, MillraceError } from "../../../errors.ts";
import {
  type LeaseCall,
  type LeaseCell,
  type LeaseReading,
  type LeaseRecord,
  type LeaseVersion,
  type LeaseWrite,
  toVersion,
} from "../../contract.ts";
import { conflict, unavailable } from "../../errors.ts";
import { decodeRecord, encodeRecord } from "../../record.ts";

export const DEFAULT_BUCKET = "millrace-leases";

/** Codes of JetStream for a revision that is no longer the last: `StreamWrongLastSequence`, and `…Unknown`. */
const WRONG_REVISION: readonly unknown[] = [10_071, 10_164];

const CONNECT_TIMEOUT_MS = 5_000;

export interface NatsKvCellOptions {
  /** `nats://host:port`, or several. Without user info; that goes below. */
  readonly servers: string | readonly string[];
  /** Letters, digits and `-/_=.`, as NATS has keys. */
  readonly key: string;
  /** Default `millrace-leases`. */
  readonly bucket?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** Copies of the bucket in a cluster, when it is created here. Default 1. */
  readonly replicas?: number | undefined;
}

interface Open {
  readonly connection: NatsConnection;
  readonly kv: KV;
}

export function openNatsKvCell(options: NatsKvCellOptions): LeaseCell {
  return new NatsKvCell(options);
}

class NatsKvCell implements LeaseCell {
  readonly type = "nats-kv";
  readonly #options: NatsKvCellOptions;
  #opening: Promise<Open> | undefined;
  #isClosed = false;

  constructor(options: NatsKvCellOptions) {
    this.#options = options;
  }

  async read(call: LeaseCall = {}): Promise<LeaseReading | undefined> {
    return this.#attempt("read lease", call, async ({ kv }) => {
      const entry = await kv.get(this.#options.key);
      if (entry === null || entry.operation !== "PUT") return undefined;
      const record = decodeRecord(entry.value, this.#where);
      return { record, version: toVersion(String(entry.revision)) };
    });
  }

  async write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion> {
    const { expected } = options;
    const { key } = this.#options;
    const bytes = encodeRecord(record);
    return this.#attempt("write lease", options, async ({ kv }) => {
      const revision =
        expected === "absent"
          ? await kv.create(key, bytes)
          : await kv.update(key, bytes, Number(expected));
      return toVersion(String(revision));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const opening = this.#opening;
    this.#opening = undefined;
    // A connection that never came about needs no closing; its error went to whoever asked for it.
    const open = await opening?.catch(() => undefined);
    await open?.connection.close();
  }

  get #where(): string {
    const { bucket = DEFAULT_BUCKET, key } = this.#options;
    return `nats:${bucket}/${key}`;
  }

  async #attempt<T>(op: string, call: LeaseCall, run: (open: Open) => Promise<T>): Promise<T> {
    call.signal?.throwIfAborted();
    if (this.#isClosed) throw unavailable(op, this.#where, "the lease was closed");
    try {
      return await run(await this.#open());
    } catch (error) {
      if (error instanceof MillraceError) throw error;
      if (WRONG_REVISION.includes(numericCode(error)))
        throw conflict(this.#where, "the revision is no longer the last", error);
      const found = error instanceof Error ? error.message : (foreignCode(error) ?? String(error));
      throw unavailable(op, this.#where, found, error);
    }
  }

  async #open(): Promise<Open> {
    if (this.#opening === undefined) {
      const opening = this.#connect();
      this.#opening = opening;
      opening.catch(() => {
        // The request that waits for it tells the error; the next one connects anew.
        if (this.#opening === opening) this.#opening = undefined;
      });
    }
    return this.#opening;
  }

  async #connect(): Promise<Open> {
    const { servers, bucket = DEFAULT_BUCKET, user, password, token, replicas } = this.#options;
    const { connect } = await import("@nats-io/transport-node");
    const { Kvm } = await import("@nats-io/kv");
    const options: NodeConnectionOptions = {
      servers: typeof servers === "string" ? servers : [...servers],
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { pass: password }),
      ...(token === undefined ? {} : { token }),
    };
    const connection = await connect(options);
    try {
      const kv = await new Kvm(connection).create(bucket, { history: 1, replicas: replicas ?? 1 });
      return { connection, kv };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }
}

/** JetStream's errors carry a number where others have a text. */
function numericCode(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}
