/**
 * Where things lie in the kernel's memory.
 *
 * Static scratch is reserved with `memory.data` by the file that uses it. Everything whose size
 * depends on the page size (input, output, the per-page tables) is laid out by the loader above
 * `heapBase()` and announced once through `configure`. Values that cross the border to the host go
 * through the result slot, never through an i64 parameter: a host would have to make a BigInt of
 * every one of them.
 */

/** The result slot; RESULT_SLOT in ../abi.ts has the same offsets. */
const RESULT: usize = memory.data(64, 16);

/**
 * u64: the running CRC-64 register, before the final inversion. Read and updated by every hashing
 * function.
 */
export const RESULT_CRC: usize = RESULT;
/** Two u32: the running WAL checksum. */
export const RESULT_WAL_SUM: usize = RESULT + 8;
/** u32: how many input bytes the last `decodePages` consumed. */
export const RESULT_CONSUMED: usize = RESULT + 16;
/** u32: why the last `decodePages` stopped, one of the `STOP_*` values. */
export const RESULT_STOP: usize = RESULT + 20;

/** Bytes of one page. */
export let pageSize: usize = 0;
/** u32 per page: page numbers, in host byte order. */
export let pgnos: usize = 0;
/** u32 per page: frame sizes of an LTX batch, or commit fields of a WAL batch. */
export let words: usize = 0;
/** u64 per page: page checksums. */
export let checksums: usize = 0;
/** u64 per page: CRC of the bare page, from register 0 and without the final inversion. */
export let pageCrcs: usize = 0;

/** Stores what `configure` was told. Addresses are those of the per-page tables above. */
export function setLayout(
  size: usize,
  pgnosAt: usize,
  wordsAt: usize,
  checksumsAt: usize,
  pageCrcsAt: usize,
): void {
  pageSize = size;
  pgnos = pgnosAt;
  words = wordsAt;
  checksums = checksumsAt;
  pageCrcs = pageCrcsAt;
}

export function resultSlot(): usize {
  return RESULT;
}

/** First address that the loader may lay out, aligned for any vector access. */
export function heapBase(): usize {
  return (__heap_base + 63) & ~63;
}
