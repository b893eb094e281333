/**
 * The lease in etcd 3.4 or later, over its JSON gateway.
 *
 * The record is a key that stays for ever, because the epoch must; it changes only in a transaction that compares its
 * revision. Beside it stands a key bound to an etcd lease, which etcd removes when the holder falls silent: a process that
 * comes late finds it gone and need not wait for the TTL.
 * Frozen: the two keys; the value is the record of docs/formats/lease.md.
 * Source: etcd-io/etcd `etcdserverpb.KV`, `etcdserverpb.Lease` (rpc.proto, gateway prefix /v3).
 */
import { z } from "zod";
import {
  isReleased,
  type LeaseCall,
  type LeaseCell,
  type LeaseReading,
  type LeaseRecord,
  type LeaseVersion,
  type LeaseWrite,
  toVersion,
} from "../../contract.ts";
import { conflict, unavailable } from "../../errors.ts";
import { type JsonAnswer, type JsonRequest, requestJson } from "../../http-json.ts";
import { decodeRecord, encodeRecord } from "../../record.ts";

/** Ending of the key that lives as long as its holder. */
export const ALIVE_SUFFIX = "/alive";

export interface EtcdCellOptions {
  /** `http://127.0.0.1:2379`. */
  readonly endpoint: string;
  /** Key of the record, such as `millrace/app`. */
  readonly key: string;
  /** A token of etcd's authentication. */
  readonly token?: string | undefined;
  /** The sign of life lasts at least this long after the last write; default the record's TTL. More makes latecomers wait. */
  readonly minAliveMs?: number | undefined;
}

export function openEtcdCell(options: EtcdCellOptions): LeaseCell {
  return new EtcdCell(options);
}

/** The gateway leaves out whatever is zero, false or empty, and writes 64-bit numbers as strings. */
const RANGE = z.object({
  response_range: z
    .object({
      kvs: z.array(z.object({ value: z.string().optional(), mod_revision: z.string() })).optional(),
    })
    .optional(),
});
const READ = z.object({ responses: z.tuple([RANGE, RANGE]) });
const WRITTEN = z.object({
  succeeded: z.boolean().optional(),
  header: z.object({ revision: z.string() }),
});
const GRANTED = z.object({ ID: z.string() });
const KEPT = z.object({ result: z.object({ TTL: z.string().optional() }) });

class EtcdCell implements LeaseCell {
  readonly type = "etcd";
  readonly #options: EtcdCellOptions;
  readonly #key: string;
  readonly #aliveKey: string;
  #leaseId: string | undefined;

  constructor(options: EtcdCellOptions) {
    this.#options = options;
    this.#key = base64(options.key);
    this.#aliveKey = base64(`${options.key}${ALIVE_SUFFIX}`);
  }

  async read(call: LeaseCall = {}): Promise<LeaseReading | undefined> {
    const ranges = [this.#key, this.#aliveKey].map((key) => ({ request_range: { key } }));
    const answer = await this.#request("read lease", "kv/txn", { success: ranges }, call);
    const [records, alive] = this.#parse(READ, "read lease", answer).responses;
    const found = records.response_range?.kvs?.[0];
    if (found === undefined) return undefined;
    const record = decodeRecord(Buffer.from(found.value ?? "", "base64"), this.#where);
    // etcd's count began after the holder's: a holder that etcd gave up has given up itself.
    const isAlive = alive.response_range?.kvs?.[0] !== undefined;
    return {
      record: isAlive ? record : { ...record, expiresAtMs: 0 },
      version: toVersion(found.mod_revision),
    };
  }

  async write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion> {
    const { expected, signal } = options;
    const lease = isReleased(record) ? undefined : await this.#keepLease(record.ttlMs, signal);
    const revision = expected === "absent" ? "0" : expected;
    const value = base64(encodeRecord(record));
    const body = {
      compare: [{ key: this.#key, target: "MOD", result: "EQUAL", mod_revision: revision }],
      success: [
        { request_put: { key: this.#key, value } },
        lease === undefined
          ? { request_delete_range: { key: this.#aliveKey } }
          : { request_put: { key: this.#aliveKey, value: base64(record.owner), lease } },
      ],
    };
    const answer = await this.#request("write lease", "kv/txn", body, { signal });
    const { succeeded, header } = this.#parse(WRITTEN, "write lease", answer);
    if (succeeded !== true) throw conflict(this.#where, `it is no longer at revision ${revision}`);
    return toVersion(header.revision);
  }

  /** Left behind, the etcd lease ends by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaseId = undefined;
  }

  get #where(): string {
    return `etcd:${this.#options.key}`;
  }

  /** Prolongs the etcd lease, or gets one. Its time counts from here, after the keeper's own count began. */
  async #keepLease(ttlMs: number, signal: AbortSignal | undefined): Promise<string> {
    const op = "keep lease";
    if (this.#leaseId !== undefined) {
      const body = { ID: this.#leaseId };
      const kept = await this.#request(op, "lease/keepalive", body, { signal });
      const ttl = this.#parse(KEPT, op, kept).result.TTL;
      if (ttl !== undefined && ttl !== "0") return this.#leaseId;
    }
    const { minAliveMs = 0 } = this.#options;
    const body = { TTL: String(Math.ceil(Math.max(ttlMs, minAliveMs) / 1_000)) };
    const granted = await this.#request(op, "lease/grant", body, { signal });
    this.#leaseId = this.#parse(GRANTED, op, granted).ID;
    return this.#leaseId;
  }

  #request(op: string, path: string, body: unknown, { signal }: LeaseCall): Promise<JsonAnswer> {
    const { endpoint, token } = this.#options;
    const headers = token === undefined ? undefined : { authorization: token };
    const request: JsonRequest = {
      method: "POST",
      url: new URL(`/v3/${path}`, endpoint),
      headers,
      body,
      signal,
    };
    return requestJson(op, request);
  }

  #parse<T>(schema: z.ZodType<T>, op: string, { value }: JsonAnswer): T {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw unavailable(op, this.#where, "an answer that is not etcd's", parsed.error);
  }
}

function base64(content: string | Uint8Array): string {
  return Buffer.from(content).toString("base64");
}
