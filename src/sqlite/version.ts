/**
 * Which SQLite libraries Millrace works with. Versions 3.7.0 to 3.51.2 have the WAL-reset bug: a checkpointer racing
 * with a writer that restarts the WAL can mark frames of the new WAL as copied, and committed pages are lost.
 * The fix was also carried back to 3.50.7 and 3.44.6, but those lack the NOOP checkpoint by which capture asks
 * SQLite how many frames are committed (docs/decisions/0001-committed-frames.md).
 * Source: sqlite.org/wal.html, "the WAL-reset bug"; sqlite.org/changes.html, 3.51.0 and 3.51.3.
 */
import { MillraceError } from "../errors.ts";

const MINIMUM = [3, 51, 3] as const;

/** True when `version` (as `sqlite_version()` tells it) is 3.51.3 or newer. */
export function isSqliteSafe(version: string): boolean {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (match === null) return false;
  for (const [index, least] of MINIMUM.entries()) {
    const part = Number(match[index + 1]);
    if (part !== least) return part > least;
  }
  return true;
}

/** Throws `sqlite/vulnerable` when capturing with this library could lose committed pages. */
export function requireSafeSqlite(version: string): void {
  if (isSqliteSafe(version)) return;
  throw new MillraceError(
    "sqlite/vulnerable",
    `capture with SQLite ${version}: checkpoints of this version can lose committed pages (the WAL-reset bug), ` +
      `wanted ${MINIMUM.join(".")} or newer`,
    { hint: "run Millrace on a newer Node.js, e.g. 24.21", details: { version } },
  );
}
