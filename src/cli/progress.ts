/** The progress of a restore on standard error: a line that is drawn over on a terminal, a line now and then elsewhere. */
import { formatBytes } from "../base/format.ts";
import { formatDuration } from "../base/duration.ts";
import type { RestoreProgress } from "../restore/progress.ts";

import type { Terminal } from "./terminal.ts";

const PHASES: Readonly<Record<RestoreProgress["phase"], string>> = {
  plan: "reading the replica's lists",
  pages: "restoring",
  log: "applying the write-ahead logs",
  diagnose: "looking for the damaged file",
  check: "checking with SQLite",
  sync: "flushing to disk",
  done: "done",
};

/** Between two lines where nothing can be drawn over. */
const PLAIN_INTERVAL_MS = 5000;
const CLEAR = "\r\u001b[K";

export class ProgressLine implements Disposable {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  #writtenAtMs: number;
  #isDrawn = false;

  /** `now` is monotonic, in milliseconds. */
  constructor(terminal: Terminal, now: () => number) {
    this.#terminal = terminal;
    this.#now = now;
    this.#writtenAtMs = now();
  }

  show(progress: RestoreProgress): void {
    if (progress.phase === "done") return this.#clear();
    const text = describeProgress(progress);
    if (this.#terminal.isInteractive) {
      this.#isDrawn = true;
      this.#terminal.err(CLEAR + text.slice(0, this.#terminal.columns - 1));
      return;
    }
    if (this.#now() - this.#writtenAtMs < PLAIN_INTERVAL_MS) return;
    this.#writtenAtMs = this.#now();
    this.#terminal.err(`${text}\n`);
  }

  #clear(): void {
    if (this.#isDrawn) this.#terminal.err(CLEAR);
    this.#isDrawn = false;
  }

  [Symbol.dispose](): void {
    this.#clear();
  }
}

/** `restoring 45 %, 480 MB/s, 1.2 s left`. */
export function describeProgress(progress: RestoreProgress): string {
  const { phase, pagesDone, pagesTotal, bytesPerSecond, etaMs } = progress;
  if (phase !== "pages" || pagesTotal === 0) return PHASES[phase];
  const parts = [`${PHASES[phase]} ${Math.floor((100 * pagesDone) / pagesTotal)} %`];
  if (bytesPerSecond > 0) parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (etaMs !== undefined) parts.push(`${formatDuration(etaMs)} left`);
  return parts.join(", ");
}
