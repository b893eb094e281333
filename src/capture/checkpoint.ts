/**
 * Checkpoints that never hold the application's write lock for long and never cost a full copy [C7].
 *
 * 1. With writers running: capture everything, move the read transaction to the present end and copy the WAL into
 *    the database up to there. Twice, because the second round is short. Then flush the database and capture again,
 *    so that neither is left to be done under the lock.
 * 2. When the WAL should restart, under the write lock: capture the few frames that arrived, copy them too, and
 *    move the read transaction once more; everything being copied, it now sits on no frame, so the next writer may
 *    restart the WAL, exactly once and with nothing lost.
 * 3. After the lock is released, one RESTART checkpoint (TRUNCATE, to give disk space back) performs the restart under
 *    SQLite's own checkpoint lock. If a commit slipped in, our reader makes it return busy with nothing changed.
 *
 * A read transaction is held throughout [C3]. Why step 3 is safe is measured in docs/decisions/0003-truncate.md.
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
/** A tail of this many frames is short enough to be copied under the write lock. */
const SHORT_TAIL_FRAMES = 64;
const ROUNDS = 4;

/** Runs one checkpoint; `undefined` when the WAL's continuity turned out to be broken, which a resync mends. */
export function runCheckpoint(
  target: CheckpointTarget,
  options: { readonly truncate: boolean },
): CheckpointReport | undefined {
  const { session, clock } = target;
  for (let round = 0; round < ROUNDS; round++) {
    if (!target.capture()) return undefined;
    target.advance();
    const { logFrames, copiedFrames } = session.checkpoint("PASSIVE", {
      patienceMs: PASSIVE_PATIENCE_MS,
    });
    const { frames } = session.committed();
    if (round > 0 && frames - copiedFrames <= SHORT_TAIL_FRAMES) break;
    // A reader of the application's holds the checkpoint back: another round changes nothing.
    if (copiedFrames < logFrames) break;
  }
  // So that little is left to flush and mostly nothing to capture under the lock.
  target.flush();
  if (!target.capture()) return undefined;
  let lockHeldMs = 0;
  const restartable = session.tryWithWriteLock(LOCK_PATIENCE_MS, () => {
    const locked = clock.monotonic();
    if (!target.capture()) return false;
    target.advance();
    const { busy, logFrames, copiedFrames } = session.checkpoint("PASSIVE", {
      patienceMs: LOCKED_PATIENCE_MS,
    });
    const complete = !busy && logFrames === copiedFrames;
    if (complete) {
      session.advanceRead();
      target.expectRestart();
    }
    lockHeldMs = clock.monotonic() - locked;
    return complete;
  });
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
