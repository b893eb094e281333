/** What the level 0 files of a replica hold: which of the application's transactions, and how much of the database. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Kernel } from "../../src/kernel/kernel.ts";
import { openKernel } from "../../src/kernel/kernel.ts";
import { LtxDecoder, readLtxHeader } from "../../src/ltx/decoder.ts";
import { memorySource } from "../../src/ltx/memory.ts";
import { MARK_PREFIX } from "./writer.ts";

export interface ReplicaFile {
  readonly name: string;
  readonly maxTxid: bigint;
  readonly pages: number;
  /** Pages of the database after it. */
  readonly commit: number;
  /** The newest transaction it holds; 0 when it has none. */
  readonly sequence: number;
}

const kernels = new Map<number, Kernel>();

/** Reads and proves one file. `markPgno` is the page that transactions write their number into. */
export function readReplicaFile(directory: string, name: string, markPgno: number): ReplicaFile {
  const source = memorySource(readFileSync(join(directory, name)));
  const { pageSize, maxTxid, commit } = readLtxHeader(source);
  const kernel = kernels.get(pageSize) ?? openKernel({ pageSize });
  kernels.set(pageSize, kernel);
  const decoder = new LtxDecoder({ kernel, source });
  let sequence = 0;
  let pages = 0;
  for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
    pages += batch.pgnos.length;
    const index = batch.pgnos.indexOf(markPgno);
    if (index < 0) continue;
    const page = batch.pages.subarray(index * pageSize, (index + 1) * pageSize);
    for (const [, digits] of Buffer.from(page).toString("latin1").matchAll(MARK)) {
      sequence = Math.max(sequence, Number(digits));
    }
  }
  decoder.finish();
  return { name, maxTxid, pages, commit, sequence };
}

const MARK = new RegExp(`${MARK_PREFIX}(\\d{12})`, "g");
