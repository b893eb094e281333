import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PageSet } from "./page-set.ts";

const NO_LOCK = 1 << 30;

function pagesOf(set: PageSet): number[] {
  const pages: number[] = [];
  for (const { first, last } of set.unclaimedRuns()) {
    for (let pgno = first; pgno <= last; pgno += 1) pages.push(pgno);
  }
  return pages;
}

test("PageSet.claim() accepts each page of its span once and never the lock page", () => {
  const set = new PageSet(1, 5, 3);
  assert.equal(set.missingCount, 4);
  assert.equal(set.claim(2), true);
  assert.equal(set.claim(2), false);
  assert.equal(set.claim(3), false);
  assert.equal(set.claim(6), false);
  assert.equal(set.claim(0), false);
  assert.equal(set.missingCount, 3);
  assert.deepEqual(
    [...set.unclaimedRuns()],
    [
      { first: 1, last: 1 },
      { first: 4, last: 5 },
    ],
  );
});

test("PageSet.lowerTo() ends the history of the pages above", () => {
  const set = new PageSet(1, 10, NO_LOCK);
  set.claim(8);
  set.lowerTo(6);
  assert.equal(set.missingCount, 6);
  assert.equal(set.claim(7), false);
  assert.equal(set.claim(6), true);
  set.lowerTo(9);
  assert.equal(set.claim(9), false, "a cap never rises again");
  set.lowerTo(0);
  assert.equal(set.missingCount, 0);
});

test("PageSet covers its span only, whatever the commits below or above it are", () => {
  const set = new PageSet(101, 110, 105);
  set.lowerTo(500);
  assert.equal(set.missingCount, 9);
  set.lowerTo(103);
  assert.equal(set.missingCount, 3);
  set.lowerTo(20);
  assert.equal(set.missingCount, 0);
  assert.deepEqual(pagesOf(set), [101, 102, 103, 104, 106, 107, 108, 109, 110]);
});

test("PageSet agrees with a plain model for any order of claims and commits", () => {
  const step = fc.oneof(
    { arbitrary: fc.integer({ min: 0, max: 140 }).map((pgno) => ({ pgno })), weight: 8 },
    { arbitrary: fc.integer({ min: 0, max: 140 }).map((commit) => ({ commit })), weight: 1 },
    { arbitrary: fc.nat(120).map((from) => ({ from })), weight: 1 },
  );
  fc.assert(
    fc.property(
      fc.nat(40),
      fc.nat(130),
      fc.nat(140),
      fc.array(step, { maxLength: 60 }),
      (low, length, lock, steps) => {
        const first = low + 1;
        const last = first + length;
        const set = new PageSet(first, last, lock);
        const found = new Set<number>();
        let cap = last;
        const claim = (pgno: number): void => {
          const expected = pgno >= first && pgno <= cap && pgno !== lock && !found.has(pgno);
          assert.equal(set.claim(pgno), expected);
          if (expected) found.add(pgno);
        };
        for (const s of steps) {
          if ("pgno" in s) claim(s.pgno);
          else if ("commit" in s) {
            set.lowerTo(s.commit);
            cap = Math.min(cap, s.commit);
          } else for (let pgno = s.from; pgno < s.from + 40; pgno += 1) claim(pgno);
        }
        const all = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter(
          (pgno) => pgno !== lock,
        );
        assert.deepEqual(
          pagesOf(set),
          all.filter((pgno) => !found.has(pgno)),
        );
        assert.equal(
          set.missingCount,
          all.filter((pgno) => !found.has(pgno) && pgno <= cap).length,
        );
      },
    ),
  );
});
