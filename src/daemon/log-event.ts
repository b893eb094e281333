/**
 * The log line of each event. Messages and attributes follow Litestream's where it has the event, because people's
 * dashboards and scripts look for them.
 *
 * Source: benbjohnson/litestream@63225f1 `DB.checkpoint`, `Replica.uploadLTXFile`.
 */
import type { Logger } from "../base/logger.ts";
import { SNAPSHOT_LEVEL } from "../ltx/names.ts";
import type { ReplicationEvent } from "./contract.ts";

type EventOf<Type extends ReplicationEvent["type"]> = ReplicationEvent & { readonly type: Type };

/** Consecutive failures of capture that are logged; later ones only when their number doubles. */
const LOGGED_FAILURES = 3;

const PHASES = {
  starting: "starting",
  wal: "capturing the write-ahead log",
  rollback: "capturing by comparison, the database has no write-ahead log",
  missing: "waiting for the database",
  waiting: "the database cannot be read just now",
  closed: "capture closed",
} as const;

const WRITERS: {
  readonly [Type in ReplicationEvent["type"]]: (log: Logger, event: EventOf<Type>) => void;
} = {
  captured(log, { level, maxTxid, pageCount, sizeBytes }) {
    if (level !== 0) return;
    log.log("debug", "sync", { txid: maxTxid, pages: pageCount, size: sizeBytes });
  },
  uploaded(log, { destination, level, minTxid, maxTxid, sizeBytes }) {
    const facts = { level, minTXID: minTxid, maxTXID: maxTxid, size: sizeBytes };
    log.log("debug", "ltx file uploaded", { replica: destination, ...facts });
    if (level !== SNAPSHOT_LEVEL) return;
    const snapshot = { replica: destination, txid: maxTxid, size: sizeBytes };
    log.log("info", "snapshot complete", snapshot);
  },
  durable(log, { destination, txid }) {
    log.log("debug", "replica sync", { replica: destination, txid });
  },
  checkpoint(log, { restarted, truncated, frames, copiedFrames, lockHeldMs }) {
    const mode = truncated ? "TRUNCATE" : restarted ? "RESTART" : "PASSIVE";
    const result = `${copiedFrames}/${frames}`;
    log.log("debug", "checkpoint", { mode, result, lock_held_ms: lockHeldMs });
  },
  resync(log, { kind, reason, txid, pagesScanned, pagesWritten, durationMs }) {
    const facts = { kind, reason, txid, pages: pagesScanned, written: pagesWritten };
    log.log("info", "resync", { ...facts, duration_ms: Math.round(durationMs) });
  },
  phase(log, { phase, reason }) {
    const isTrouble = phase === "missing" || phase === "waiting";
    log.log(isTrouble ? "warn" : "info", PHASES[phase], { reason });
  },
  replaced(log, { reason }) {
    log.log("warn", "database was replaced", { reason });
  },
  rebase(log, { destination, reason }) {
    log.log("info", "new base requested", { replica: destination, reason });
  },
  // The keeper of the lease logs for itself.
  lease() {},
  failing(log, { destination, error, consecutive }) {
    // Shipping logs its own failures, at its own pace.
    if (destination !== undefined) return;
    if (consecutive > LOGGED_FAILURES && !Number.isInteger(Math.log2(consecutive))) return;
    const { message, code, hint } = error;
    const facts = { error: message, code, hint, consecutive };
    log.log(consecutive === 1 ? "warn" : "error", "capture failed", facts);
  },
  recovered(log, { destination }) {
    if (destination === undefined) log.log("info", "capture recovered");
  },
  stopped(log, { destination, error }) {
    const { message, code, hint } = error;
    const what = destination === undefined ? "replication stopped" : "shipping stopped";
    log.log("error", what, { replica: destination, error: message, code, hint });
  },
};

export function logEvent(logger: Logger, event: ReplicationEvent): void {
  // Writer and event belong together by their type.
  const write = WRITERS[event.type] as (log: Logger, event: ReplicationEvent) => void;
  write(logger.with({ db: event.database }), event);
}

/** For shipping, whose events are logged here: its lines without those that only repeat them. */
export function withoutDebug(logger: Logger): Logger {
  return {
    log(level, message, fields) {
      if (level !== "debug" && level !== "trace") logger.log(level, message, fields);
    },
    with: (fields) => withoutDebug(logger.with(fields)),
  };
}
