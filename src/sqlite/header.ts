/**
 * The first 100 bytes of a database file, as far as capture needs them. Big-endian.
 * Source: sqlite.org/fileformat2.html section 1.3.
 */
import { MillraceError } from "../errors.ts";

export const DATABASE_HEADER_SIZE = 100;

export interface DatabaseHeader {
  readonly pageSize: number;
  /** The write version byte is 2 for WAL, 1 for rollback journals. */
  readonly journal: "wal" | "rollback";
  /** Incremented by every rollback-journal transaction. */
  readonly changeCounter: number;
}

const MAGIC = "SQLite format 3\0";

/** Parses the header. Throws `sqlite/not-a-database` naming what was found instead. */
export function parseDatabaseHeader(bytes: Uint8Array, path: string): DatabaseHeader {
  const refuse = (found: string): MillraceError =>
    new MillraceError("sqlite/not-a-database", `read database header "${path}": ${found}`, {
      op: "read database header",
      details: { path },
      hint: "the file is not a SQLite database, or it is encrypted",
    });
  if (bytes.length < DATABASE_HEADER_SIZE)
    throw refuse(`${bytes.length} bytes, wanted ${DATABASE_HEADER_SIZE}`);
  const magic = String.fromCharCode(...bytes.slice(0, MAGIC.length));
  if (magic !== MAGIC)
    throw refuse(`it starts with ${JSON.stringify(magic)}, wanted ${JSON.stringify(MAGIC)}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stored = view.getUint16(16);
  const pageSize = stored === 1 ? 65536 : stored;
  if (pageSize < 512 || (pageSize & (pageSize - 1)) !== 0) throw refuse(`page size ${pageSize}`);
  const version = view.getUint8(18);
  if (version !== 1 && version !== 2) throw refuse(`write version ${version}, wanted 1 or 2`);
  return {
    pageSize,
    journal: version === 2 ? "wal" : "rollback",
    changeCounter: view.getUint32(24),
  };
}
