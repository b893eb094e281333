/**
 * Blobs as Azure describes them. The time of the content is in the metadata `litestreamtimestamp`, frozen because Litestream
 * reads and writes it; names of metadata have no hyphens here.
 */
import type { ObjectInfo } from "../../contract.ts";
import { formatTimestamp, parseTimestamp } from "../../remote/timestamps.ts";

const TIMESTAMP = "litestreamtimestamp";

/** What an upload says of its blob. */
export function blobMetadata(createdAtMs: number | undefined): Record<string, string> {
  return createdAtMs === undefined ? {} : { [TIMESTAMP]: formatTimestamp(createdAtMs) };
}

export interface BlobFacts {
  readonly sizeBytes: number | undefined;
  readonly etag: string | undefined;
  readonly lastModified: Date | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export function infoOf(key: string, facts: BlobFacts): ObjectInfo {
  return {
    key,
    sizeBytes: facts.sizeBytes ?? 0,
    createdAtMs: createdAt(facts.metadata) ?? facts.lastModified?.getTime() ?? 0,
    // Listings have it without the quotes.
    etag: facts.etag?.replaceAll('"', ""),
  };
}

/** The header for a version that `infoOf` told; `undefined` when no blob can have it. */
export function etagHeader(etag: string): string | undefined {
  return /^[\w+/=.-]+$/.test(etag) ? `"${etag}"` : undefined;
}

/** Clients differ in how they write names of metadata, which are compared without case. */
function createdAt(metadata: Readonly<Record<string, string>> = {}): number | undefined {
  const entry = Object.entries(metadata).find(([name]) => name.toLowerCase() === TIMESTAMP);
  return parseTimestamp(entry?.[1]);
}
