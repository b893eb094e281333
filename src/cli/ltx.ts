/** `millrace ltx`: the files of a replica. */
import { formatBytes } from "../base/format.ts";
import { formatTxid } from "../base/ids.ts";
import { openReplica } from "../storage/registry.ts";
import { MAX_LEVEL, type LtxFileInfo } from "../storage/ltx-store.ts";
import type { Command } from "./command.ts";
import { CONFIG_FLAGS } from "./config-file.ts";
import { usage } from "./flags.ts";
import { formatJson, formatTable } from "./output.ts";
import { resolveReplica } from "./replica-argument.ts";
import { SignalAbort } from "./signals.ts";

export const ltx: Command = {
  name: "ltx",
  usage: ["ltx [-level N|all] REPLICA_URL", "ltx [-config PATH] DB_PATH"],
  about:
    "Lists the LTX files of a replica: which transactions each holds and when it was made. Level 0 has the files as they were captured, levels 1 to 8 merged ones, level 9 snapshots.",
  flags: {
    ...CONFIG_FLAGS,
    level: { kind: "text", value: "N", help: "a level, 0 to 9, or all; 0 unless given" },
  },
  examples: ["millrace ltx -level all file:///backup/shop"],
  run: async (args, terminal) => {
    const levels = parseLevels(args.text("level") ?? "0");
    const { replica } = await resolveReplica("ltx", args, terminal);
    using signals = new SignalAbort();
    await using store = await openReplica(replica);
    const files: LtxFileInfo[] = [];
    for (const level of levels) {
      for await (const file of store.list(level, { signal: signals.signal })) files.push(file);
    }
    if (args.flag("json")) terminal.out(formatJson(files.map(toJson)));
    else {
      const rows = files.map((file) => [
        String(file.level),
        formatTxid(file.minTxid),
        formatTxid(file.maxTxid),
        formatBytes(file.sizeBytes),
        new Date(file.createdAtMs).toISOString(),
      ]);
      terminal.out(formatTable(["level", "min_txid", "max_txid", "size", "created"], rows));
    }
    return 0;
  },
};

function parseLevels(text: string): number[] {
  const all = Array.from({ length: MAX_LEVEL + 1 }, (_, level) => level);
  if (text === "all") return all;
  if (/^\d$/.test(text)) return [Number(text)];
  throw usage("ltx", `level "${text}" does not exist`, `write 0 to ${MAX_LEVEL}, or all`);
}

function toJson(file: LtxFileInfo): Record<string, unknown> {
  return {
    level: file.level,
    min_txid: file.minTxid,
    max_txid: file.maxTxid,
    size: file.sizeBytes,
    timestamp: new Date(file.createdAtMs).toISOString(),
  };
}
