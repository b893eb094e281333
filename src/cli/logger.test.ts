import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toTxid } from "../base/ids.ts";
import type { LogLevel } from "../base/logger.ts";
import { createLogger, parseLogLevel, type LogFormat } from "./logger.ts";

function lines(
  format: LogFormat,
  level: LogLevel = "info",
): { out: string[]; log: ReturnType<typeof createLogger> } {
  const out: string[] = [];
  const log = createLogger({
    format,
    level,
    now: () => 1_700_000_000_000,
    write: (text) => out.push(text),
  });
  return { out, log };
}

describe("createLogger()", () => {
  it("writes key=value lines, quoting what is no word", () => {
    const { out, log } = lines("text");
    log.with({ db: "/a b.db" }).log("info", "snapshot complete", {
      txid: toTxid(42),
      size: 12,
      nothing: undefined,
      empty: "",
      error: new Error('a "b"'),
      list: [1, 2],
    });
    assert.deepEqual(out, [
      'time=2023-11-14T22:13:20.000Z level=INFO msg="snapshot complete" db="/a b.db" txid=000000000000002a size=12 empty="" error="a \\"b\\"" list=[1,2]\n',
    ]);
  });

  it("writes JSON lines", () => {
    const { out, log } = lines("json");
    log.log("warn", "x", { txid: toTxid(1), error: new Error("bad"), nothing: undefined });
    assert.deepEqual(JSON.parse(out[0] ?? ""), {
      time: "2023-11-14T22:13:20.000Z",
      level: "WARN",
      msg: "x",
      txid: "0000000000000001",
      error: "bad",
    });
  });

  it("does not confuse its own fields with those of a line", () => {
    const text = lines("text");
    text.log.log("info", "ltx file uploaded", { level: 0 });
    assert.match(text.out[0] ?? "", / level=INFO msg="ltx file uploaded" level=0\n$/);
    const json = lines("json");
    json.log.log("info", "ltx file uploaded", { level: 0 });
    assert.match(json.out[0] ?? "", /"level":"INFO",.*"field_level":0/);
  });

  it("drops what is below its level", () => {
    const { out, log } = lines("text", "warn");
    for (const level of ["trace", "debug", "info", "warn", "error"] as const) log.log(level, level);
    assert.equal(out.length, 2);
  });
});

describe("parseLogLevel()", () => {
  it("reads names in any case", () => {
    assert.deepEqual(["INFO", "Warning", "trace", "loud", "constructor"].map(parseLogLevel), [
      "info",
      "warn",
      "trace",
      undefined,
      undefined,
    ]);
  });
});
