/** The real Litestream: the program that LITESTREAM_BIN names, or the one that `npm run peers` installs. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { servicesDirectory } from "./services.ts";

/** Where the program is, or the reason why there is none. */
export function litestreamProgram(): { readonly path: string } | { readonly missing: string } {
  const path = process.env["LITESTREAM_BIN"] ?? join(servicesDirectory(), "bin", "litestream");
  return existsSync(path) ? { path } : { missing: "no litestream: npm run peers" };
}
