/** The twin's linear memory and the views its routines share. */
import { RESULT_SLOT } from "../abi.ts";

const SHORT_COPY = 48;

export class TwinMemory {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Address of the result slot. */
  readonly slot: number;

  constructor(buffer: ArrayBuffer, slot: number) {
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.slot = slot;
  }

  u8(at: number): number {
    return this.bytes[at] ?? 0;
  }

  /** Little-endian, as WebAssembly loads. */
  u16(at: number): number {
    return this.view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  setU16(at: number, value: number): void {
    this.view.setUint16(at, value, true);
  }

  setU32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  /**
   * Copies bytes that do not overlap. Most runs in a page are so short that a call costs more than
   * a loop.
   */
  copy(to: number, from: number, size: number): void {
    if (size > SHORT_COPY) {
      this.bytes.copyWithin(to, from, from + size);
      return;
    }
    const { bytes } = this;
    for (let i = 0; i < size; i++) bytes[to + i] = bytes[from + i] ?? 0;
  }

  loadRegister(): Register {
    return this.loadRegisterAt(this.slot + RESULT_SLOT.crc);
  }

  storeRegister(register: Register): void {
    this.storeRegisterAt(this.slot + RESULT_SLOT.crc, register);
  }

  loadRegisterAt(at: number): Register {
    return { low: this.view.getInt32(at, true), high: this.view.getInt32(at + 4, true) };
  }

  storeRegisterAt(at: number, register: Register): void {
    this.view.setInt32(at, register.low, true);
    this.view.setInt32(at + 4, register.high, true);
  }
}

/** A CRC-64 register in two halves, each any 32-bit number, signed or not. */
export interface Register {
  low: number;
  high: number;
}
