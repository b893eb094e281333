/**
 * Which page numbers a file may hold, and in which order. The encoder, the decoder and the index
 * cursor share it.
 *
 * A snapshot holds every page from 1 to `commit` except the lock page; any other file holds some of
 * them, ascending.
 *
 * Source: superfly/ltx@8cb8f8e `Encoder.EncodePage`; its decoder does not check this.
 */
import type { Pgno } from "../base/ids.ts";
import { isSnapshot, lockPgno } from "./header.ts";
import type { LtxHeader } from "./header.ts";

export type PageOrderHeader = Pick<LtxHeader, "pageSize" | "commit" | "minTxid">;

export class PageOrder {
  readonly #commit: number;
  readonly #lock: Pgno;
  readonly #complete: boolean;
  #last: Pgno = 0;

  constructor(header: PageOrderHeader) {
    this.#commit = header.commit;
    this.#lock = lockPgno(header.pageSize);
    this.#complete = isSnapshot(header);
  }

  /** The last page accepted, 0 before the first. */
  get last(): Pgno {
    return this.#last;
  }

  /** Accepts the next page, or says what is wrong with it and stays as it was. */
  accept(pgno: Pgno): string | undefined {
    if (pgno < 1) return `page number ${pgno}, wanted at least 1`;
    if (pgno > this.#commit) return `page ${pgno} beyond the commit of ${this.#commit} pages`;
    if (pgno === this.#lock) return `page ${pgno}, which is the lock page and never written`;
    if (pgno <= this.#last)
      return `page ${pgno} after page ${this.#last}, wanted ascending numbers`;
    if (this.#complete && pgno !== this.#successor()) {
      return `page ${pgno}, wanted ${this.#successor()}: a snapshot has no holes`;
    }
    this.#last = pgno;
    return undefined;
  }

  /** Says what is missing at the end of the pages. */
  finish(): string | undefined {
    if (!this.#complete || this.#successor() > this.#commit) return undefined;
    return `snapshot that ends with page ${this.#last}, wanted all ${this.#commit} pages`;
  }

  /** Goes back to a page accepted before. */
  rewind(last: Pgno): void {
    this.#last = last;
  }

  #successor(): Pgno {
    const next = this.#last + 1;
    return next === this.#lock ? next + 1 : next;
  }
}
