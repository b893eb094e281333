/**
 * File operations of the capture thread that kill the whole process at one of them: the operation with the number in
 * MILLRACE_CRASH_AT, before or after it is carried out (MILLRACE_CRASH_MOMENT). Without the variables nothing happens.
 */
import { nodeFiles, type Files } from "../../src/platform/files.ts";

const at = Number(process.env["MILLRACE_CRASH_AT"] ?? -1);
const after = process.env["MILLRACE_CRASH_MOMENT"] === "after";
let count = 0;

export const files: Files = new Proxy(nodeFiles, {
  get(inner, name: keyof Files) {
    const method = inner[name] as ((...args: unknown[]) => unknown) | undefined;
    // A module's namespace is awaited, which asks for `then`.
    if (method === undefined) return undefined;
    return (...args: unknown[]): unknown => {
      const crash = count++ === at;
      if (crash && !after) process.kill(process.pid, "SIGKILL");
      const result = method(...args);
      if (crash) process.kill(process.pid, "SIGKILL");
      return result;
    };
  },
});
