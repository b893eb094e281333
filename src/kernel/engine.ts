/** The two implementations of the hot loops, each with its memory. */
import { RESULT_SLOT_SIZE, layOut } from "./abi.ts";
import type { KernelAbi, KernelLayout } from "./abi.ts";
import { decodeBase64 } from "./base64.ts";
import { createTwin } from "./twin/twin.ts";
import { KERNEL_WASM_BASE64 } from "./wasm.ts";

/** An implementation of the hot loops together with the memory it works on. */
export interface KernelEngine {
  readonly engine: "wasm" | "twin";
  readonly abi: KernelAbi;
  readonly layout: KernelLayout;
  readonly buffer: ArrayBuffer;
  /** Address of the result slot. */
  readonly slot: number;
}

interface WasmExports extends KernelAbi {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  resultSlot(): number;
}

const WASM_PAGE_SIZE = 65536;
let compiledModule: WebAssembly.Module | undefined;

/** False where the runtime has no WebAssembly, as under `node --jitless`. */
export function hasWasm(): boolean {
  return typeof WebAssembly !== "undefined";
}

export function openWasm(pageSize: number, batchPages: number): KernelEngine {
  compiledModule ??= new WebAssembly.Module(decodeBase64(KERNEL_WASM_BASE64));
  const instance = new WebAssembly.Instance(compiledModule, {});
  const abi = instance.exports as unknown as WasmExports;
  const layout = layOut(abi.heapBase(), pageSize, batchPages);
  const missing = layout.end - abi.memory.buffer.byteLength;
  if (missing > 0) abi.memory.grow(Math.ceil(missing / WASM_PAGE_SIZE));
  abi.configure(pageSize, layout.pgnos, layout.words, layout.checksums, layout.pageCrcs);
  return { engine: "wasm", abi, layout, buffer: abi.memory.buffer, slot: abi.resultSlot() };
}

/** `base` lets a test place the areas where the WebAssembly module has them. */
export function openTwin(
  pageSize: number,
  batchPages: number,
  base: number = RESULT_SLOT_SIZE,
): KernelEngine {
  const layout = layOut(base, pageSize, batchPages);
  const buffer = new ArrayBuffer(layout.end);
  return { engine: "twin", abi: createTwin(buffer, layout, 0), layout, buffer, slot: 0 };
}
