/**
 * The checksums of pages of zeros, added up without looking at each.
 *
 * A page checksum is the CRC of page number and page: an affine function of the number when the page is
 * fixed. So the XOR over a run of numbers is the checksum for the XOR of these numbers, plus that of number
 * 0 once more when the run is even. However many pages there are, two are hashed. Source: superfly/ltx
 * `ChecksumPage`.
 */
import type { CrcRegister, Kernel } from "../kernel/kernel.ts";
import type { PageRun } from "./page-set.ts";

/** XOR of the checksums of the run's pages, all zeros. Bit 63, which every checksum has, means nothing in it. */
export function sumZeroPages(kernel: Kernel, { first, last }: PageRun): CrcRegister {
  const sum = zeroPageChecksum(kernel, (xorUpTo(last) ^ xorUpTo(first - 1)) >>> 0);
  if ((last - first + 1) % 2 === 1) return sum;
  const zero = zeroPageChecksum(kernel, 0);
  return { low: sum.low ^ zero.low, high: sum.high ^ zero.high };
}

function zeroPageChecksum(kernel: Kernel, pgno: number): CrcRegister {
  kernel.input.fill(0, 0, kernel.pageSize);
  const checksum = kernel.pageChecksums(Uint32Array.of(pgno))[0] ?? 0n;
  return {
    low: Number(BigInt.asIntN(32, checksum)),
    high: Number(BigInt.asIntN(32, checksum >> 32n)),
  };
}

/** 1 XOR 2 XOR … XOR `n`. */
function xorUpTo(n: number): number {
  switch (n % 4) {
    case 0:
      return n;
    case 1:
      return 1;
    case 2:
      return n + 1;
    default:
      return 0;
  }
}
