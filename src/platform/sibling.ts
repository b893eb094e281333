/**
 * URL of a module next to the calling one, for workers and child processes. Import specifiers are
 * rewritten from `.ts` to `.js` when the package is built; URLs are not, so the extension is taken
 * from the caller itself.
 */
export function siblingModule(callerUrl: string, name: string): URL {
  return new URL(`${name}${callerUrl.endsWith(".ts") ? ".ts" : ".js"}`, callerUrl);
}
