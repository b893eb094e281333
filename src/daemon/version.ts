/** The version of the package this code belongs to. */
import { fileURLToPath } from "node:url";
import { defined } from "../base/assert.ts";
import { nodeFiles } from "../platform/files.ts";

/** As package.json has it. */
export function readVersion(): string {
  const path = fileURLToPath(new URL("../../package.json", import.meta.url));
  const bytes = defined(nodeFiles.readFile("read version", path), "package.json");
  const { version } = JSON.parse(new TextDecoder().decode(bytes)) as { readonly version: string };
  return version;
}
