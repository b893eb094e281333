/**
 * The continuity record of one database [C4]: where in the WAL the last captured transaction ended, and what the
 * replica holds at that point. Anything unreadable counts as absent and leads to a resync, never to a guess.
 *
 * The file holds two slots of 4096 bytes, written in turns: a slot is the CRC-32 of a line of JSON in 8 hexadecimal
 * digits, a space and that line; the higher `sequence` counts. A crash spoils at most the slot being written. Written in
 * place, because a new file for every commit would cost three more flushes, and ext4 slows down where files are
 * created and deleted many times a second.
 */
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { z } from "zod";
import { assert } from "../base/assert.ts";
import {
  formatChecksum,
  formatTxid,
  parseChecksum,
  parseTxid,
  type Checksum,
  type Txid,
} from "../base/ids.ts";
import type { Files } from "../platform/files.ts";

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
  sequence: count,
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

/** A record and how many came before it. */
interface Slot {
  readonly sequence: number;
  readonly state: CaptureState;
}

const SLOTS = 2;
const SLOT_BYTES = 4096;
/** So that a record fits its slot, also when every character has to be escaped. */
const REASON_CHARACTERS_MAX = 500;

function encodeSlot({ sequence, state }: Slot): Uint8Array {
  const { owed, txid, databaseChecksum } = state;
  const json = JSON.stringify({
    format: 1,
    sequence,
    ...state,
    txid: formatTxid(txid),
    databaseChecksum: formatChecksum(databaseChecksum),
    owed: owed && { ...owed, reason: owed.reason.slice(0, REASON_CHARACTERS_MAX) },
  });
  const slot = new Uint8Array(SLOT_BYTES);
  const { read } = new TextEncoder().encodeInto(`${checkOf(json)} ${json}\n`, slot);
  assert(read === json.length + CHECK_CHARACTERS + 2, "a state record fits its slot");
  return slot;
}

const CHECK_CHARACTERS = 8;

function checkOf(json: string): string {
  return crc32(json).toString(16).padStart(CHECK_CHARACTERS, "0");
}

/** `undefined` for anything that is not a complete record. */
function decodeSlot(bytes: Uint8Array): Slot | undefined {
  const [line = ""] = new TextDecoder().decode(bytes).split("\n", 1);
  const text = line.slice(CHECK_CHARACTERS + 1);
  if (line !== `${checkOf(text)} ${text}`) return undefined;
  const parsed = RECORD.safeParse(parseJson(text));
  if (!parsed.success) return undefined;
  const txid = parseTxid(parsed.data.txid);
  const databaseChecksum = parseChecksum(parsed.data.databaseChecksum);
  if (txid === undefined || databaseChecksum === undefined) return undefined;
  const { sequence, pageSize, commit, file, wal, owed } = parsed.data;
  return { sequence, state: { txid, pageSize, commit, databaseChecksum, file, wal, owed } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Not a record: the caller resyncs.
  }
}

function newestSlot(files: Files, path: string): Slot | undefined {
  const bytes = files.readFile("read capture state", path) ?? new Uint8Array();
  const slots = [0, SLOT_BYTES].flatMap(
    (offset) => decodeSlot(bytes.subarray(offset, offset + SLOT_BYTES)) ?? [],
  );
  return slots.sort((a, b) => b.sequence - a.sequence)[0];
}

/** The record of a database that may be captured by another thread or process right now. */
export function loadState(files: Files, path: string): CaptureState | undefined {
  return newestSlot(files, path)?.state;
}

/** The record of a database that is captured here. */
export class StateFile {
  readonly #files: Files;
  readonly #path: string;
  #sequence = 0;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  load(): CaptureState | undefined {
    const newest = newestSlot(this.#files, this.#path);
    this.#sequence = newest?.sequence ?? 0;
    return newest?.state;
  }

  /** Makes the record durable; on failure the one before still counts, or this one. Call `load` before. */
  save(state: CaptureState): void {
    const op = "write capture state";
    this.#create(op);
    const sequence = this.#sequence + 1;
    const fd = this.#files.open(op, this.#path, "r+");
    try {
      this.#files.write(op, fd, encodeSlot({ sequence, state }), (sequence % SLOTS) * SLOT_BYTES);
      this.#files.fdatasync(op, fd);
    } finally {
      this.#files.close(op, fd);
    }
    this.#sequence = sequence;
  }

  /** At its full size from the beginning, so that later writes change nothing but the content. */
  #create(op: string): void {
    if (this.#files.stat(op, this.#path)?.sizeBytes === SLOTS * SLOT_BYTES) return;
    const fd = this.#files.open(op, this.#path, "w", 0o600);
    try {
      this.#files.write(op, fd, new Uint8Array(SLOTS * SLOT_BYTES), 0);
      this.#files.fsync(op, fd);
    } finally {
      this.#files.close(op, fd);
    }
    this.#files.fsyncDirectory(op, dirname(this.#path));
  }
}
