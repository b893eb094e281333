/**
 * Where the chunks of an object are, as far as that is known: recorded by who wrote it, or seen by a reader. Chunks of one
 * object never move, so what is known stays true as long as the object is there.
 */
import type { ChunkRun, ObjectMeta } from "./nats-format.ts";

/** Distance in bytes between the chunks that are remembered one by one. */
const SPACING_BYTES = 1024 * 1024;
/** Objects that are remembered. */
const MAX_MAPS = 256;

export interface ChunkPlace {
  /** Byte of the object with which the chunk begins. */
  readonly offset: number;
  readonly sequence: number;
}

interface KnownRun extends ChunkPlace {
  /** Chunks, all full. */
  readonly count: number;
}

export class ChunkMap {
  readonly #chunkBytes: number;
  readonly #runs: KnownRun[] = [];

  constructor(chunkBytes: number, runs: readonly ChunkRun[]) {
    this.#chunkBytes = chunkBytes;
    let offset = 0;
    for (const { sequence, count } of runs) {
      this.#runs.push({ offset, sequence, count });
      offset += count * chunkBytes;
    }
  }

  /** The last known chunk that begins at `offset` or before; `undefined` when none does. */
  find(offset: number): ChunkPlace | undefined {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.offset ?? Infinity) <= offset) low = middle + 1;
      else high = middle;
    }
    const run = this.#runs[low - 1];
    if (run === undefined) return undefined;
    const index = Math.min(Math.floor((offset - run.offset) / this.#chunkBytes), run.count - 1);
    return { offset: run.offset + index * this.#chunkBytes, sequence: run.sequence + index };
  }

  /** A chunk was seen. Those that lie near a known one are not remembered. */
  add(place: ChunkPlace): void {
    const last = this.#runs.at(-1);
    const end = last === undefined ? 0 : last.offset + (last.count - 1) * this.#chunkBytes;
    if (last === undefined || place.offset >= end + SPACING_BYTES)
      this.#runs.push({ ...place, count: 1 });
  }

  /** What was recorded is not true here. */
  clear(): void {
    this.#runs.length = 0;
  }
}

/** The maps of the objects that were read last. */
export class ChunkMaps {
  readonly #maps = new Map<string, ChunkMap>();

  of({ nuid, chunkBytes, runs }: ObjectMeta): ChunkMap {
    const map = this.#maps.get(nuid) ?? new ChunkMap(chunkBytes, runs);
    this.#maps.delete(nuid);
    this.#maps.set(nuid, map);
    const [oldest] = this.#maps.keys();
    if (this.#maps.size > MAX_MAPS && oldest !== undefined) this.#maps.delete(oldest);
    return map;
  }
}
