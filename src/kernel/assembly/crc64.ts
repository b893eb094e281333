/**
 * CRC-64/ISO, the checksum of LTX files: reflected polynomial x^64 + x^4 + x^3 + x + 1, initial
 * register and final inversion all ones. `crc("123456789")` is b90956c775a41001.
 *
 * "Register" below is the running value before the final inversion. It is a polynomial over GF(2)
 * in reflected order: bit 63 is the coefficient of x^0. Everything is linear in it, which is used
 * three ways: no table is needed to advance it, one pass over a page serves both the file's and the
 * page's checksum, and an already hashed field can be corrected afterwards.
 *
 * Source: superfly/ltx@8cb8f8e `NewHasher` (Go's `hash/crc64` with the ISO table); the pure-XOR
 * recurrence is "Chorba" (K. Lundgren et al., arXiv 2412.16398), published for CRC-32 and adapted
 * here.
 */

const POLYNOMIAL: u64 = 0xd800000000000000;
/** x^0 and x^8 in reflected order. */
const ONE: u64 = 1 << 63;
const X_TO_8: u64 = 1 << 55;

/**
 * x^64 times the register: the register times x^4 + x^3 + x + 1, the part above x^63 folded back
 * the same way.
 */
// @ts-ignore: decorator
@inline
function advance64(register: u64): u64 {
  const overflow = (register << 60) ^ (register << 61) ^ (register << 63);
  const sum = register ^ overflow;
  return sum ^ (sum >> 1) ^ (sum >> 3) ^ (sum >> 4);
}

/** Folds the next 4 bytes, given as a little-endian load. */
// @ts-ignore: decorator
@inline
function fold32(register: u64, value: u32): u64 {
  const low = (register ^ <u64>value) & 0xffffffff;
  return (register >> 32) ^ (low << 32) ^ (low << 31) ^ (low << 29) ^ (low << 28);
}

// @ts-ignore: decorator
@inline
function fold16(register: u64, value: u32): u64 {
  const low = (register ^ <u64>value) & 0xffff;
  return (register >> 16) ^ (low << 48) ^ (low << 47) ^ (low << 45) ^ (low << 44);
}

// @ts-ignore: decorator
@inline
function fold8(register: u64, value: u32): u64 {
  const low = (register ^ <u64>value) & 0xff;
  return (register >> 8) ^ (low << 56) ^ (low << 55) ^ (low << 53) ^ (low << 52);
}

/** The register after `size` more bytes; eight at a time, meant for short and odd pieces. */
export function updateShort(register: u64, at: usize, size: usize): u64 {
  const end = at + size;
  for (; at + 8 <= end; at += 8) register = advance64(register ^ load<u64>(at));
  if (size & 4) {
    register = fold32(register, load<u32>(at));
    at += 4;
  }
  if (size & 2) {
    register = fold16(register, load<u16>(at));
    at += 2;
  }
  if (size & 1) register = fold8(register, load<u8>(at));
  return register;
}

/** Look-back of the recurrence in bytes: 64 digits of 64 bits. */
const WINDOW: usize = 512;
/**
 * Longest piece that goes through the recurrence at once; keeps its scratch inside the first-level
 * cache.
 */
const MAX_PIECE: usize = 16384;
/** Below this the recurrence does not pay. */
const MIN_PIECE: usize = 1024;
/**
 * The quotient digits. The first window lies before digit 0 and stays zero, except that its first
 * digit holds the register on entry. Four digits past the end are cleared before the remainder is
 * taken.
 */
const QUOTIENT: usize = memory.data(512 + 16384 + 32, 16);

/**
 * The register after `size` more bytes, `size` a multiple of 32 between MIN_PIECE and MAX_PIECE.
 *
 * The polynomial's 64th power has the same five terms, 64 times further apart, so in 64-bit digits
 * x^64 = x^4 + x^3 + x^1 + 1 holds between whole digits. A digit can therefore be cancelled by
 * XORing it onto the digits 60, 61, 63 and 64 places later, and long division becomes
 *     q[i] = m[i] ^ q[i-60] ^ q[i-61] ^ q[i-63] ^ q[i-64]
 * without any shift. What is left in the last 64 digits goes through `advance64`. The register
 * enters as q[-64], which only q[0] looks back to.
 */
