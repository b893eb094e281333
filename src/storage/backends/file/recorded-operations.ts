/** For tests of the file backend: real file calls that are written down, and fail where the test says. */
import type { FileHandle } from "node:fs/promises";
import { relative } from "node:path";
import { type FileOperations, nodeOperations } from "./operations.ts";

/** One call: `open`, `rename`, …, or `handle.write`, `handle.sync`, … with the path relative to the base. */
export interface RecordedCall {
  readonly name: string;
  readonly path: string;
}

export interface RecordedOperations {
  readonly operations: FileOperations;
  readonly calls: RecordedCall[];
  /** Called before each call; may throw instead of it. */
  before: (call: RecordedCall) => void | Promise<void>;
}

type AnyCall = (...args: unknown[]) => unknown;

export function recordOperations(base: string): RecordedOperations {
  const recorded: RecordedOperations = {
    operations: new Proxy(nodeOperations, { get: (target, name) => wrap(target, name, "") }),
    calls: [],
    before: () => {},
  };

  function wrap(target: object, name: string | symbol, handlePath: string): unknown {
    const original: unknown = Reflect.get(target, name, target);
    if (typeof original !== "function") return original;
    return async (...args: unknown[]) => {
      const isHandle = handlePath !== "";
      const path = isHandle ? handlePath : relative(base, String(args[0]));
      const call = { name: isHandle ? `handle.${String(name)}` : String(name), path };
      recorded.calls.push(call);
      try {
        await recorded.before(call);
      } catch (error) {
        // As in the real thing, a close that fails has closed.
        if (call.name === "handle.close") await (original as AnyCall).apply(target, args);
        throw error;
      }
      const result = await (original as AnyCall).apply(target, args);
      return name === "open" ? wrapHandle(result as FileHandle, path) : result;
    };
  }

  function wrapHandle(handle: FileHandle, path: string): FileHandle {
    return new Proxy(handle, { get: (target, name) => wrap(target, name, path || ".") });
  }

  return recorded;
}

/** An error as the system makes it. */
export function systemError(code: string, syscall: string, errno = -1): Error {
  return Object.assign(new Error(`${code}: made for a test, ${syscall}`), { code, errno, syscall });
}
