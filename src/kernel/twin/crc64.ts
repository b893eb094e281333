/**
 * CRC-64/ISO in two 32-bit halves; see ../assembly/crc64.ts for the arithmetic.
 *
 * Kept to the plain form: no recurrence and no tables, only the eight-byte step, and a 64 by 64 bit
 * matrix for the shift by one page. It therefore checks those tricks of the kernel, and still
 * outruns the rest of the twin.
 */
import type { Register, TwinMemory } from "./memory.ts";

const POLYNOMIAL_HIGH = 0xd8000000 | 0;

function foldByte(register: Register, value: number): void {
  const low = (register.low ^ value) & 255;
  register.low = (register.low >>> 8) | (register.high << 24);
  register.high = (register.high >>> 8) ^ (low << 24) ^ (low << 23) ^ (low << 21) ^ (low << 20);
}

/** Advances `register` over the bytes [at, at + size). */
export function update(memory: TwinMemory, register: Register, at: number, size: number): void {
  const { view } = memory;
  const end = at + size;
  let low = register.low;
  let high = register.high;
  for (; at + 8 <= end; at += 8) {
    low ^= view.getInt32(at, true);
    high ^= view.getInt32(at + 4, true);
    high ^= (low << 28) ^ (low << 29) ^ (low << 31);
    low ^=
      ((low >>> 1) | (high << 31)) ^ ((low >>> 3) | (high << 29)) ^ ((low >>> 4) | (high << 28));
    high ^= (high >>> 1) ^ (high >>> 3) ^ (high >>> 4);
  }
  register.low = low;
  register.high = high;
  for (; at < end; at++) foldByte(register, memory.u8(at));
}

/** Product of two polynomials modulo the CRC's. */
function multiply(a: Register, b: Register): Register {
  const product = { low: 0, high: 0 };
  let { low: aLow, high: aHigh } = a;
  let { low, high } = b;
  while ((aLow | aHigh) !== 0) {
    if (aHigh < 0) {
      product.low ^= low;
      product.high ^= high;
    }
    aHigh = (aHigh << 1) | (aLow >>> 31);
    aLow <<= 1;
    const carry = -(low & 1) & POLYNOMIAL_HIGH;
    low = (low >>> 1) | (high << 31);
    high = (high >>> 1) ^ carry;
  }
  return product;
}

/** The register as if `count` zero bytes followed; `count` is at most 2^53. */
export function shiftBytes(register: Register, count: number): Register {
  let result = { low: register.low | 0, high: register.high | 0 };
  let power: Register = { low: 0, high: 1 << 23 };
  for (let rest = count; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(result, power);
    power = multiply(power, power);
  }
  return result;
}

/**
 * What each bit of a register becomes after one page of zero bytes: low and high half for bits 0 to
 * 63.
 */
export type PageShift = Int32Array;

export function pageShift(pageSize: number): PageShift {
  const rows = new Int32Array(128);
  for (let bit = 0; bit < 64; bit++) {
    const unit = bit < 32 ? { low: 1 << bit, high: 0 } : { low: 0, high: 1 << (bit - 32) };
    const row = shiftBytes(unit, pageSize);
    rows[2 * bit] = row.low;
    rows[2 * bit + 1] = row.high;
  }
  return rows;
}

/** Advances `register` over one page whose own CRC, from register 0, is `pageCrc`. */
export function appendPage(rows: PageShift, register: Register, pageCrc: Register): void {
  let low = pageCrc.low;
  let high = pageCrc.high;
  for (let bit = 0; bit < 64; bit++) {
    const half = bit < 32 ? register.low : register.high;
    const mask = -((half >>> (bit & 31)) & 1);
    low ^= (rows[2 * bit] ?? 0) & mask;
    high ^= (rows[2 * bit + 1] ?? 0) & mask;
  }
  register.low = low;
  register.high = high;
}

/** LTX page checksum: CRC of the big-endian page number and the page, bit 63 forced on. */
export function pageChecksum(rows: PageShift, pgno: number, pageCrc: Register): Register {
  const register = { low: -1, high: -1 };
  for (let shift = 24; shift >= 0; shift -= 8) foldByte(register, (pgno >>> shift) & 255);
  appendPage(rows, register, pageCrc);
  return { low: ~register.low, high: ~register.high | (1 << 31) };
}
