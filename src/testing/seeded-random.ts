/** Random numbers that a text determines, so that a fault depends on what it meets and not on the order of things. */
import type { Random } from "../base/clock.ts";

/** A generator of numbers in [0, 1) that `text` determines: FNV-1a for the state, then a 32-bit mixer. */
export function randomFrom(text: string): Random {
  let state = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    state = Math.imul(state ^ text.charCodeAt(index), 0x01000193);
  }
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
