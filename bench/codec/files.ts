/** The codec with files at its ends: what a snapshot costs without capture around it, and what proving a file costs. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toTxid } from "../../src/base/ids.ts";
import { openKernel } from "../../src/kernel/kernel.ts";
import { LtxDecoder } from "../../src/ltx/decoder.ts";
import { LtxEncoder, type LtxSink } from "../../src/ltx/encoder.ts";
import { memorySource, MemorySink } from "../../src/ltx/memory.ts";
import { sampleHeader } from "../../src/testing/ltx-samples.ts";

const PAGE_SIZE = 4096;
const WRITE_BYTES = 1 << 20;

export interface Loop {
  readonly name: string;
  readonly run: () => void;
}

export function fileLoops(databasePath: string): Loop[] {
  const sink = new MemorySink();
  encodeFile(databasePath, sink);
  const bytes = sink.toBytes();
  return [
    {
      name: "database file to LTX, nowhere",
      run: () => encodeFile(databasePath, { write: () => {}, patch: () => {} }),
    },
    { name: "database file to a new LTX file, fsync", run: () => toNewFile(databasePath) },
    { name: "prove an LTX file in memory", run: () => prove(bytes) },
  ];
}

function encodeFile(databasePath: string, sink: LtxSink): void {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const fd = openSync(databasePath, "r");
  const commit = fstatSync(fd).size / PAGE_SIZE;
  const header = sampleHeader({ pageSize: PAGE_SIZE, commit, minTxid: toTxid(1) });
  const encoder = new LtxEncoder({ kernel, header, sink });
  for (let page = 0; page < commit; page += kernel.batchPages) {
    const count = Math.min(kernel.batchPages, commit - page);
    const batch = kernel.input.subarray(0, count * PAGE_SIZE);
    readSync(fd, batch, 0, batch.length, page * PAGE_SIZE);
    encoder.writePages(
      Uint32Array.from({ length: count }, (_, index) => page + index + 1),
      batch,
    );
  }
  encoder.finish();
  closeSync(fd);
}

function toNewFile(databasePath: string): void {
  const directory = mkdtempSync(join(tmpdir(), "millrace-bench-codec-"));
  const fd = openSync(join(directory, "new.ltx"), "wx");
  const buffer = new Uint8Array(WRITE_BYTES);
  let buffered = 0;
  const flush = (): void => {
    writeSync(fd, buffer, 0, buffered);
    buffered = 0;
  };
  encodeFile(databasePath, {
    write: (bytes) => {
      if (buffered + bytes.length > buffer.length) flush();
      buffer.set(bytes, buffered);
      buffered += bytes.length;
    },
    patch: (offset, bytes) => writeSync(fd, bytes, 0, bytes.length, offset),
  });
  flush();
  fsyncSync(fd);
  closeSync(fd);
  rmSync(directory, { recursive: true });
}

function prove(bytes: Uint8Array): void {
  const decoder = new LtxDecoder({
    kernel: openKernel({ pageSize: PAGE_SIZE }),
    source: memorySource(bytes),
  });
  while (decoder.next() !== undefined);
  decoder.finish();
}
