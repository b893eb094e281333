/**
 * The kernel's two engines side by side on the same memory layout.
 *
 * All areas start as the same noise, so whatever an engine writes where it should not shows up as a
 * difference from it.
 */
import assert from "node:assert/strict";
import { AREA_SLACK } from "../kernel/abi.ts";
import { openTwin, openWasm } from "../kernel/engine.ts";
import type { KernelEngine } from "../kernel/engine.ts";
import { sampleBytes } from "./sample-pages.ts";

export const BATCH_PAGES = 3;

/** One engine with its memory as bytes. */
export class Machine {
  readonly engine: KernelEngine;
  readonly bytes: Buffer;

  constructor(engine: KernelEngine) {
    this.engine = engine;
    this.bytes = Buffer.from(engine.buffer);
  }

  put(at: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, at);
  }

  slot(offset: number): number {
    return this.bytes.readUInt32LE(this.engine.slot + offset);
  }

  setSlot(offset: number, value: number): void {
    this.bytes.writeUInt32LE(value >>> 0, this.engine.slot + offset);
  }

  range(from: number, size: number): Buffer {
    return this.bytes.subarray(from, from + size);
  }
}

export class Pair {
  readonly wasm: Machine;
  readonly twin: Machine;
  readonly layout: KernelEngine["layout"];
  readonly #noise: Buffer;

  constructor(pageSize: number) {
    const wasm = openWasm(pageSize, BATCH_PAGES);
    this.layout = wasm.layout;
    this.wasm = new Machine(wasm);
    this.twin = new Machine(openTwin(pageSize, BATCH_PAGES, wasm.layout.pgnos));
    assert.deepEqual(this.twin.engine.layout, wasm.layout);
    const { pgnos, end } = this.layout;
    this.#noise = Buffer.from(sampleBytes(end - pgnos, "random", pageSize));
  }

  get both(): readonly Machine[] {
    return [this.wasm, this.twin];
  }

  /** Fills all areas with noise. */
  reset(): void {
    for (const machine of this.both) machine.put(this.layout.pgnos, this.#noise);
  }

  put(at: number, bytes: Uint8Array): void {
    for (const machine of this.both) machine.put(at, bytes);
  }

  putU32(at: number, values: readonly number[]): void {
    this.put(at, new Uint8Array(Uint32Array.from(values).buffer));
  }

  setSlot(offset: number, value: number): void {
    for (const machine of this.both) machine.setSlot(offset, value);
  }

  /** Calls both; they must return the same. */
  call(run: (abi: KernelEngine["abi"]) => number | void): number {
    const [wasm, twin] = this.both.map(({ engine }) => run(engine.abi));
    assert.equal(wasm, twin, "result");
    return Number(wasm);
  }

  expectSame(at: number, size: number, what: string): void {
    assert.ok(this.wasm.range(at, size).equals(this.twin.range(at, size)), what);
  }

  expectSameSlot(...offsets: number[]): void {
    for (const offset of offsets) {
      assert.equal(this.wasm.slot(offset), this.twin.slot(offset), `slot ${offset}`);
    }
  }

  expectSameRows(count: number): void {
    const { pgnos, words, checksums, pageCrcs } = this.layout;
    this.expectSame(pgnos, 4 * count, "page numbers");
    this.expectSame(words, 4 * count, "words");
    this.expectSame(checksums, 8 * count, "checksums");
    this.expectSame(pageCrcs, 8 * count, "page CRCs");
  }

  /**
   * Everything but the tables and `size` bytes (and slack) from `at` on must still be what it was.
   */
  expectUntouchedBut(at: number, size: number): void {
    const { input, inputSize, output, outputSize, end } = this.layout;
    for (const [from, to] of [
      [input + inputSize, Math.min(at, output)],
      [output, Math.max(output, at)],
      [at + size + AREA_SLACK, output + outputSize + AREA_SLACK],
      [output + outputSize + AREA_SLACK, end],
    ] as const) {
      if (from >= to) continue;
      const found = this.wasm.range(from, to - from);
      const before = this.#noise.subarray(from - this.layout.pgnos, to - this.layout.pgnos);
      assert.ok(found.equals(before), `bytes ${from} to ${to} are untouched`);
    }
  }
}

const pairs = new Map<number, Pair>();

/** The pair for a page size, opened once, with all areas full of noise. */
export function pairFor(pageSize: number): Pair {
  const pair = pairs.get(pageSize) ?? new Pair(pageSize);
  pairs.set(pageSize, pair);
  pair.reset();
  return pair;
}
