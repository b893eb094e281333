/** Paths as configuration files and command lines write them. Source: benbjohnson/litestream@63225f1 `expand`. */
import { resolve } from "node:path";

export interface PathContext {
  readonly cwd: string;
  readonly home: string;
}

/** Absolute: without `sqlite://`, with `~` replaced by the home directory. */
export function expandPath(path: string, context: PathContext): string {
  const bare = path.replace(/^sqlite3?:\/\//, "");
  if (bare === "~") return context.home;
  if (bare.startsWith("~/")) return resolve(context.home, bare.slice(2));
  return resolve(context.cwd, bare);
}
