/** The C library liblz4 as a peer, when the machine has it and a C compiler. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("./liblz4.c", import.meta.url));
const LIBRARIES = ["-l:liblz4.so.1", "-llz4"];

export interface LibLz4Figures {
  readonly version: string;
  /** MB/s of CPU time. */
  readonly compress: number;
  readonly decompress: number;
  /** Compressed by plain size. */
  readonly ratio: number;
}

export class LibLz4 implements Disposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Builds the peer; `undefined` when there is no compiler or no library. */
  static build(): LibLz4 | undefined {
    const directory = mkdtempSync(join(tmpdir(), "millrace-bench-lz4-"));
    for (const library of LIBRARIES) {
      try {
        const args = ["-O2", "-o", join(directory, "liblz4"), SOURCE, library];
        execFileSync("cc", args, { stdio: "ignore" });
        return new LibLz4(directory);
      } catch {
        // The next spelling, or none.
      }
    }
    rmSync(directory, { recursive: true });
    return undefined;
  }

  measure(path: string, pageSize: number): LibLz4Figures {
    const program = join(this.#directory, "liblz4");
    const output = execFileSync(program, [path, String(pageSize)], { encoding: "utf8" });
    return JSON.parse(output) as LibLz4Figures;
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}
