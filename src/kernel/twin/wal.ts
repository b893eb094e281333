/** WAL checksum and frame check; see ../assembly/wal.ts. */
import { RESULT_SLOT, WAL_FRAME_HEADER_SIZE } from "../abi.ts";
import type { KernelLayout } from "../abi.ts";
import type { TwinMemory } from "./memory.ts";

export function walSum(memory: TwinMemory, at: number, size: number, bigEndian: boolean): void {
  const { view } = memory;
  const slot = memory.slot + RESULT_SLOT.walSum;
  let s0 = view.getInt32(slot, true);
  let s1 = view.getInt32(slot + 4, true);
  for (const end = at + size; at < end; at += 8) {
    s0 = (s0 + view.getInt32(at, !bigEndian) + s1) | 0;
    s1 = (s1 + view.getInt32(at + 4, !bigEndian) + s0) | 0;
  }
  view.setInt32(slot, s0, true);
  view.setInt32(slot + 4, s1, true);
}

export interface WalRun {
  readonly at: number;
  readonly count: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly bigEndian: boolean;
}

export function walFrames(memory: TwinMemory, layout: KernelLayout, run: WalRun): number {
  const { view } = memory;
  const slot = memory.slot + RESULT_SLOT.walSum;
  const frameSize = WAL_FRAME_HEADER_SIZE + layout.pageSize;
  for (let i = 0; i < run.count; i++) {
    const frame = run.at + i * frameSize;
    const salted =
      view.getInt32(frame + 8) === (run.salt1 | 0) && view.getInt32(frame + 12) === (run.salt2 | 0);
    if (!salted) return i;
    const before = memory.loadRegisterAt(slot);
    walSum(memory, frame, 8, run.bigEndian);
    walSum(memory, frame + WAL_FRAME_HEADER_SIZE, layout.pageSize, run.bigEndian);
    const summed =
      view.getInt32(frame + 16) === view.getInt32(slot, true) &&
      view.getInt32(frame + 20) === view.getInt32(slot + 4, true);
    if (!summed) {
      memory.storeRegisterAt(slot, before);
      return i;
    }
    memory.setU32(layout.pgnos + 4 * i, view.getUint32(frame));
    memory.setU32(layout.words + 4 * i, view.getUint32(frame + 4));
  }
  return run.count;
}
