/**
 * How an object store lies in a JetStream stream, as every NATS client reads it: the content of an object is messages on
 * `$O.BUCKET.C.NUID`, one for each chunk, and what makes it visible is one message on `$O.BUCKET.M.NAME`, JSON, its name
 * in URL-safe base64. A deleted object may leave such a message behind, saying so.
 *
 * Frozen: the JSON's fields, the digest's form, the header `Litestream-Timestamp`, and our own `metadata` entry, which says
 * in which messages the chunks are: `SEQUENCE+COUNT,…`, runs of consecutive messages with full chunks (the last may be short).
 * Objects of other clients do not have it, and their chunks may have any size.
 *
 * Source: nats-io/nats-architecture-and-design ADR-20; benbjohnson/litestream@63225f1 `nats.HeaderKeyTimestamp`.
 */
import { formatTimestamp, parseTimestamp } from "../../remote/timestamps.ts";

/** What other clients take, so that all can read with small buffers. */
export const CHUNK_BYTES: number = 128 * 1024;
/** Header of an object: when its content was made, RFC 3339. */
export const TIMESTAMP_HEADER = "Litestream-Timestamp";
/** Entry of an object's metadata: where its chunks are. */
export const CHUNKS_ENTRY = "millrace-chunks";

const DIGEST_PREFIX = "SHA-256=";
/** No wildcard: it becomes part of the subject that is purged with an object. Links have none at all. */
const NUID = /^[\w-]*$/;
/** Longest list of runs that is recorded; readers look for the chunks that it leaves out. */
const MAX_RUNS_CHARS = 4096;

/** Consecutive messages, each with a full chunk, except the object's last. */
export interface ChunkRun {
  readonly sequence: number;
  readonly count: number;
}

/** What is known of an object. */
export interface ObjectMeta {
  readonly name: string;
  readonly nuid: string;
  readonly sizeBytes: number;
  readonly countChunks: number;
  /** Largest chunk. */
  readonly chunkBytes: number;
  /** SHA-256 of the content in base64url without padding; `undefined` when another kind of digest is recorded, or none. */
  readonly digest: string | undefined;
  readonly createdAtMs: number;
  /** Of the message that says all this: changes with every version of the object. */
  readonly sequence: number;
  /** Where the first chunks are, in order; empty when that is not recorded. */
  readonly runs: readonly ChunkRun[];
  /** The name is free: the object was deleted. */
  readonly isDeleted: boolean;
  /** The name stands for an object elsewhere; has no content of its own. */
  readonly isLink: boolean;
}

export function streamName(bucket: string): string {
  return `OBJ_${bucket}`;
}

export function chunkSubject(bucket: string, nuid: string): string {
  return `$O.${bucket}.C.${nuid}`;
}

export function metaSubject(bucket: string, name: string): string {
  const encoded = Buffer.from(name).toString("base64");
  return `$O.${bucket}.M.${encoded.replaceAll("+", "-").replaceAll("/", "_")}`;
}

/** Every subject that `metaSubject` may give. */
export function metaSubjects(bucket: string): string {
  return `$O.${bucket}.M.>`;
}

/** The name in a subject of `metaSubject`, if it is one. */
export function nameOfSubject(bucket: string, subject: string): string | undefined {
  const start = `$O.${bucket}.M.`;
  if (!subject.startsWith(start)) return undefined;
  const name = Buffer.from(subject.slice(start.length), "base64url").toString();
  return metaSubject(bucket, name) === subject ? name : undefined;
}

/** The JSON that makes an object visible. `digest` as in `ObjectMeta`. */
export function encodeMeta(
  bucket: string,
  meta: Omit<ObjectMeta, "sequence" | "isDeleted" | "isLink">,
  nowMs: number,
): string {
  return JSON.stringify({
    name: meta.name,
    headers: { [TIMESTAMP_HEADER]: [formatTimestamp(meta.createdAtMs)] },
    metadata: meta.runs.length === 0 ? undefined : { [CHUNKS_ENTRY]: encodeRuns(meta.runs) },
    options: { max_chunk_size: meta.chunkBytes },
    bucket,
    nuid: meta.nuid,
    size: meta.sizeBytes,
    mtime: new Date(nowMs).toISOString(),
    chunks: meta.countChunks,
    digest: `${DIGEST_PREFIX}${padded(meta.digest ?? "")}`,
    deleted: false,
  });
}

/** Reads what `encodeMeta`, or another client, wrote; `undefined` when it is nothing of the kind. */
export function decodeMeta(
  text: string,
  message: { readonly sequence: number; readonly storedAtMs: number },
): ObjectMeta | undefined {
  const fields = record(json(text));
  const options = record(fields["options"]);
  const isLink = options["link"] !== undefined && options["link"] !== null;
  const { name, nuid = "", size = 0, chunks = 0 } = fields;
  if (typeof name !== "string" || typeof nuid !== "string" || !NUID.test(nuid)) return undefined;
  if (!isCount(size) || !isCount(chunks) || size < chunks) return undefined;
  const chunkBytes = options["max_chunk_size"];
  return {
    name,
    nuid,
    sizeBytes: size,
    countChunks: chunks,
    chunkBytes: isCount(chunkBytes) && chunkBytes > 0 ? chunkBytes : CHUNK_BYTES,
    digest: digestOf(fields["digest"]),
    createdAtMs: timestampOf(fields["headers"]) ?? message.storedAtMs,
    sequence: message.sequence,
    runs: decodeRuns(record(fields["metadata"])[CHUNKS_ENTRY], chunks),
    isDeleted: fields["deleted"] === true,
    isLink,
  };
}

/** Runs of `sequences`, which are those of an object's chunks in order. */
export function toRuns(sequences: readonly number[]): ChunkRun[] {
  const runs: { sequence: number; count: number }[] = [];
  for (const sequence of sequences) {
    const last = runs.at(-1);
    if (last !== undefined && last.sequence + last.count === sequence) last.count += 1;
    else runs.push({ sequence, count: 1 });
  }
  return runs;
}

function encodeRuns(runs: readonly ChunkRun[]): string {
  let text = "";
  for (const { sequence, count } of runs) {
    const item = `${text === "" ? "" : ","}${sequence}+${count}`;
    if (text.length + item.length > MAX_RUNS_CHARS) break;
    text += item;
  }
  return text;
}

function decodeRuns(text: unknown, countChunks: number): ChunkRun[] {
  if (typeof text !== "string" || text.length > MAX_RUNS_CHARS) return [];
  const runs: ChunkRun[] = [];
  let total = 0;
  let end = 0;
  for (const item of text.split(",")) {
    const match = /^(\d{1,15})\+(\d{1,10})$/.exec(item);
    const sequence = Number(match?.[1] ?? 0);
    const count = Number(match?.[2] ?? 0);
    total += count;
    if (count === 0 || sequence < Math.max(end, 1) || total > countChunks) return [];
    end = sequence + count;
    runs.push({ sequence, count });
  }
  return runs;
}

function digestOf(text: unknown): string | undefined {
  if (typeof text !== "string" || !text.startsWith(DIGEST_PREFIX)) return undefined;
  return text.slice(DIGEST_PREFIX.length).replace(/=+$/, "");
}

function padded(base64: string): string {
  return base64.padEnd(Math.ceil(base64.length / 4) * 4, "=");
}

function timestampOf(headers: unknown): number | undefined {
  const values = record(headers)[TIMESTAMP_HEADER];
  const text: unknown = Array.isArray(values) ? values[0] : undefined;
  return typeof text === "string" ? parseTimestamp(text) : undefined;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The same as any other JSON that is no object's.
    return undefined;
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
