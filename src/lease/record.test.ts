/** The record's JSON: ours, Litestream's, and what is neither. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { tableUnder } from "../../tools/lib/doc-tables.ts";
import { isMillraceError } from "../errors.ts";
import { type LeaseRecord, isReleased } from "./contract.ts";
import {
  decodeRecord,
  encodeRecord,
  FOREIGN_TTL_MS,
  MAX_RECORD_BYTES,
  RECORD_FIELDS,
} from "./record.ts";

const RECORD: LeaseRecord = {
  epoch: 12,
  owner: "host-1/4f",
  expiresAtMs: Date.UTC(2026, 10, 21, 18, 0, 30, 125),
  ttlMs: 30_000,
  renewals: 3,
};

function decode(text: string): LeaseRecord {
  return decodeRecord(new TextEncoder().encode(text), "lock.json");
}

describe("encodeRecord()", () => {
  it("writes the fields of docs/formats/lease.md", () => {
    const page = join(import.meta.dirname, "..", "..", "docs", "formats", "lease.md");
    const shown = tableUnder(page, "The record").map((row) => row["Field"]);
    assert.deepEqual(shown, [...RECORD_FIELDS]);
    assert.equal(
      new TextDecoder().decode(encodeRecord(RECORD)),
      '{"generation":12,"expires_at":"2026-11-21T18:00:30.125Z","owner":"host-1/4f",' +
        '"epoch":12,"ttl_ms":30000,"renewals":3}',
    );
  });

  it("is read back by decodeRecord()", () => {
    assert.deepEqual(decodeRecord(encodeRecord(RECORD), "lock.json"), RECORD);
    const released = { ...RECORD, expiresAtMs: 0 };
    assert.ok(isReleased(decodeRecord(encodeRecord(released), "lock.json")));
  });
});

describe("decodeRecord()", () => {
  it("reads what Litestream writes, nanoseconds and zone included", () => {
    const text =
      '{"generation":3,"expires_at":"2026-11-21T19:00:30.123456789+01:00","owner":"h:7"}';
    assert.deepEqual(decode(text), {
      epoch: 3,
      owner: "h:7",
      expiresAtMs: Date.UTC(2026, 10, 21, 18, 0, 30, 123),
      ttlMs: FOREIGN_TTL_MS,
      renewals: 0,
    });
  });

  it("reads a record without an owner, and ignores fields it does not know", () => {
    const text = '{"generation":1,"expires_at":"2026-01-01T00:00:00Z","epoch":9,"more":{}}';
    assert.equal(decode(text).owner, "");
    assert.equal(decode(text).epoch, 9);
  });

  it("refuses every truncation and everything that is no record", () => {
    const whole = new TextDecoder().decode(encodeRecord(RECORD));
    const texts = [
      ...Array.from({ length: whole.length }, (_, length) => whole.slice(0, length)),
      "null",
      "[]",
      "{}",
      whole.replace("12", "-1"),
      whole.replace("12", "1.5"),
      whole.replace("12", '"12"'),
      whole.replace("2026-", "soon"),
      whole.replace("30000", "1e300"),
      whole.replace('"host-1/4f"', "7"),
    ];
    for (const text of texts) {
      assert.throws(
        () => decode(text),
        (error) => isMillraceError(error, "lease/invalid"),
        text,
      );
    }
  });

  it("refuses what is too large or not UTF-8", () => {
    const isInvalid = (error: unknown): boolean => isMillraceError(error, "lease/invalid");
    assert.throws(() => decodeRecord(new Uint8Array(MAX_RECORD_BYTES + 1), "x"), isInvalid);
    assert.throws(() => decodeRecord(new Uint8Array([0x22, 0xff, 0x22]), "x"), isInvalid);
  });
});
