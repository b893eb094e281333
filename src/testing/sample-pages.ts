/**
 * Pages of the kinds that databases have, made from a seed: empty, text, b-tree like, repeating,
 * incompressible.
 */

export const SAMPLE_PAGE_SIZES: readonly number[] = [
  512, 1024, 2048, 4096, 8192, 16384, 32768, 65536,
];

export type SampleKind = "zeros" | "text" | "btree" | "periodic" | "random";
export const SAMPLE_KINDS: readonly SampleKind[] = ["zeros", "text", "btree", "periodic", "random"];

/** Numbers from 0 to below `limit`, the same for the same seed. */
export function seeded(seed: number): (limit: number) => number {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const WORDS = "select insert update delete index table page commit rollback journal wal name".split(
  " ",
);

function fillText(bytes: Uint8Array, next: (limit: number) => number): void {
  const encoder = new TextEncoder();
  for (let at = 0; at < bytes.length;) {
    const word = encoder.encode(`${WORDS[next(WORDS.length)] ?? ""} ${next(100)} `);
    bytes.set(word.slice(0, bytes.length - at), at);
    at += word.length;
  }
}

function fillRandom(bytes: Uint8Array, next: (limit: number) => number): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = next(256);
}

function fillPeriodic(bytes: Uint8Array, next: (limit: number) => number): void {
  const period = 1 + next(40);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i % period) * 37;
}

/** A header, cells from the end, zeros between. */
function fillBtree(bytes: Uint8Array, next: (limit: number) => number): void {
  bytes[0] = 13;
  const used = next(bytes.length);
  fillText(bytes.subarray(bytes.length - used), next);
  fillRandom(bytes.subarray(8, 8 + Math.min(64, bytes.length - used)), next);
}

/** `size` bytes of one kind. */
export function sampleBytes(size: number, kind: SampleKind, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  const next = seeded(seed);
  const fillers = {
    zeros: () => {},
    text: () => fillText(bytes, next),
    btree: () => fillBtree(bytes, next),
    periodic: () => fillPeriodic(bytes, next),
    random: () => fillRandom(bytes, next),
  };
  fillers[kind]();
  return bytes;
}

/** `count` pages one after the other, of kinds that depend on the seed. */
export function samplePages(
  pageSize: number,
  count: number,
  seed: number,
): Uint8Array<ArrayBuffer> {
  const pages = new Uint8Array(count * pageSize);
  for (let i = 0; i < count; i++) {
    const kind = SAMPLE_KINDS[(seed + i) % SAMPLE_KINDS.length] ?? "text";
    pages.set(sampleBytes(pageSize, kind, seed * 1009 + i), i * pageSize);
  }
  return pages;
}
