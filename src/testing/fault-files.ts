/**
 * File operations that fail on command.
 *
 * Fault model: the operation number `at` (counted over all operations that can fail, from 0) throws, having done
 * nothing (`before`), all of its work (`after`), or, for a write, half of it (`torn`). A `crash` means that no later
 * operation does anything but throw, as after SIGKILL: what was written stays written. Closing always works.
 */
import type { Files } from "../platform/files.ts";
import { translateFsError } from "../platform/fs-error.ts";

export interface Fault {
  /** Index of the operation that fails. */
  readonly at: number;
  readonly moment: "before" | "after" | "torn";
  /** Nothing works from then on. */
  readonly crash: boolean;
  readonly errno?: string | undefined;
}

const NEVER_FAILING = new Set<keyof Files>(["close", "fstat", "stat", "list"]);

export class FaultFiles {
  readonly #inner: Files;
  #fault: Fault | undefined;
  #count = 0;
  #crashed = false;
  /** Name of the operation that failed. */
  failed: string | undefined;

  constructor(inner: Files, fault?: Fault) {
    this.#inner = inner;
    this.#fault = fault;
  }

  /** Operations seen so far. */
  get count(): number {
    return this.#count;
  }

  /** A `crash` has happened. */
  get crashed(): boolean {
    return this.#crashed;
  }

  /** A new process: everything works again. */
  revive(): void {
    this.#crashed = false;
  }

  get files(): Files {
    return new Proxy(this.#inner, {
      get: (inner, name: keyof Files) => {
        const method = inner[name] as (...args: unknown[]) => unknown;
        if (NEVER_FAILING.has(name)) return method;
        return (...args: unknown[]) => this.#call(name, method, args);
      },
    });
  }

  #call(name: keyof Files, method: (...args: unknown[]) => unknown, args: unknown[]): unknown {
    const op = String(args[0]);
    if (this.#crashed) throw this.#error(op);
    const fault = this.#fault;
    const index = this.#count++;
    if (fault === undefined || index !== fault.at) return method(...args);
    this.#fault = undefined;
    this.#crashed = fault.crash;
    this.failed = `${op} (${name} ${fault.moment})`;
    if (fault.moment === "after") method(...args);
    if (fault.moment === "torn" && name === "write") {
      const [, fd, bytes, offset] = args as Parameters<Files["write"]>;
      this.#inner.write(op, fd, bytes.slice(0, bytes.length >> 1), offset);
    }
    throw this.#error(op, fault.errno);
  }

  #error(op: string, errno = "EIO"): Error {
    return translateFsError(
      Object.assign(new Error(`${errno}: injected fault`), { code: errno }),
      op,
      "(injected)",
    );
  }
}
