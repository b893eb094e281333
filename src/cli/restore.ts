/** `millrace restore`: a database from its replica, proven before it takes any place. */
import { parseTxid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { expandPath } from "../config/paths.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { nodeFiles } from "../platform/files.ts";
import type { IntegrityCheck } from "../restore/integrity.ts";
import { planBackup } from "../restore/backup.ts";
import type { RestoreTarget } from "../restore/plan.ts";
import { restoreDatabase, type RestoreResult } from "../restore/restore.ts";
import { openReplica } from "../storage/registry.ts";
import { redactUrl } from "../storage/replica-url/redact.ts";
import { parseReplicaUrl } from "../storage/replica-url/replica-url.ts";
import type { LtxStore } from "../storage/ltx-store.ts";
import type { Command } from "./command.ts";
import { CONFIG_FLAGS } from "./config-file.ts";
import { usage, type Arguments } from "./flags.ts";
import { createLogger } from "./logger.ts";
import { formatJson } from "./output.ts";
import { ProgressLine } from "./progress.ts";
import { resolveReplica } from "./replica-argument.ts";
import {
  formatPlan,
  formatResult,
  planJson,
  resultJson,
  type RestoreSubject,
} from "./restore-report.ts";
import { SignalAbort } from "./signals.ts";
import type { Terminal } from "./terminal.ts";
import { parseRfc3339 } from "./timestamp.ts";

const NAME = "restore";

export const restore: Command = {
  name: NAME,
  usage: ["restore [FLAGS] -o PATH REPLICA_URL", "restore [FLAGS] DB_PATH"],
  about:
    "Restores a database: the latest state, or that of a transaction or a moment. The new file is complete, proven against the checksum recorded when it was captured, and on disk before it takes the output's place; until then an existing database is left alone. A backup that Litestream 0.3 left is restored as well, when it is the newer one.",
  flags: {
    ...CONFIG_FLAGS,
    o: { kind: "text", value: "PATH", help: "the database file to write; DB_PATH unless given" },
    txid: {
      kind: "text",
      value: "TXID",
      help: "restore the state after this transaction, 16 hexadecimal digits",
    },
    timestamp: {
      kind: "text",
      value: "TIME",
      help: "restore the last state before this time, e.g. 2026-11-01T12:00:00Z",
    },
    "if-db-not-exists": {
      kind: "boolean",
      help: "do nothing, with status 0, when the output exists",
    },
    "if-replica-exists": {
      kind: "boolean",
      help: "do nothing, with status 0, when the replica is empty",
    },
    parallelism: { kind: "text", value: "N", help: "decoding threads, 1 to 64" },
    "dry-run": { kind: "boolean", help: "print what would be read, and write nothing" },
    force: { kind: "boolean", help: "replace an existing database, once the new one is proven" },
    "integrity-check": {
      kind: "text",
      value: "MODE",
      help: "let SQLite check the result before it takes its place: none, quick or full; none unless given, quick for a backup of Litestream 0.3",
    },
    f: { kind: "boolean", help: "follow the replica (not in this version)" },
    "follow-interval": { kind: "text", value: "TIME", help: "with -f (not in this version)" },
  },
  examples: [
    "millrace restore -o copy.db file:///backup/shop",
    "millrace restore -o noon.db -timestamp 2026-11-01T12:00:00Z file:///backup/shop",
    "millrace restore -force -integrity-check full /var/lib/shop/shop.db",
  ],
  run: async (args, terminal) => {
    const request = await parseRequest(args, terminal);
    const { output, json } = request;
    if (args.flag("if-db-not-exists") && nodeFiles.stat("find output", output) !== undefined) {
      return tell(terminal, json, `"${output}" exists: nothing to do`, {
        db_path: output,
        restored: false,
      });
    }
    using signals = new SignalAbort();
    await using store = await openReplica(request.replica, { log: warnings(terminal) });
    try {
      if (args.flag("dry-run")) {
        const backup = await planBackup(store, request.target, { signal: signals.signal });
        terminal.out(json ? formatJson(planJson(request, backup)) : formatPlan(request, backup));
        return 0;
      }
      const result = await carryOut(request, { store, terminal, signal: signals.signal });
      terminal.out(json ? formatJson(resultJson(request, result)) : formatResult(request, result));
      return 0;
    } catch (error) {
      if (!args.flag("if-replica-exists") || !isMillraceError(error, "restore/no-backup"))
        throw error;
      return tell(terminal, json, `"${redactUrl(request.replica.url)}" is empty: nothing to do`, {
        db_path: output,
        restored: false,
      });
    }
  },
};

interface Request extends RestoreSubject {
  readonly target: RestoreTarget;
  readonly parallelism: number | undefined;
  readonly integrityCheck: IntegrityCheck | undefined;
  readonly force: boolean;
  readonly json: boolean;
}

async function parseRequest(args: Arguments, terminal: Terminal): Promise<Request> {
  if (args.flag("f")) {
    throw new MillraceError("restore/unsupported", "restore: -f (follow) is not in this version", {
      op: NAME,
      hint: "restore without -f, again when a newer state is wanted",
    });
  }
  if (args.text("follow-interval") !== undefined)
    throw usage(NAME, "-follow-interval goes with -f only", "leave it out");
  const target = parseTarget(args);
  const integrityCheck = parseCheck(args.text("integrity-check"));
  const parallelism = parseParallelism(args.text("parallelism"));
  const { replica, path } = await resolveReplica(NAME, args, terminal);
  parseReplicaUrl(replica);
  const out = args.text("o");
  if (out === undefined && path === undefined) {
    throw usage(
      NAME,
      "the output is missing",
      `millrace restore -o copy.db ${redactUrl(replica.url)}`,
    );
  }
  return {
    replica,
    source: path ?? redactUrl(replica.url),
    output: out === undefined ? (path ?? "") : expandPath(out, terminal),
    target,
    parallelism,
    integrityCheck,
    force: args.flag("force"),
    json: args.flag("json"),
  };
}

function parseTarget(args: Arguments): RestoreTarget {
  const txid = args.text("txid");
  const timestamp = args.text("timestamp");
  if (txid !== undefined && timestamp !== undefined)
    throw usage(NAME, "-txid and -timestamp exclude each other", "give one of them");
  if (txid !== undefined) {
    const parsed = parseTxid(txid);
    if (parsed !== undefined && parsed > 0n) return { txid: parsed };
    throw usage(
      NAME,
      `"${txid}" is no TXID`,
      "a TXID is 16 hexadecimal digits, e.g. 000000000000002a",
    );
  }
  if (timestamp === undefined) return "latest";
  const timestampMs = parseRfc3339(timestamp);
  if (timestampMs !== undefined) return { timestampMs };
  throw usage(
    NAME,
    `"${timestamp}" is no time`,
    "write it as 2026-11-01T12:00:00Z or with an offset, +02:00",
  );
}

function parseCheck(text: string | undefined): IntegrityCheck | undefined {
  if (text === undefined || text === "none" || text === "quick" || text === "full") return text;
  throw usage(NAME, `integrity check "${text}" does not exist`, "write none, quick or full");
}

function parseParallelism(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 64) return count;
  throw usage(NAME, `parallelism "${text}" is out of range`, "write a number from 1 to 64");
}

function tell(terminal: Terminal, json: boolean, text: string, facts: object): number {
  terminal.out(json ? formatJson(facts) : `${text}\n`);
  return 0;
}

async function carryOut(
  request: Request,
  context: { readonly store: LtxStore; readonly terminal: Terminal; readonly signal: AbortSignal },
): Promise<RestoreResult> {
  const { store, terminal, signal } = context;
  using progress = new ProgressLine(terminal, () => systemClock.monotonic());
  return await restoreDatabase({
    ...request,
    store,
    signal,
    onProgress: (state) => progress.show(state),
    logger: warnings(terminal),
  });
}

function warnings(terminal: Terminal): Logger {
  return createLogger({
    format: "text",
    level: "warn",
    now: () => systemClock.now(),
    write: (text) => terminal.err(text),
  });
}
