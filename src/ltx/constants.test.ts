import assert from "node:assert/strict";
import { test } from "node:test";
import {
  HEADER_FIELDS,
  HEADER_SIZE,
  PAGE_HEADER_FIELDS,
  PAGE_HEADER_SIZE,
  RESERVED_FIELDS,
  TRAILER_FIELDS,
  TRAILER_SIZE,
} from "./constants.ts";
import type { Field } from "./constants.ts";

const STRUCTURES: readonly (readonly [string, Readonly<Record<string, Field>>, number, number])[] =
  [
    ["header", HEADER_FIELDS, 0, HEADER_SIZE],
    ["reserved bytes", RESERVED_FIELDS, HEADER_FIELDS.reserved.offset, HEADER_SIZE],
    ["page header", PAGE_HEADER_FIELDS, 0, PAGE_HEADER_SIZE],
    ["trailer", TRAILER_FIELDS, 0, TRAILER_SIZE],
  ];

test("fields tile their structures with no gap and no overlap", () => {
  for (const [structure, fields, start, end] of STRUCTURES) {
    let next = start;
    for (const [name, { offset, size }] of Object.entries(fields)) {
      assert.equal(offset, next, `${structure}: ${name}`);
      next = offset + size;
    }
    assert.equal(next, end, structure);
  }
});
