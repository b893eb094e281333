/** Since when a destination is behind: the times at which transactions were captured, oldest first, bounded. */
import type { Txid } from "../base/ids.ts";

interface Mark {
  readonly txid: Txid;
  readonly timestampMs: number;
}

/** During an outage pairs of marks are merged, so that times become coarser instead of many. */
const MAX_MARKS = 1024;

export class LagMarks {
  #marks: Mark[] = [];

  captured(txid: Txid, timestampMs: number): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && last.txid >= txid) return;
    this.#marks.push({ txid, timestampMs });
    if (this.#marks.length > MAX_MARKS) this.#marks = merged(this.#marks);
  }

  /** Every destination has everything up to `txid`. */
  released(txid: Txid): void {
    const first = this.#marks.findIndex((mark) => mark.txid > txid);
    this.#marks = first < 0 ? [] : this.#marks.slice(first);
  }

  /** When the oldest transaction after `durable` was captured, Unix ms; possibly too early, never too late. */
  behindSinceMs(durable: Txid): number | undefined {
    return this.#marks.find((mark) => mark.txid > durable)?.timestampMs;
  }
}

/** Two neighbours become one that is captured with the first and durable with the second. */
function merged(marks: readonly Mark[]): Mark[] {
  return marks.flatMap((mark, index) => {
    if (index % 2 === 0) return index === marks.length - 1 ? [mark] : [];
    return [{ txid: mark.txid, timestampMs: marks[index - 1]?.timestampMs ?? mark.timestampMs }];
  });
}
