/**
 * A backup in the format of Litestream 0.3, made from a real SQLite database: the file as it is at the start of each
 * index, and the write-ahead log that SQLite itself writes after it. With the database that each index ends with.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { ObjectStore } from "../storage/contract.ts";
import { checkpointedCopy } from "./database-copy.ts";
import { forgeLz4 } from "./forge-lz4.ts";

export interface LegacyLineOptions {
  readonly pageSize?: number | undefined;
  /** 16 hexadecimal digits. */
  readonly generation?: string | undefined;
  /** Of the first object; each further one is a second later. Unix ms. */
  readonly startMs?: number | undefined;
}

export interface LegacyMade {
  readonly key: string;
  /** Uncompressed. */
  readonly content: Uint8Array;
  readonly createdAtMs: number;
}

const SECOND_MS = 1000;

export class LegacyLine implements Disposable {
  readonly generation: string;
  /** In the order in which they were made. */
  readonly objects: LegacyMade[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), "millrace-legacy-"));
  readonly #path = join(this.#dir, "app.db");
  readonly #writer: DatabaseSync;
  readonly #startMs: number;
  #index = 0;
  #offset = 0;

  constructor(options: LegacyLineOptions = {}) {
    const { pageSize = 512, generation = "0123456789abcdef" } = options;
    this.generation = generation;
    this.#startMs = options.startMs ?? 1_600_000_000_000;
    this.#writer = new DatabaseSync(this.#path);
    this.exec(`PRAGMA page_size = ${pageSize}; PRAGMA auto_vacuum = FULL`);
    this.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
  }

  get index(): number {
    return this.#index;
  }

  exec(sql: string): void {
    this.#writer.exec(sql);
  }

  /** The database file as it is. Reading it here drops this process's locks on it, which nobody else wants. */
  snapshot(): LegacyMade {
    return this.#made(`snapshots/${hex8(this.#index)}.snapshot.lz4`, readFileSync(this.#path));
  }

  /** What the log grew by; nothing is made when it did not. */
  segment(): LegacyMade | undefined {
    const content = readFileSync(`${this.#path}-wal`).subarray(this.#offset);
    if (content.length === 0) return undefined;
    const name = `wal/${hex8(this.#index)}_${hex8(this.#offset)}.wal.lz4`;
    this.#offset += content.length;
    return this.#made(name, content);
  }

  /** Checkpoints and lets the log begin anew. */
  nextIndex(): void {
    this.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    this.#index += 1;
    this.#offset = 0;
  }

  /** The database as SQLite makes it of file and log. */
  image(): Uint8Array {
    return new Uint8Array(checkpointedCopy(this.#path));
  }

  async put(store: ObjectStore): Promise<void> {
    for (const { key, content, createdAtMs } of this.objects) {
      await store.put(key, forgeLz4(content), { createdAtMs });
    }
  }

  [Symbol.dispose](): void {
    this.#writer.close();
    rmSync(this.#dir, { recursive: true });
  }

  #made(name: string, content: Uint8Array): LegacyMade {
    const key = `generations/${this.generation}/${name}`;
    const createdAtMs = this.#startMs + this.objects.length * SECOND_MS;
    const object = { key, content: Uint8Array.from(content), createdAtMs };
    this.objects.push(object);
    return object;
  }
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, "0");
}
