/**
 * The log line of each event. Messages and attributes follow Litestream's where it has the event, because people's
 * dashboards and scripts look for them. Source: surface spec 7.4.
 */
import type { Logger } from "../base/logger.ts";
import type { ReplicationEvent } from "./contract.ts";

/** Consecutive failures of capture that are logged; later ones only when their number doubles. */
const LOGGED_FAILURES = 3;

export function logEvent(logger: Logger, event: ReplicationEvent): void {
  const log = logger.with({ db: event.database });
  switch (event.type) {
    case "captured": {
      if (event.level !== 0) return;
      const { maxTxid, pageCount, sizeBytes } = event;
      log.log("debug", "sync", { txid: maxTxid, pages: pageCount, size: sizeBytes });
      return;
    }
    case "uploaded": {
      const { destination, level, minTxid, maxTxid, sizeBytes: size } = event;
      log.log("debug", "ltx file uploaded", {
        replica: destination,
        level,
        minTXID: minTxid,
        maxTXID: maxTxid,
        size,
      });
      if (level === 9)
        log.log("info", "snapshot complete", { replica: destination, txid: maxTxid, size });
      return;
    }
    case "durable": {
      log.log("debug", "replica sync", { replica: event.destination, txid: event.txid });
      return;
    }
    case "checkpoint": {
      const { restarted, truncated, frames, copiedFrames, lockHeldMs } = event;
      const mode = truncated ? "TRUNCATE" : restarted ? "RESTART" : "PASSIVE";
      log.log("debug", "checkpoint", {
        mode,
        result: `${copiedFrames}/${frames}`,
        lock_held_ms: lockHeldMs,
      });
      return;
    }
    case "resync": {
      const { kind, reason, txid, pagesScanned, pagesWritten, durationMs } = event;
      const facts = { kind, reason, txid, pages: pagesScanned, written: pagesWritten };
      log.log("info", "resync", { ...facts, duration_ms: Math.round(durationMs) });
      return;
    }
    case "phase": {
      const level = event.phase === "missing" || event.phase === "waiting" ? "warn" : "info";
      log.log(
        level,
        PHASES[event.phase],
        event.reason === undefined ? {} : { reason: event.reason },
      );
      return;
    }
    case "replaced": {
      log.log("warn", "database was replaced", { reason: event.reason });
      return;
    }
    case "failing": {
      // Shipping logs its own failures, at its own pace.
      const { consecutive: count, error, destination } = event;
      const isLogged = count <= LOGGED_FAILURES || Number.isInteger(Math.log2(count));
      if (destination !== undefined || !isLogged) return;
      log.log(count === 1 ? "warn" : "error", "capture failed", {
        error: error.message,
        code: error.code,
        hint: error.hint,
        consecutive: count,
      });
      return;
    }
    case "recovered": {
      if (event.destination === undefined) log.log("info", "capture recovered");
      return;
    }
    case "stopped": {
      const { error, destination: replica } = event;
      const what = replica === undefined ? "replication stopped" : "shipping stopped";
      log.log("error", what, { replica, error: error.message, code: error.code, hint: error.hint });
      return;
    }
    case "rebase": {
      log.log("info", "new base requested", { replica: event.destination, reason: event.reason });
    }
  }
}

const PHASES = {
  starting: "starting",
  wal: "capturing the write-ahead log",
  rollback: "capturing by comparison, the database has no write-ahead log",
  missing: "waiting for the database",
  waiting: "the database cannot be read just now",
  closed: "capture closed",
} as const;
