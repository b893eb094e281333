/** The tables of docs/formats against the constants of the code. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { metaPaths } from "../src/capture/meta-dir.ts";
import * as ltx from "../src/ltx/constants.ts";
import { lockPgno } from "../src/ltx/header.ts";
import { SNAPSHOT_LEVEL } from "../src/ltx/names.ts";
import { parseLegacyKey } from "../src/restore/legacy/names.ts";
import * as wal from "../src/wal/constants.ts";
import { type TableRow, fieldOffsets, tableUnder } from "./lib/doc-tables.ts";

const FORMATS = join(dirname(import.meta.dirname), "docs", "formats");

/** Field name to place, as the constants of `ltx` spell it. */
function places(rows: readonly TableRow[], startOffset: number, endOffset: number): unknown {
  const offsets = fieldOffsets(rows, { startOffset, endOffset });
  const entries = rows.map((row) => {
    const name = row["Field"] ?? "";
    return [name, { offset: offsets[name], size: Number(row["Size"]) }] as const;
  });
  return Object.fromEntries(entries);
}

function ascii(value: number): string {
  return String.fromCharCode(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255);
}

describe("docs/formats/ltx.md", () => {
  const page = join(FORMATS, "ltx.md");

  it("has the header fields of the code", () => {
    const rows = tableUnder(page, "Header");
    assert.deepEqual(places(rows, 0, ltx.HEADER_SIZE), ltx.HEADER_FIELDS);
    assert.equal(rows[0]?.["Meaning"], ascii(ltx.MAGIC));
    assert.match(rows[1]?.["Meaning"] ?? "", /^bit 1:/);
    assert.equal(ltx.FLAG_NO_CHECKSUM, 1 << 1);
  });

  it("has the tag of the code, inside the reserved bytes", () => {
    const { offset, size } = ltx.HEADER_FIELDS.reserved;
    const rows = tableUnder(page, "The Millrace tag");
    assert.deepEqual(places(rows, offset, offset + size), ltx.RESERVED_FIELDS);
    assert.equal(rows[0]?.["Meaning"], ascii(ltx.RESERVED_TAG));
  });

  it("has the page header and the trailer of the code", () => {
    const frame = tableUnder(page, "Page frame");
    assert.deepEqual(places(frame, 0, ltx.PAGE_HEADER_SIZE), ltx.PAGE_HEADER_FIELDS);
    assert.equal(ltx.PAGE_FLAG_SIZE, 1 << 0);
    const trailer = tableUnder(page, "Trailer");
    assert.deepEqual(places(trailer, 0, ltx.TRAILER_SIZE), ltx.TRAILER_FIELDS);
  });

  it("has the sizes of the sections", () => {
    const sizes = tableUnder(page, "LTX, version 3").map((row) => Number(row["Size"]));
    assert.deepEqual(
      sizes.filter((size) => !Number.isNaN(size)),
      [ltx.HEADER_SIZE, ltx.PAGE_HEADER_SIZE, ltx.INDEX_SIZE_SIZE, ltx.TRAILER_SIZE],
    );
  });

  it("has the lock page of every page size", () => {
    const rows = tableUnder(page, "The lock page");
    assert.deepEqual(
      rows.map((row) => Number(row["Page size"])),
      [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
    );
    for (const row of rows)
      assert.equal(Number(row["Lock page"]), lockPgno(Number(row["Page size"])));
  });
});

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

describe("docs/formats/litestream-v03.md", () => {
  const rows = tableUnder(join(FORMATS, "litestream-v03.md"), "Layout");

  it("has the keys of the code", () => {
    const keys = rows.map((row) => row["Key"] ?? "").filter((key) => key !== "");
    assert.equal(keys.length, 2);
    for (const key of keys) {
      const filled = key
        .replaceAll("`", "")
        .replace("<generation>", "0123456789abcdef")
        .replace("<index>", "0000000a")
        .replace("<offset>", "00001000");
      assert.equal(parseLegacyKey(filled)?.index, 10, key);
    }
  });
});

describe("docs/formats/object-layout.md", () => {
  const page = join(FORMATS, "object-layout.md");

  it("has the levels of the code", () => {
    const levels = tableUnder(page, "Levels").map((row) => row["Level"]);
    assert.deepEqual(levels, ["0", `1 to ${SNAPSHOT_LEVEL - 1}`, String(SNAPSHOT_LEVEL)]);
  });

  it("has the local files of the code", () => {
    const shown = tableUnder(page, "Beside the database").map((row) => row["Path"] ?? "");
    const wanted = Object.values(metaPaths("")).filter((path) => path !== "");
    for (const path of wanted)
      assert.ok(
        shown.some((name) => name === path || name.startsWith(`${path}/`)),
        `${path} is not shown`,
      );
    for (const name of shown)
      assert.ok(
        wanted.some((path) => name === path || name.startsWith(`${path}/`)),
        `${name} is no path of the code`,
      );
  });
});
