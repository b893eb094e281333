/**
 * The CRC-64 register on the host's side: a mutable pair of 32-bit halves, so that hot paths make
 * no BigInt.
 */

/**
 * The running register, before the final inversion. Halves are any 32-bit numbers, signed or not.
 */
export interface CrcRegister {
  low: number;
  high: number;
}

/** The register before the first byte: all ones. */
export function newCrc(): CrcRegister {
  return { low: -1, high: -1 };
}

/** The CRC-64/ISO that the register stands for: its inversion. */
export function crcValue(register: CrcRegister): bigint {
  return (BigInt(~register.high >>> 0) << 32n) | BigInt(~register.low >>> 0);
}

/** Sets `register` to the sum of both: linearity's plus. */
export function xorCrc(register: CrcRegister, other: CrcRegister): void {
  register.low ^= other.low;
  register.high ^= other.high;
}
