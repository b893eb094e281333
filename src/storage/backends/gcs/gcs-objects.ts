/**
 * Objects as Google Cloud Storage describes them: in JSON where they are listed, in headers where they are read.
 *
 * The time of the content is in the metadata `litestream-timestamp`, frozen because Litestream reads and writes it. An object
 * without it has the time of its creation, to the second, because headers tell no more.
 */
import { failureError, type Failure } from "../../remote/failures.ts";
import { formatTimestamp, parseTimestamp } from "../../remote/timestamps.ts";
import type { ObjectInfo } from "../../contract.ts";

const TIMESTAMP = "litestream-timestamp";

/** Fields of an object that are asked for. */
export const OBJECT_FIELDS = "name,size,generation,timeCreated,metadata";

export interface GcsObject {
  readonly name: string;
  readonly size: string;
  readonly generation: string;
  readonly timeCreated: string;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** What an upload says of its object. */
export function uploadResource(
  name: string,
  createdAtMs: number | undefined,
): Readonly<Record<string, unknown>> {
  return {
    name,
    contentType: "application/octet-stream",
    ...(createdAtMs === undefined
      ? {}
      : { metadata: { [TIMESTAMP]: formatTimestamp(createdAtMs) } }),
  };
}

export function infoOf(key: string, object: GcsObject): ObjectInfo {
  return {
    key,
    sizeBytes: Number(object.size),
    createdAtMs: createdAt(object.metadata?.[TIMESTAMP], object.timeCreated),
    etag: object.generation,
  };
}

/** What the headers of a reading say of the whole object. Throws `storage/misconfigured` when they are not this service's. */
export function infoOfHeaders(key: string, headers: Headers, failure: Failure): ObjectInfo {
  const total = /\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1];
  const size =
    total ?? headers.get("x-goog-stored-content-length") ?? headers.get("content-length") ?? "";
  const generation = headers.get("x-goog-generation");
  if (generation === null || !/^\d+$/.test(size)) {
    const found = "the answer is not that of Google Cloud Storage";
    const hint = "check the endpoint of the replica; fake-gcs-server needs -public-host as in it";
    throw failureError("storage/misconfigured", failure, { found, hint });
  }
  const timestamp = headers.get(`x-goog-meta-${TIMESTAMP}`);
  return {
    key,
    sizeBytes: Number(size),
    createdAtMs: createdAt(timestamp, headers.get("last-modified") ?? ""),
    etag: generation,
  };
}

function createdAt(timestamp: string | null | undefined, storeTime: string): number {
  const storeMs = Date.parse(storeTime);
  const storeSecondMs = Number.isNaN(storeMs) ? 0 : Math.floor(storeMs / 1000) * 1000;
  return parseTimestamp(timestamp) ?? storeSecondMs;
}
