/**
 * The rolling database checksum: the XOR of the page checksums of all pages but the lock page, bit
 * 63 forced on.
 *
 * It does not depend on order and can be kept up to date by XORing a page's old checksum out and
 * its new one in. An empty database has CHECKSUM_FLAG.
 *
 * Source: superfly/ltx@8cb8f8e `ChecksumPage`, `ChecksumReader`; docs/formats/ltx.md.
 */
import { toChecksum } from "../base/ids.ts";
import type { Checksum } from "../base/ids.ts";
import { CHECKSUM_FLAG } from "./constants.ts";

export class RollingChecksum {
  #low = 0;
  #high = 0;

  /** Starts from an empty database, or from the checksum of one. */
  constructor(start: Checksum = toChecksum(CHECKSUM_FLAG)) {
    this.#low = Number(BigInt.asIntN(32, start));
    this.#high = Number(BigInt.asIntN(32, start >> 32n));
  }

  /** XORs page checksums in, or out when they are in already. */
  fold(checksums: BigUint64Array): void {
    const halves = new Uint32Array(checksums.buffer, checksums.byteOffset, checksums.length * 2);
    for (let i = 0; i < halves.length; i += 2) {
      this.#low ^= halves[i] ?? 0;
      this.#high ^= halves[i + 1] ?? 0;
    }
  }

  get value(): Checksum {
    const sum = (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0);
    return toChecksum(sum | CHECKSUM_FLAG);
  }
}
