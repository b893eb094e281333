/**
 * XXH32 with seed 0: the content checksum and, in part, the header checksum of LZ4 frames.
 *
 * Source: the xxHash specification (Cyan4973/xxHash doc `xxhash_spec.md`).
 */

const PRIME_1: u32 = 0x9e3779b1;
const PRIME_2: u32 = 0x85ebca77;
const PRIME_3: u32 = 0xc2b2ae3d;
const PRIME_4: u32 = 0x27d4eb2f;
const PRIME_5: u32 = 0x165667b1;

// @ts-ignore: decorator
@inline
function round(lane: u32, value: u32): u32 {
  return rotl<u32>(lane + value * PRIME_2, 13) * PRIME_1;
}

/** Four lanes over whole 16-byte stripes. */
function hashStripes(at: usize, end: usize): u32 {
  let a = PRIME_1 + PRIME_2;
  let b = PRIME_2;
  let c: u32 = 0;
  let d: u32 = 0 - PRIME_1;
  for (; at + 16 <= end; at += 16) {
    a = round(a, load<u32>(at));
    b = round(b, load<u32>(at, 4));
    c = round(c, load<u32>(at, 8));
    d = round(d, load<u32>(at, 12));
  }
  return rotl<u32>(a, 1) + rotl<u32>(b, 7) + rotl<u32>(c, 12) + rotl<u32>(d, 18);
}

export function xxh32(at: usize, size: usize): u32 {
  const end = at + size;
  let hash: u32 = PRIME_5;
  if (size >= 16) {
    hash = hashStripes(at, end);
    at += size & ~15;
  }
  hash += <u32>size;
  for (; at + 4 <= end; at += 4) hash = rotl<u32>(hash + load<u32>(at) * PRIME_3, 17) * PRIME_4;
  for (; at < end; at++) hash = rotl<u32>(hash + <u32>load<u8>(at) * PRIME_5, 11) * PRIME_1;
  hash = (hash ^ (hash >> 15)) * PRIME_2;
  hash = (hash ^ (hash >> 13)) * PRIME_3;
  return hash ^ (hash >> 16);
}
