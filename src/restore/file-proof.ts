/**
 * The checksum of one LTX file, joined from parts that were hashed in any order by several threads.
 *
 * A CRC is linear: the register after bytes A and B is that after A, shifted by the length of B, plus the
 * raw CRC of B. Source: superfly/ltx `Decoder.Close`; docs/formats/ltx.md.
 */
import { defined } from "../base/assert.ts";
import { formatChecksum, toChecksum } from "../base/ids.ts";
import { crcValue, newCrc, xorCrc, type CrcRegister, type Kernel } from "../kernel/kernel.ts";
import { CHECKSUM_FLAG } from "../ltx/constants.ts";
import { ltxError } from "../ltx/errors.ts";
import type { FrameSums } from "./decode-frames.ts";
import type { PlanFile } from "./plan-file.ts";

type Part = Pick<FrameSums, "crc" | "hashedBytes">;

export class FileProof {
  readonly #kernel: Kernel;
  readonly #file: PlanFile;
  /** In file order; a part is missing until its thread has answered. */
  readonly #parts: (Part | undefined)[] = [];
  readonly #closing = { crc: { low: 0, high: 0 } satisfies CrcRegister, hashedBytes: 0 };
  #pending = 0;
  #isSealed = false;

  /** `kernel` may be of any page size. */
  constructor(kernel: Kernel, file: PlanFile) {
    this.#kernel = kernel;
    this.#file = file;
  }

  /** Reserves the place of the next part of the frames; the returned function fills it, and checks if it was the last. */
  nextPart(): (part: Part) => void {
    const place = this.#parts.push(undefined) - 1;
    this.#pending += 1;
    return (part) => {
      this.#parts[place] = part;
      this.#pending -= 1;
      if (this.#isSealed && this.#pending === 0) this.#check();
    };
  }

  /** Adds bytes after the frames, in order. */
  addClosing(bytes: Uint8Array): void {
    this.#kernel.crc64(this.#closing.crc, bytes);
    this.#closing.hashedBytes += bytes.length;
  }

  /**
   * Says that all parts are reserved and all closing bytes added. Now, or when the last part arrives, throws
   * `ltx/checksum-mismatch` unless they add up to the file's checksum.
   */
  seal(): void {
    this.#isSealed = true;
    if (this.#pending === 0) this.#check();
  }

  #check(): void {
    const { name, headerBytes, fileChecksum } = this.#file;
    const crc = newCrc();
    this.#kernel.crc64(crc, headerBytes);
    for (const part of [...this.#parts, this.#closing]) {
      const { crc: raw, hashedBytes } = defined(part, "a hashed part of a file");
      this.#kernel.crc64Shift(crc, hashedBytes);
      xorCrc(crc, raw);
    }
    const computed = toChecksum(crcValue(crc) | CHECKSUM_FLAG);
    if (computed === fileChecksum) return;
    const problem = `file checksum ${formatChecksum(computed)}, recorded is ${formatChecksum(fileChecksum)}`;
    throw ltxError("ltx/checksum-mismatch", name, problem);
  }
}
