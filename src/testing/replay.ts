/**
 * The plainest possible reading of a line of LTX files: apply every file in order to a buffer, proving each. The
 * oracle against which cleverer readers and capture itself are tested. Holds the database in memory.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Checksum, Txid } from "../base/ids.ts";
import { openKernel } from "../kernel/kernel.ts";
import { LtxDecoder, readLtxHeader } from "../ltx/decoder.ts";
import { memorySource } from "../ltx/memory.ts";
import { parseLtxFileName } from "../ltx/names.ts";
import { RollingChecksum } from "../ltx/rolling-checksum.ts";

export interface Replayed {
  readonly txid: Txid;
  readonly pageSize: number;
  readonly commit: number;
  readonly image: Uint8Array;
  /** What the last file says that the database adds up to. */
  readonly recorded: Checksum;
  /** What the image does add up to. */
  readonly computed: Checksum;
  readonly files: number;
}

/** Applies the files of `dir` (names `<min>-<max>.ltx`) up to `until`; throws when they do not connect. */
export function replay(dir: string, options: { readonly until?: Txid | undefined } = {}): Replayed {
  const names = readdirSync(dir)
    .filter((name) => parseLtxFileName(name) !== undefined)
    .sort();
  let image: Uint8Array = new Uint8Array(0);
  let last: Omit<Replayed, "image" | "computed" | "files"> | undefined;
  let files = 0;
  for (const name of names) {
    const range = parseLtxFileName(name);
    if (range === undefined || (options.until !== undefined && range.maxTxid > options.until))
      break;
    if (range.minTxid !== (last?.txid ?? 0n) + 1n)
      throw new Error(`${name} does not follow TXID ${last?.txid ?? 0n}`);
    const bytes = readFileSync(join(dir, name));
    image = applyFile(image, bytes, name);
    const header = readLtxHeader(memorySource(bytes, name));
    const { pageSize, commit, databaseChecksum } = header;
    last = { txid: header.maxTxid, pageSize, commit, recorded: databaseChecksum };
    files += 1;
  }
  if (last === undefined) throw new Error(`no LTX files in ${dir}`);
  return { ...last, image, computed: checksumOf(image, last.pageSize), files };
}

function applyFile(image: Uint8Array, bytes: Uint8Array, name: string): Uint8Array {
  const source = memorySource(bytes, name);
  const { pageSize, commit } = readLtxHeader(source);
  const decoder = new LtxDecoder({ kernel: openKernel({ pageSize }), source });
  const next = new Uint8Array(commit * pageSize);
  next.set(image.slice(0, next.length));
  for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
    for (let index = 0; index < batch.count; index++) {
      const pgno = batch.pgnos[index] ?? 0;
      next.set(batch.pages.slice(index * pageSize, (index + 1) * pageSize), (pgno - 1) * pageSize);
    }
  }
  decoder.finish();
  return next;
}

/** The rolling checksum of a database image, computed from nothing; images past the lock page are not supported. */
function checksumOf(image: Uint8Array, pageSize: number): Checksum {
  const kernel = openKernel({ pageSize });
  const sum = new RollingChecksum();
  for (let pgno = 1; pgno <= image.length / pageSize; pgno++) {
    kernel.input.set(image.slice((pgno - 1) * pageSize, pgno * pageSize));
    sum.fold(kernel.pageChecksums(Uint32Array.of(pgno)));
  }
  return sum.value;
}
