/**
 * The lease in Consul's key-value store, as a key that is locked by a session with a TTL.
 *
 * The record is the key's value, changed only by a transaction that compares the key's index; so the lease would hold
 * without a session. The session adds two things: everybody's tools see who holds the lock, and a process
 * that comes late finds it gone and need not wait. A silent holder's session lives up to twice its TTL, longer than
 * waiters wait: the one who takes over unlocks it in the same transaction.
 * Frozen: the value is the record of docs/formats/lease.md.
 * Source: hashicorp/consul@v1.5.3 `agent.Txn`, `agent.SessionCreate`, `structs.SessionTTLMultiplier`.
 */
import { z } from "zod";
import type { LeaseRecord } from "../../contract.ts";
import {
  isReleased,
  type LeaseCall,
  type LeaseCell,
  type LeaseReading,
  type LeaseVersion,
  type LeaseWrite,
  toVersion,
} from "../../contract.ts";
import { conflict, unavailable } from "../../errors.ts";
import { type JsonAnswer, type JsonRequest, requestJson } from "../../http-json.ts";
import { decodeRecord, encodeRecord } from "../../record.ts";

/** What Consul takes as a session's TTL and lock delay. */
const MIN_SESSION_TTL_MS = 10_000;
const MAX_LOCK_DELAY_MS = 60_000;

export interface ConsulCellOptions {
  /** Of an agent: `http://127.0.0.1:8500`. */
  readonly endpoint: string;
  /** Key in the store, such as `millrace/app`. Nobody else writes there. */
  readonly key: string;
  /** ACL token: read and write of the key, and of sessions. */
  readonly token?: string | undefined;
  /** TTL of the session, at least; default the record's, and 10 s, Consul's least. More makes latecomers wait. */
  readonly minSessionMs?: number | undefined;
}

export function openConsulCell(options: ConsulCellOptions): LeaseCell {
  return new ConsulCell(options);
}

const KEYS = z.array(
  z.object({
    Value: z.string().nullable(),
    ModifyIndex: z.number().int(),
    Session: z.string().optional(),
  }),
);
const CREATED = z.object({ ID: z.string() });
const TXN = z.object({ Results: z.array(z.object({ KV: z.object({ ModifyIndex: z.number() }) })) });
const REFUSED = z.object({ Errors: z.array(z.object({ What: z.string() })).min(1) });

class ConsulCell implements LeaseCell {
  readonly type = "consul";
  readonly #options: ConsulCellOptions;
  #session: string | undefined;

  constructor(options: ConsulCellOptions) {
    this.#options = options;
  }

  async read(call: LeaseCall = {}): Promise<LeaseReading | undefined> {
    const { key } = this.#options;
    const path = `kv/${encodeURIComponent(key)}?consistent`;
    const answer = await this.#request("read lease", path, {
      method: "GET",
      allow: [404],
      ...call,
    });
    if (answer.status === 404) return undefined;
    const [found] = this.#parse(KEYS, "read lease", answer);
    if (found === undefined) return undefined;
    const record = decodeRecord(Buffer.from(found.Value ?? "", "base64"), this.#where);
    // A session outlives its holder's claim: a record that has lost it is as good as given back.
    const isFree = found.Session === undefined;
    return {
      record: isFree ? { ...record, expiresAtMs: 0 } : record,
      version: versionOf(found.ModifyIndex, found.Session),
    };
  }

  async write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion> {
    const { expected, signal } = options;
    const session = await this.#keepSession(record.ttlMs, signal);
    const { index, holder } = parseVersion(expected);
    const Key = this.#options.key;
    const Value = Buffer.from(encodeRecord(record)).toString("base64");
    const isRelease = isReleased(record);
    const unlocks = holder !== undefined && (holder !== session || isRelease);
    const body = [
      { KV: { Verb: "cas", Key, Value, Index: index } },
      ...(unlocks ? [{ KV: { Verb: "unlock", Key, Value, Session: holder } }] : []),
      ...(isRelease ? [] : [{ KV: { Verb: "lock", Key, Value, Session: session } }]),
    ];
    const request = { method: "PUT" as const, body, allow: [409], signal };
    const answer = await this.#request("write lease", "txn", request);
    if (answer.status === 409) {
      const [refusal] = this.#parse(REFUSED, "write lease", answer).Errors;
      throw conflict(this.#where, refusal?.What ?? "the transaction was refused");
    }
    const done = this.#parse(TXN, "write lease", answer).Results.at(-1);
    return versionOf(done?.KV.ModifyIndex ?? 0, isRelease ? undefined : session);
  }

  /** The session is left to its TTL: disposal makes no requests, and a released key has no lock. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#session = undefined;
  }

  get #where(): string {
    return `consul:${this.#options.key}`;
  }

  /** Prolongs the session, or makes one. Its time counts from here, after the keeper's own count began. */
  async #keepSession(ttlMs: number, signal: AbortSignal | undefined): Promise<string> {
    const op = "keep session";
    if (this.#session !== undefined) {
      const path = `session/renew/${this.#session}`;
      const answer = await this.#request(op, path, { method: "PUT", allow: [404], signal });
      if (answer.status !== 404) return this.#session;
    }
    const { minSessionMs = MIN_SESSION_TTL_MS } = this.#options;
    const body = {
      Name: "millrace lease",
      TTL: `${Math.ceil(Math.max(ttlMs, minSessionMs, MIN_SESSION_TTL_MS) / 1_000)}s`,
      Behavior: "release",
      LockDelay: `${Math.ceil(Math.min(ttlMs, MAX_LOCK_DELAY_MS) / 1_000)}s`,
      Checks: [],
    };
    const answer = await this.#request(op, "session/create", { method: "PUT", body, signal });
    this.#session = this.#parse(CREATED, op, answer).ID;
    return this.#session;
  }

  #request(op: string, path: string, request: Omit<JsonRequest, "url">): Promise<JsonAnswer> {
    const { endpoint, token } = this.#options;
    const url = new URL(`/v1/${path}`, endpoint);
    const headers = token === undefined ? undefined : { "x-consul-token": token };
    return requestJson(op, { ...request, url, headers });
  }

  #parse<T>(schema: z.ZodType<T>, op: string, { value }: JsonAnswer): T {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw unavailable(op, this.#where, "an answer that is not Consul's", parsed.error);
  }
}

function versionOf(index: number, session: string | undefined): LeaseVersion {
  return toVersion(`${index}:${session ?? ""}`);
}

function parseVersion(expected: string): { index: number; holder: string | undefined } {
  if (expected === "absent") return { index: 0, holder: undefined };
  const [index, session = ""] = expected.split(":");
  return { index: Number(index), holder: session === "" ? undefined : session };
}
