/** Batches of LTX page frames; see ../assembly/pages.ts. */
import { DECODE_STOP, RESULT_SLOT, lz4BlockBound } from "../abi.ts";
import type { DecodeStop, KernelLayout } from "../abi.ts";
import { appendPage, pageChecksum, pageShift, update } from "./crc64.ts";
import type { PageShift } from "./crc64.ts";
import type { TwinCompressor } from "./lz4-compress.ts";
import { decompressBlock } from "./lz4-decompress.ts";
import type { Register, TwinMemory } from "./memory.ts";
import { xxh32 } from "./xxh32.ts";

const HEADER_SIZE = 6;
const BLOCK_HEADER_SIZE = 10;
const FLAGS_BLOCK = 1;
const FLAGS_LEGACY = 0;
const LZ4_DESCRIPTOR = [0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7] as const;
const LZ4_STORED = 0x80000000;

/** Either the address after a frame, or why it could not be read. */
type Loaded = { readonly next: number } | { readonly stop: DecodeStop };

export class TwinPages {
  readonly #memory: TwinMemory;
  readonly #layout: KernelLayout;
  readonly #shift: PageShift;
  readonly #compressor: TwinCompressor;

  constructor(memory: TwinMemory, layout: KernelLayout, compressor: TwinCompressor) {
    this.#memory = memory;
    this.#layout = layout;
    this.#shift = pageShift(layout.pageSize);
    this.#compressor = compressor;
  }

