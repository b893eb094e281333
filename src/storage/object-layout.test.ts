/** docs/formats/object-layout.md against the code. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { tableUnder } from "../../tools/lib/doc-tables.ts";
import { toTxid } from "../base/ids.ts";
import { systemClock } from "../platform/clock.ts";
import { DEFAULT_DIRECTORY_MODE, DEFAULT_FILE_MODE, MAX_NAME_BYTES } from "./backends/file/file.ts";
import { STALE_AFTER_MS } from "./backends/file/temporary.ts";
import { openMemoryStore } from "./backends/memory/memory.ts";
import { MAX_KEY_BYTES, TEMPORARY_SUFFIX } from "./keys.ts";
import { type LtxLayout, LtxStore, MAX_LEVEL } from "./ltx-store.ts";
import { temporaryPath } from "./tree/temporary.ts";

const PAGE = join(import.meta.dirname, "../../docs/formats/object-layout.md");

function column(heading: string, title: string): string[] {
  return tableUnder(PAGE, heading).map((row) => row[title] ?? "");
}

describe("docs/formats/object-layout.md", () => {
  it("shows names and levels as LtxStore makes them", () => {
    const file = { level: MAX_LEVEL, minTxid: toTxid(1), maxTxid: toTxid(0xabc) };
    const keyIn = (layout: LtxLayout): string =>
      new LtxStore(openMemoryStore({ clock: systemClock }), { layout }).keyOf(file);
    const [name, ltxLevel, s3Level] = column("In a store", "Example");
    assert.equal(keyIn("ltx"), `${ltxLevel}/${name}`);
    assert.equal(keyIn("s3"), `${s3Level}/${name}`);
  });

  it("shows the limits of keys", () => {
    assert.deepEqual(column("Limits of keys", "Value"), [
      String(MAX_KEY_BYTES),
      String(MAX_NAME_BYTES),
      TEMPORARY_SUFFIX,
    ]);
  });

  it("shows the settings of directories", () => {
    assert.deepEqual(column("In a directory", "Value"), [
      DEFAULT_DIRECTORY_MODE.toString(8).padStart(4, "0"),
      DEFAULT_FILE_MODE.toString(8).padStart(4, "0"),
      temporaryPath("<name>").replace(/\.\d+\.\d+\./, ".<pid>.<n>."),
      `${STALE_AFTER_MS / 3_600_000} hour`,
    ]);
  });
});
