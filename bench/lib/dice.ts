/** A seeded source of words, numbers and identifiers: the same seed gives the same data everywhere. */
const SYLLABLES =
  "an bar cor del er fin gor hal is jun kel lor mar nes ol per qui ros san tel ur ven wil".split(
    " ",
  );
const UUID_GROUPS = [8, 4, 4, 4, 12];

export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 random bits (mulberry32). */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** From 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit);
  }

  word(): string {
    let word = "";
    for (let left = 2 + this.below(2); left > 0; left -= 1) {
      word += SYLLABLES[this.below(SYLLABLES.length)] ?? "";
    }
    return word;
  }

  uuid(): string {
    return UUID_GROUPS.map((size) => this.#hex(size)).join("-");
  }

  date(): string {
    const day = 1 + this.below(28);
    const month = 1 + this.below(12);
    return `${1950 + this.below(75)}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.below(256));
  }

  #hex(digits: number): string {
    let text = "";
    while (text.length < digits) text += this.u32().toString(16).padStart(8, "0");
    return text.slice(0, digits);
  }
}
