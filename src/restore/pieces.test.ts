import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FRAME_USE } from "./decode-frames.ts";
import {
  NO_LIMITS,
  PieceBuilder,
  type FrameEntry,
  type Piece,
  type PieceLimits,
} from "./pieces.ts";

function build(entries: readonly FrameEntry[], limits: PieceLimits): Piece[] {
  const builder = new PieceBuilder(limits);
  const pieces: Piece[] = [];
  for (const entry of entries) {
    const piece = builder.add(entry, entry.pgno % 2 === 0 ? FRAME_USE.take : FRAME_USE.check);
    if (piece !== undefined) pieces.push(piece);
  }
  const last = builder.finish();
  return last === undefined ? pieces : [...pieces, last];
}

function entriesOf(piece: Piece): FrameEntry[] {
  return Array.from(piece.uses, (_, i) => ({
    pgno: piece.frames[3 * i] ?? 0,
    offset: piece.offset + (piece.frames[3 * i + 1] ?? 0),
    size: piece.frames[3 * i + 2] ?? 0,
  }));
}

test("PieceBuilder joins neighbours and small gaps, and splits at large ones", () => {
  const entries = [
    { pgno: 1, offset: 100, size: 50 },
    { pgno: 2, offset: 150, size: 50 },
    { pgno: 3, offset: 210, size: 50 },
    { pgno: 4, offset: 271, size: 50 },
  ];
  const pieces = build(entries, { pieceBytes: 1000, pieceFrames: 10, gapBytes: 10 });
  assert.deepEqual(
    pieces.map((piece) => [piece.offset, piece.sizeBytes, piece.uses.length]),
    [
      [100, 160, 3],
      [271, 50, 1],
    ],
  );
  assert.deepEqual(
    [...(pieces[0]?.uses ?? [])],
    [FRAME_USE.check, FRAME_USE.take, FRAME_USE.check],
  );
});

test("PieceBuilder yields nothing for nothing, and one piece without limits", () => {
  assert.deepEqual(build([], NO_LIMITS), []);
  const entries = Array.from({ length: 500 }, (_, i) => ({
    pgno: i + 1,
    offset: i * 1_000_000,
    size: 10,
  }));
  assert.equal(build(entries, NO_LIMITS).length, 1);
});

test("PieceBuilder keeps every frame, in order, within its limits", () => {
  const steps = fc.array(fc.record({ gap: fc.nat(40), size: fc.integer({ min: 1, max: 60 }) }), {
    maxLength: 150,
  });
  const limits = fc.record({
    pieceBytes: fc.integer({ min: 60, max: 400 }),
    pieceFrames: fc.integer({ min: 1, max: 20 }),
    gapBytes: fc.nat(40),
  });
  fc.assert(
    fc.property(steps, limits, (steps, limits) => {
      let offset = 2 ** 40;
      const entries = steps.map(({ gap, size }, i) => {
        const entry = { pgno: i + 1, offset: offset + gap, size };
        offset += gap + size;
        return entry;
      });
      const pieces = build(entries, limits);
      assert.deepEqual(pieces.flatMap(entriesOf), entries);
      for (const piece of pieces) {
        assert.ok(piece.sizeBytes <= limits.pieceBytes && piece.uses.length <= limits.pieceFrames);
        const last = entriesOf(piece).at(-1);
        assert.equal(piece.offset + piece.sizeBytes, (last?.offset ?? 0) + (last?.size ?? 0));
      }
    }),
  );
});