function updatePiece(register: u64, at: usize, size: usize): u64 {
  store<u64>(QUOTIENT, register);
  const quotientSize = size - WINDOW;
  let a0 = register;
  let a1: u64 = 0;
  let a2: u64 = 0;
  let a3: u64 = 0;
  for (let i: usize = 0; i < quotientSize; i += 32) {
    const message = at + i;
    const before = QUOTIENT + i;
    const b0 = load<u64>(before, 32);
    const b1 = load<u64>(before, 40);
    const b2 = load<u64>(before, 48);
    const b3 = load<u64>(before, 56);
    store<u64>(before, load<u64>(message) ^ a0 ^ a1 ^ a3 ^ b0, WINDOW);
    store<u64>(before, load<u64>(message, 8) ^ a1 ^ a2 ^ b0 ^ b1, WINDOW + 8);
    store<u64>(before, load<u64>(message, 16) ^ a2 ^ a3 ^ b1 ^ b2, WINDOW + 16);
    store<u64>(before, load<u64>(message, 24) ^ a3 ^ b0 ^ b2 ^ b3, WINDOW + 24);
    a0 = b0;
    a1 = b1;
    a2 = b2;
    a3 = b3;
  }
  return reduceRemainder(at + quotientSize, QUOTIENT + quotientSize);
}

/**
 * Runs the last 64 digits, at `message`, with what the quotient digits from `before` on still add
 * to them.
 */
function reduceRemainder(message: usize, before: usize): u64 {
  memory.fill(before + WINDOW, 0, 32);
  let register: u64 = 0;
  for (let i: usize = 0; i < WINDOW; i += 8) {
    const q = before + i;
    const carried = load<u64>(q) ^ load<u64>(q, 8) ^ load<u64>(q, 24) ^ load<u64>(q, 32);
    register = advance64(register ^ load<u64>(message + i) ^ carried);
  }
  return register;
}

/** The register after `size` more bytes of any number. */
export function update(register: u64, at: usize, size: usize): u64 {
  while (size >= MIN_PIECE) {
    const piece = min(size, MAX_PIECE) & ~31;
    register = updatePiece(register, at, piece);
    at += piece;
    size -= piece;
  }
  return updateShort(register, at, size);
}

/** Product of two polynomials modulo the CRC's. */
function multiply(a: u64, b: u64): u64 {
  let product: u64 = 0;
  for (; a != 0; a <<= 1) {
    if (a & ONE) product ^= b;
    b = (b >> 1) ^ (POLYNOMIAL & (0 - (b & 1)));
  }
  return product;
}

/** The register as if `count` zero bytes followed, in time logarithmic in `count`. */
export function shiftBytes(register: u64, count: u64): u64 {
  let power = X_TO_8;
  for (; count != 0; count >>= 1) {
    if (count & 1) register = multiply(register, power);
    power = multiply(power, power);
  }
  return register;
}

/** Eight tables of 256: what each byte of a register becomes after one page of zero bytes. */
const PAGE_SHIFT: usize = memory.data(8 * 256 * 8, 16);

/**
 * Fills the tables for pages of `pageSize` bytes. An entry is the XOR of the entries of its bits.
 */
export function preparePageShift(pageSize: usize): void {
  const factor = shiftBytes(ONE, pageSize);
  for (let byte: usize = 0; byte < 8; byte++) {
    const table = PAGE_SHIFT + (byte << 11);
    store<u64>(table, 0);
    for (let bit: usize = 0; bit < 8; bit++) {
      const width: usize = 1 << bit;
      const value = multiply(<u64>1 << (byte * 8 + bit), factor);
      for (let i: usize = 0; i < width; i++) {
        store<u64>(table + ((width + i) << 3), value ^ load<u64>(table + (i << 3)));
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function pageShiftOf(register: u64, byte: usize): u64 {
  const index = <usize>(register >> (byte << 3)) & 255;
  return load<u64>(PAGE_SHIFT + (byte << 11) + (index << 3));
}

/**
 * The register after one page whose own CRC, from register 0, is `pageCrc`: hashing without reading
 * the page again.
 */
export function appendPage(register: u64, pageCrc: u64): u64 {
  return (
    pageCrc ^
    pageShiftOf(register, 0) ^
    pageShiftOf(register, 1) ^
    pageShiftOf(register, 2) ^
    pageShiftOf(register, 3) ^
    pageShiftOf(register, 4) ^
    pageShiftOf(register, 5) ^
    pageShiftOf(register, 6) ^
    pageShiftOf(register, 7)
  );
}

/** LTX page checksum: CRC of the big-endian page number and the page, bit 63 forced on. */
export function pageChecksum(pgno: u32, pageCrc: u64): u64 {
  return ~appendPage(fold32(~0, bswap(pgno)), pageCrc) | ONE;
}
