/** What `millrace restore` prints: plans and results, as text and as JSON, for either format of a backup. */
import { formatDuration } from "../base/duration.ts";
import { formatBytes } from "../base/format.ts";
import { formatTxid } from "../base/ids.ts";
import { ltxFileName } from "../ltx/names.ts";
import type { BackupPlan } from "../restore/backup.ts";
import { formatIndex, type LegacySegment, type LegacySnapshot } from "../restore/legacy/names.ts";
import type { LegacyPlan } from "../restore/legacy/plan.ts";
import type { RestorePlan } from "../restore/plan.ts";
import type { RestoreResult } from "../restore/restore.ts";
import { parseReplicaUrl } from "../storage/replica-url/replica-url.ts";
import type { ReplicaLocation } from "../storage/replica-url/target.ts";
import { formatTable } from "./output.ts";

/** What was asked for. */
export interface RestoreSubject {
  readonly replica: ReplicaLocation;
  /** The database or the redacted URL. */
  readonly source: string;
  readonly output: string;
}

const PROOFS: Readonly<Record<RestoreResult["proof"], string>> = {
  "database-checksum": "every page adds up to the database checksum recorded at capture",
  "file-checksums":
    "each file's own checksum; whoever wrote this replica recorded no database checksum",
  "legacy-checksums":
    "each object's and log frame's own checksum; Litestream 0.3 records none of the database, nor where its logs end",
};

export function resultJson(subject: RestoreSubject, result: RestoreResult): object {
  const { format, plan } = result;
  return {
    db_path: subject.output,
    replica: parseReplicaUrl(subject.replica).scheme,
    format,
    // Litestream prints an empty one for its backups without TXIDs as well.
    txid: result.txid ?? "",
    ...(format === "ltx" ? {} : legacyJson(result)),
    duration_ms: result.durationMs,
    integrity_check: result.integrityCheck,
    restored: true,
    proof: result.proof,
    database_checksum: result.databaseChecksum,
    size: result.sizeBytes,
    pages: result.pages,
    page_size: result.pageSize,
    files: result.files,
    timestamp: toTime(plan.timestampMs),
  };
}

function legacyJson(result: Extract<RestoreResult, { readonly txid: undefined }>): object {
  const { plan, transactions, unfinishedBytes } = result;
  return { generation: plan.generation, transactions, unfinished_bytes: unfinishedBytes };
}

export function formatResult(subject: RestoreSubject, result: RestoreResult): string {
  const { sizeBytes, durationMs, proof, plan, files, integrityCheck } = result;
  const rate = durationMs > 0 ? ` (${formatBytes((sizeBytes / durationMs) * 1000)}/s)` : "";
  const separator = proof === "legacy-checksums" ? ";" : ",";
  const checked =
    integrityCheck === "none" ? "" : `${separator} SQLite's ${integrityCheck} check passed`;
  const state =
    result.format === "ltx"
      ? `TXID ${formatTxid(result.txid)}`
      : `Litestream 0.3 generation ${result.plan.generation}, ${result.transactions} transactions after snapshot ${formatIndex(result.plan.snapshot.index)}`;
  return `restored  ${subject.output}
state     ${state}, ${toTime(plan.timestampMs)}
size      ${formatBytes(sizeBytes)} from ${files} file${files === 1 ? "" : "s"} in ${formatDuration(durationMs)}${rate}
proof     ${PROOFS[proof]}${checked}
`;
}

export function planJson(subject: RestoreSubject, backup: BackupPlan): object {
  const { format, plan } = backup;
  return {
    source: subject.source,
    target_path: subject.output,
    replica: parseReplicaUrl(subject.replica).scheme,
    format,
    ...(format === "ltx" ? ltxPlanJson(plan) : legacyPlanJson(plan)),
  };
}

function ltxPlanJson(plan: RestorePlan): object {
  return {
    min_txid: plan.files[0]?.minTxid,
    max_txid: plan.txid,
    files: plan.files.map((file) => ({
      level: file.level,
      name: ltxFileName(file.minTxid, file.maxTxid),
      min_txid: file.minTxid,
      max_txid: file.maxTxid,
      size: file.sizeBytes,
      timestamp: toTime(file.createdAtMs),
    })),
  };
}

function legacyPlanJson(plan: LegacyPlan): object {
  return {
    generation: plan.generation,
    timestamp: toTime(plan.timestampMs),
    files: [plan.snapshot, ...plan.segments].map((object) => ({
      kind: kindOf(object),
      name: nameOf(object),
      index: object.index,
      ...("offset" in object ? { offset: object.offset } : {}),
      size: object.sizeBytes,
      timestamp: toTime(object.createdAtMs),
    })),
    passed_over: plan.passedOver.map(({ generation, newestMs }) => ({
      generation,
      timestamp: toTime(newestMs),
    })),
  };
}

export function formatPlan(subject: RestoreSubject, backup: BackupPlan): string {
  const head = `source      ${subject.source}
target      ${subject.output}
replica     ${parseReplicaUrl(subject.replica).scheme}
`;
  return head + (backup.format === "ltx" ? ltxPlan(backup.plan) : legacyPlan(backup.plan));
}

function ltxPlan(plan: RestorePlan): string {
  const rows = plan.files.map((file) => [
    String(file.level),
    ltxFileName(file.minTxid, file.maxTxid),
    formatTxid(file.minTxid),
    formatTxid(file.maxTxid),
    formatBytes(file.sizeBytes),
    toTime(file.createdAtMs),
  ]);
  const first = plan.files[0]?.minTxid;
  const range = first === undefined ? "-" : `${formatTxid(first)}-${formatTxid(plan.txid)}`;
  return `txid range  ${range}

${formatTable(["level", "file", "min_txid", "max_txid", "size", "timestamp"], rows)}`;
}

function legacyPlan(plan: LegacyPlan): string {
  const rows = [plan.snapshot, ...plan.segments].map((object) => [
    kindOf(object),
    nameOf(object),
    formatBytes(object.sizeBytes),
    toTime(object.createdAtMs),
  ]);
  const others = plan.passedOver.map(
    ({ generation, newestMs }) => `passed over ${generation}, newest ${toTime(newestMs)}\n`,
  );
  return `format      Litestream 0.3
generation  ${plan.generation}
${others.join("")}
${formatTable(["kind", "file", "size", "timestamp"], rows)}`;
}

function kindOf(object: LegacySnapshot | LegacySegment): string {
  return "offset" in object ? "wal" : "snapshot";
}

/** The last part of the key. */
function nameOf({ key }: LegacySnapshot): string {
  return key.slice(key.lastIndexOf("/") + 1);
}

function toTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
