/**
 * The continuity record of one database [C4]: where in the WAL the last captured transaction ended, and what the
 * replica holds at that point. Written after every sync by temporary file, fsync and rename, so it is either
 * the old record or the new one. Anything unreadable counts as absent and leads to a resync, never to a guess.
 */
import { z } from "zod";
import {
  formatChecksum,
  formatTxid,
  parseChecksum,
  parseTxid,
  type Checksum,
  type Txid,
} from "../base/ids.ts";
import { writeFileAtomic, type Files } from "../platform/files.ts";

/** Identity of a file on this machine. */
export interface FileIdentity {
  readonly dev: string;
  readonly ino: string;
}

/** A WAL generation and the place in it up to which everything is captured. */
export interface WalMark {
  readonly salt1: number;
  readonly salt2: number;
  readonly offset: number;
  /** Cumulative frame checksum at `offset`. */
  readonly s0: number;
  readonly s1: number;
}

/** Work that must be done before incremental capture may go on, remembered until it succeeded [C6]. */
export interface Owed {
  /** `diff`: compare every page with the table. `full`: copy every page. `boundary`: also write a snapshot 1–N. */
  readonly kind: "diff" | "full" | "boundary";
  readonly reason: string;
}

export interface CaptureState {
  readonly txid: Txid;
  readonly pageSize: number;
  /** Database size in pages. */
  readonly commit: number;
  /** Rolling checksum of the database at `txid`. */
  readonly databaseChecksum: Checksum;
  readonly file: FileIdentity;
  /** Absent for rollback-journal databases and while the WAL is empty. */
  readonly wal?: WalMark | undefined;
  readonly owed?: Owed | undefined;
}

const u32 = z.number().int().min(0).max(0xffffffff);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const RECORD = z.strictObject({
  format: z.literal(1),
  txid: z.string(),
  pageSize: count,
  commit: u32,
  databaseChecksum: z.string(),
  file: z.strictObject({ dev: z.string(), ino: z.string() }),
  wal: z.strictObject({ salt1: u32, salt2: u32, offset: count, s0: u32, s1: u32 }).optional(),
  owed: z
    .strictObject({ kind: z.enum(["diff", "full", "boundary"]), reason: z.string() })
    .optional(),
});

export function encodeState(state: CaptureState): Uint8Array {
  const record = {
    format: 1,
    ...state,
    txid: formatTxid(state.txid),
    databaseChecksum: formatChecksum(state.databaseChecksum),
  };
  return new TextEncoder().encode(`${JSON.stringify(record)}\n`);
}

/** `undefined` for anything that is not a complete record. */
export function decodeState(bytes: Uint8Array): CaptureState | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined; // Not a record: the caller resyncs.
  }
  const parsed = RECORD.safeParse(json);
  if (!parsed.success) return undefined;
  const txid = parseTxid(parsed.data.txid);
  const databaseChecksum = parseChecksum(parsed.data.databaseChecksum);
  if (txid === undefined || databaseChecksum === undefined) return undefined;
  const { pageSize, commit, file, wal, owed } = parsed.data;
  return { txid, pageSize, commit, databaseChecksum, file, wal, owed };
}

export function loadState(files: Files, path: string): CaptureState | undefined {
  const bytes = files.readFile("read capture state", path);
  return bytes === undefined ? undefined : decodeState(bytes);
}

export function saveState(files: Files, path: string, state: CaptureState): void {
  writeFileAtomic(files, "write capture state", path, encodeState(state));
}
