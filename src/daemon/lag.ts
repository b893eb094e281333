/** Since when a destination is behind: the times at which transactions were captured, oldest first, bounded. */
import type { Txid } from "../base/ids.ts";

interface Mark {
  /** The last transaction it stands for. */
  readonly txid: Txid;
  /** When the first one was captured. */
  readonly timestampMs: number;
  /** How many it stands for. */
  readonly count: number;
}

/** During an outage marks stand for more and more transactions each, so that times become coarser instead of many. */
const MAX_MARKS = 1024;

export class LagMarks {
  #marks: Mark[] = [];
  #perMark = 1;

  captured(txid: Txid, timestampMs: number): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && last.txid >= txid) return;
    if (last !== undefined && last.count < this.#perMark) {
      this.#marks[this.#marks.length - 1] = { ...last, txid, count: last.count + 1 };
      return;
    }
    this.#marks.push({ txid, timestampMs, count: 1 });
    if (this.#marks.length <= MAX_MARKS) return;
    this.#marks = merged(this.#marks);
    this.#perMark *= 2;
  }

  /** Every destination has everything up to `txid`. */
  released(txid: Txid): void {
    const first = this.#marks.findIndex((mark) => mark.txid > txid);
    this.#marks = first < 0 ? [] : this.#marks.slice(first);
    if (first < 0) this.#perMark = 1;
  }

  /** When the oldest transaction after `durable` was captured, Unix ms; possibly too early, never too late. */
  behindSinceMs(durable: Txid): number | undefined {
    return this.#marks.find((mark) => mark.txid > durable)?.timestampMs;
  }
}

/** Two neighbours become one. */
function merged(marks: readonly Mark[]): Mark[] {
  return marks.flatMap((mark, index) => {
    const next = marks[index + 1];
    if (index % 2 === 1) return [];
    return next === undefined
      ? [mark]
      : [{ ...mark, txid: next.txid, count: mark.count + next.count }];
  });
}