  checksums(src: number, stride: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const pgno = this.#memory.u32(this.#layout.pgnos + 4 * i);
      this.#storeRow(i, pgno, 0, this.#pageCrc(src + i * stride));
    }
  }

  encode(src: number, stride: number, count: number, legacy: boolean, dst: number): number {
    const register = this.#memory.loadRegister();
    let frame = dst;
    for (let i = 0; i < count; i++) {
      const page = src + i * stride;
      const pgno = this.#memory.u32(this.#layout.pgnos + 4 * i);
      const size = legacy ? this.#storeLegacy(frame, page) : this.#storeBlock(frame, page);
      this.#memory.view.setUint32(frame, pgno);
      this.#memory.view.setUint16(frame + 4, legacy ? FLAGS_LEGACY : FLAGS_BLOCK);
      const pageCrc = this.#pageCrc(page);
      this.#hashFrame(register, frame, pageCrc);
      this.#storeRow(i, pgno, size, pageCrc);
      frame += size;
    }
    this.#memory.storeRegister(register);
    return frame - dst;
  }

  decode(src: number, size: number, dst: number, maxCount: number, hashed: boolean): number {
    const register = this.#memory.loadRegister();
    const end = src + size;
    let frame = src;
    let stop: DecodeStop = DECODE_STOP.done;
    let count = 0;
    while (count < maxCount && frame < end) {
      const page = dst + count * this.#layout.pageSize;
      const loaded = this.#loadFrame(frame, end, page);
      if ("stop" in loaded) {
        stop = loaded.stop;
        break;
      }
      const pgno = this.#memory.view.getUint32(frame);
      this.#memory.setU32(this.#layout.pgnos + 4 * count, pgno);
      if (hashed) {
        const pageCrc = this.#pageCrc(page);
        this.#hashFrame(register, frame, pageCrc);
        this.#storeRow(count, pgno, loaded.next - frame, pageCrc);
      } else {
        this.#memory.setU32(this.#layout.words + 4 * count, loaded.next - frame);
      }
      frame = loaded.next;
      count += 1;
    }
    this.#memory.storeRegister(register);
    this.#memory.setU32(this.#memory.slot + RESULT_SLOT.consumed, frame - src);
    this.#memory.setU32(this.#memory.slot + RESULT_SLOT.stop, stop);
    return count;
  }

  hashFrames(src: number, count: number): void {
    const register = this.#memory.loadRegister();
    let frame = src;
    for (let i = 0; i < count; i++) {
      const pageCrc = this.#memory.loadRegisterAt(this.#layout.pageCrcs + 8 * i);
      const size = this.#memory.u32(this.#layout.words + 4 * i);
      this.#hashFrame(register, frame, pageCrc);
      this.#storeRow(i, this.#memory.view.getUint32(frame), size, pageCrc);
      frame += size;
    }
    this.#memory.storeRegister(register);
  }

  #pageCrc(page: number): Register {
    const register = { low: 0, high: 0 };
    update(this.#memory, register, page, this.#layout.pageSize);
    return register;
  }

  #hashFrame(register: Register, frame: number, pageCrc: Register): void {
    const flags = this.#memory.view.getUint16(frame + 4);
    update(this.#memory, register, frame, flags === FLAGS_BLOCK ? BLOCK_HEADER_SIZE : HEADER_SIZE);
    appendPage(this.#shift, register, pageCrc);
  }

  #storeRow(i: number, pgno: number, frameSize: number, pageCrc: Register): void {
    this.#memory.setU32(this.#layout.words + 4 * i, frameSize);
    this.#memory.storeRegisterAt(this.#layout.pageCrcs + 8 * i, pageCrc);
    const checksum = pageChecksum(this.#shift, pgno, pageCrc);
    this.#memory.storeRegisterAt(this.#layout.checksums + 8 * i, checksum);
  }

  #storeBlock(frame: number, page: number): number {
    const block = frame + BLOCK_HEADER_SIZE;
    const size = this.#compressor.compress(page, this.#layout.pageSize, block);
    this.#memory.view.setUint32(frame + HEADER_SIZE, size);
    return BLOCK_HEADER_SIZE + size;
  }

  #storeLegacy(frame: number, page: number): number {
    const { pageSize } = this.#layout;
    this.#memory.bytes.set(LZ4_DESCRIPTOR, frame + HEADER_SIZE);
    const block = frame + HEADER_SIZE + LZ4_DESCRIPTOR.length;
    let size = this.#compressor.compress(page, pageSize, block + 4);
    if (size < pageSize) {
      this.#memory.setU32(block, size);
    } else {
      size = pageSize;
      this.#memory.setU32(block, size + LZ4_STORED);
      this.#memory.copy(block + 4, page, size);
    }
    const end = block + 4 + size;
    this.#memory.setU32(end, 0);
    this.#memory.setU32(end + 4, xxh32(this.#memory, page, pageSize));
    return end + 8 - frame;
  }

  #loadFrame(frame: number, end: number, page: number): Loaded {
    if (end - frame < HEADER_SIZE) return { stop: DECODE_STOP.incomplete };
    const pgno = this.#memory.view.getUint32(frame);
    const flags = this.#memory.view.getUint16(frame + 4);
    if (flags !== FLAGS_BLOCK && flags !== FLAGS_LEGACY) return { stop: DECODE_STOP.badFlags };
    if (pgno === 0) return { stop: flags === 0 ? DECODE_STOP.endMarker : DECODE_STOP.badFlags };
    return flags === FLAGS_BLOCK
      ? this.#loadBlock(frame, end, page)
      : this.#loadLegacy(frame, end, page);
  }

  #loadBlock(frame: number, end: number, page: number): Loaded {
    const { pageSize } = this.#layout;
    if (end - frame < BLOCK_HEADER_SIZE) return { stop: DECODE_STOP.incomplete };
    const size = this.#memory.view.getUint32(frame + HEADER_SIZE);
    if (size > lz4BlockBound(pageSize)) return { stop: DECODE_STOP.badSize };
    const src = frame + BLOCK_HEADER_SIZE;
    if (size > end - src) return { stop: DECODE_STOP.incomplete };
    const decoded = decompressBlock(this.#memory, { src, size, dst: page, capacity: pageSize });
    return decoded === pageSize ? { next: src + size } : { stop: DECODE_STOP.badPayload };
  }

  #loadLegacy(frame: number, end: number, page: number): Loaded {
    const { pageSize } = this.#layout;
    let at = frame + HEADER_SIZE;
    if (end - at < LZ4_DESCRIPTOR.length) return { stop: DECODE_STOP.incomplete };
    const known = LZ4_DESCRIPTOR.every((byte, i) => this.#memory.u8(at + i) === byte);
    if (!known) return { stop: DECODE_STOP.badPayload };
    at += LZ4_DESCRIPTOR.length;
    let filled = 0;
    for (;;) {
      if (end - at < 4) return { stop: DECODE_STOP.incomplete };
      const header = this.#memory.u32(at);
      at += 4;
      if (header === 0) break;
      const size = header & ~LZ4_STORED;
      if (size === 0 || size > lz4BlockBound(pageSize)) return { stop: DECODE_STOP.badSize };
      if (size > end - at) return { stop: DECODE_STOP.incomplete };
      const place = { src: at, size, dst: page + filled, capacity: pageSize - filled };
      const added =
        header >= LZ4_STORED ? this.#copyStored(place) : decompressBlock(this.#memory, place);
      if (added <= 0) return { stop: DECODE_STOP.badPayload };
      filled += added;
      at += size;
    }
    if (filled !== pageSize) return { stop: DECODE_STOP.badPayload };
    if (end - at < 4) return { stop: DECODE_STOP.incomplete };
    const matches = this.#memory.u32(at) === xxh32(this.#memory, page, pageSize);
    return matches ? { next: at + 4 } : { stop: DECODE_STOP.badContentChecksum };
  }

  /** Returns the number of bytes copied, or a negative number when they do not fit. */
  #copyStored(place: { src: number; size: number; dst: number; capacity: number }): number {
    if (place.size > place.capacity) return -1;
    this.#memory.copy(place.dst, place.src, place.size);
    return place.size;
  }
}
