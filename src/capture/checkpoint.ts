/**
 * Checkpoints that never hold the application's write lock for long and never cost a full copy [C7].
 *
 * 1. With writers running: capture everything, move the read transaction to the present end, copy the WAL into the
 *    database up to there and flush the database.
 * 2. Take the write lock for a moment. When a commit came in meanwhile, release it and begin again: mostly there is a
 *    moment between two commits, and none of them waits for a disk. Only the last attempt captures and copies
 *    the few frames that came in while it holds the lock.
 * 3. Under the lock, everything being copied, move the read transaction once more: it now sits on no frame, so the next
 *    writer may restart the WAL, exactly once and with nothing lost.
 * 4. After the lock is released, one RESTART checkpoint (TRUNCATE, to give disk space back) performs the restart under
 *    SQLite's own checkpoint lock. If a commit slipped in, our reader makes it return busy with nothing changed.
 *
 * A read transaction is held throughout [C3]. Why step 4 is safe is measured in docs/decisions/0003-truncate.md.
 */
import type { Clock } from "../base/clock.ts";
import type { WalSession } from "../sqlite/wal-session.ts";
import { walSize } from "../wal/constants.ts";
import type { CaptureOptions } from "./contract.ts";

export interface CheckpointTarget {
  readonly session: WalSession;
  readonly clock: Clock;
  /** Captures every transaction committed so far; false when the WAL's continuity is broken. */
  capture(): boolean;
  /** Whether something was committed that is not captured. */
  pending(): boolean;
  /** Moves the read transaction to the present end; everything must have been captured just before. */
  advance(): void;
  /** Makes what was copied into the database file durable. */
  flush(): void;
  /** The reader sits on no frame: the next change of generation is ours. */
  expectRestart(): void;
}

export interface CheckpointReport {
  readonly restarted: boolean;
  readonly truncated: boolean;
  readonly frames: number;
  readonly copiedFrames: number;
  readonly lockHeldMs: number;
}

/** How long to try again while another checkpointer, usually the application's own, is at work. */
const PASSIVE_PATIENCE_MS = 20;
const LOCKED_PATIENCE_MS = 5;
/** How long to fight for the write lock; an application that holds it longer gets its checkpoint later. */
const LOCK_PATIENCE_MS = 100;
/** Each may leave a small file of its own in the replica. */
const ATTEMPTS = 6;

/** Runs one checkpoint; `undefined` when the WAL's continuity turned out to be broken, which a resync mends. */
export function runCheckpoint(
  target: CheckpointTarget,
  options: { readonly truncate: boolean },
): CheckpointReport | undefined {
  const { session, clock } = target;
  let lockHeldMs = 0;
  let restartable: boolean | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const copied = copyCaptured(target);
    if (copied === "broken") return undefined;
    const isLast = attempt === ATTEMPTS || copied === "held back";
    let isEarly = false;
    restartable = session.tryWithWriteLock(LOCK_PATIENCE_MS, () => {
      const locked = clock.monotonic();
      isEarly = !isLast && (!isCopied(session) || target.pending());
      const isReady = !isEarly && readyToRestart(target);
      lockHeldMs = Math.max(lockHeldMs, clock.monotonic() - locked);
      return isReady;
    });
    if (!isEarly) break;
  }
  const restarted =
    restartable === true && !session.checkpoint(options.truncate ? "TRUNCATE" : "RESTART").busy;
  const { frames, copied } = session.committed();
  return {
    restarted,
    truncated: restarted && options.truncate,
    frames,
    copiedFrames: copied,
    lockHeldMs,
  };
}

/** Captures everything and copies it into the database, which is durable then. */
function copyCaptured(target: CheckpointTarget): "copied" | "held back" | "broken" {
  const { session } = target;
  if (!target.capture()) return "broken";
  const { frames } = session.committed();
  target.advance();
  const { logFrames, copiedFrames } = session.checkpoint("PASSIVE", {
    patienceMs: PASSIVE_PATIENCE_MS,
  });
  // SQLite flushes the database only when it has copied the WAL to its end.
  if (copiedFrames < logFrames) target.flush();
  // Behind our own reader only another one, or another checkpointer, holds a checkpoint back.
  return copiedFrames < frames ? "held back" : "copied";
}

/** With the write lock held: brings what is left into the database and lets the next writer restart the WAL. */
function readyToRestart(target: CheckpointTarget): boolean {
  const { session } = target;
  if (!target.capture()) return false;
  target.advance();
  const { busy, logFrames, copiedFrames } = session.checkpoint("PASSIVE", {
    patienceMs: LOCKED_PATIENCE_MS,
  });
  if (busy || logFrames !== copiedFrames) return false;
  session.advanceRead();
  target.expectRestart();
  return true;
}

function isCopied(session: WalSession): boolean {
  const { frames, copied } = session.committed();
  return frames === copied;
}

/** Decides when a checkpoint is due. */
export class CheckpointPolicy {
  readonly #clock: Clock;
  readonly #options: CaptureOptions;
  /** When the first capture happened that no checkpoint has followed. */
  #capturedAt: number | undefined;
  /** WAL end at the last attempt that could not restart the WAL. */
  #blockedAt = 0;

  constructor(clock: Clock, options: CaptureOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  captured(): void {
    this.#capturedAt ??= this.#clock.monotonic();
  }

  due(walBytes: number, pageSize: number): boolean {
    const { checkpointPages, checkpointIntervalMs } = this.#options;
    const grown = walBytes - this.#blockedAt;
    if (grown >= walSize(checkpointPages, pageSize)) return true;
    if (this.#capturedAt === undefined || checkpointIntervalMs === 0) return false;
    return this.#clock.monotonic() - this.#capturedAt >= checkpointIntervalMs;
  }

  ran(restarted: boolean, walBytes: number): void {
    this.#blockedAt = restarted ? 0 : walBytes;
    this.#capturedAt = restarted ? undefined : this.#clock.monotonic();
  }
}
