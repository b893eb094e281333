/** The tables of docs/formats against the constants of the code. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import * as wal from "../src/wal/constants.ts";
import { fieldOffsets, tableUnder } from "./lib/doc-tables.ts";

const FORMATS = join(dirname(import.meta.dirname), "docs", "formats");

describe("docs/formats/wal.md", () => {
  const page = join(FORMATS, "wal.md");

  it("has the header fields of the code", () => {
    const rows = tableUnder(page, "Header, 32 bytes");
    const offsets = fieldOffsets(rows, { startOffset: 0, endOffset: wal.WAL_HEADER_SIZE });
    assert.deepEqual(offsets, wal.WAL_HEADER_FIELDS);
    const magic = rows[0]?.["Meaning"] ?? "";
    assert.ok(
      magic.includes(`0x${wal.WAL_MAGIC_LITTLE_ENDIAN.toString(16)}\`: checksum words are l`),
    );
    assert.ok(magic.includes(`0x${wal.WAL_MAGIC_BIG_ENDIAN.toString(16)}\`: big`));
    assert.equal(rows[1]?.["Meaning"], String(wal.WAL_VERSION));
  });

  it("has the frame fields of the code", () => {
    const rows = tableUnder(page, "Frames");
    const offsets = fieldOffsets(rows, { startOffset: 0, endOffset: wal.FRAME_HEADER_SIZE });
    assert.deepEqual(offsets, wal.FRAME_HEADER_FIELDS);
  });
});
