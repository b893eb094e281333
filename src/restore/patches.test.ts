/** Pages that wait for the snapshot: found again by number, within bounds. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { FRAME_USE } from "./decode-frames.ts";
import { PATCH_LIMITS, Patches, type Patch } from "./patches.ts";
import { NO_LIMITS, PieceBuilder, piecesOf, type Piece } from "./pieces.ts";

/** A piece of frames of 10 bytes with these numbers. */
function pieceOf(pgnos: readonly number[], isWanted: (pgno: number) => boolean): Piece {
  const builder = new PieceBuilder(NO_LIMITS);
  for (const [i, pgno] of pgnos.entries()) {
    const use = isWanted(pgno) ? FRAME_USE.take : FRAME_USE.check;
    builder.add({ pgno, offset: 100 + 10 * i, size: 10 }, use);
  }
  const piece = builder.finish();
  assert.ok(piece !== undefined);
  return piece;
}

test("Patches finds the wanted frames of every piece where they were put, and nothing else", () => {
  const anyPages = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 32 - 1 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.uniqueArray(anyPages), (lists) => {
      const patches = new Patches(PATCH_LIMITS);
      const wanted = new Map<number, Patch>();
      for (const list of lists) {
        const fresh = list.filter((pgno) => !wanted.has(pgno)).sort((a, b) => a - b);
        if (fresh.length === 0) continue;
        const isWanted = (pgno: number): boolean => pgno % 3 !== 0;
        const at = patches.keep(pieceOf(fresh, isWanted));
        assert.ok(at !== undefined);
        for (const [i, pgno] of fresh.entries()) {
          if (isWanted(pgno)) wanted.set(pgno, { pgno, offset: at + 10 * i, size: 10 });
        }
      }
      const ascending = [...wanted.values()].sort((a, b) => a.pgno - b.pgno);
      const asked = ascending.filter(({ pgno }) => pgno % 2 === 0);
      for (const patch of asked) {
        assert.deepEqual(patches.take(patch.pgno), patch);
        assert.equal(patches.take(patch.pgno), undefined, "once");
      }
      const rest = ascending.filter(({ pgno }) => pgno % 2 !== 0);
      assert.deepEqual(patches.takeRest(), rest);
      assert.deepEqual(patches.takeRest(), []);
    }),
  );
});

test("Patches keeps nothing beyond its limits and stays usable", () => {
  const patches = new Patches({ scratchBytes: 45, pages: 3 });
  const all = (): boolean => true;
  assert.equal(patches.keep(pieceOf([7, 8], all)), 0);
  assert.equal(patches.keep(pieceOf([1, 2], all)), undefined, "four pages");
  assert.equal(patches.keep(pieceOf([9], all)), 20);
  assert.equal(new Patches({ scratchBytes: 5, pages: 3 }).keep(pieceOf([1], all)), undefined);
  assert.deepEqual(patches.take(9)?.offset, 20);
  assert.deepEqual(
    patches.takeRest().map(({ pgno }) => pgno),
    [7, 8],
  );
});

test("PieceBuilder puts patches between frames without making a piece longer", () => {
  const builder = new PieceBuilder({ pieceBytes: 30, pieceFrames: 4, gapBytes: 10 });
  assert.equal(builder.add({ pgno: 1, offset: 9000, size: 99 }, FRAME_USE.patch), undefined);
  assert.equal(builder.add({ pgno: 2, offset: 500, size: 10 }, FRAME_USE.take), undefined);
  assert.equal(builder.add({ pgno: 3, offset: 20, size: 99 }, FRAME_USE.patch), undefined);
  assert.equal(builder.add({ pgno: 4, offset: 520, size: 10 }, FRAME_USE.take), undefined);
  const full = builder.add({ pgno: 5, offset: 700, size: 50 }, FRAME_USE.patch);
  assert.deepEqual(full, {
    offset: 500,
    sizeBytes: 30,
    frames: Uint32Array.of(1, 9000, 99, 2, 0, 10, 3, 20, 99, 4, 20, 10),
    uses: Uint8Array.of(FRAME_USE.patch, FRAME_USE.take, FRAME_USE.patch, FRAME_USE.take),
  });
  assert.deepEqual(builder.finish(), {
    offset: 0,
    sizeBytes: 0,
    frames: Uint32Array.of(5, 700, 50),
    uses: Uint8Array.of(FRAME_USE.patch),
  });
});

test("piecesOf() makes pieces of nothing but patches", () => {
  const patches = [
    { pgno: 1, offset: 70, size: 5 },
    { pgno: 2, offset: 0, size: 6 },
  ];
  const [piece, ...more] = [...piecesOf(patches)];
  assert.deepEqual(more, []);
  assert.deepEqual(piece?.frames, Uint32Array.of(1, 70, 5, 2, 0, 6));
  assert.deepEqual([...piecesOf([])], []);
});
