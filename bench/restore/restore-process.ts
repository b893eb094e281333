/** One restore in a process of its own. Usage: restore-process.ts REPLICA OUTPUT */
import { restoreDatabase } from "../../src/restore/restore.ts";
import { openReplica } from "../../src/storage/registry.ts";
import type { RestoreReport } from "./restore.ts";

const [replica = "", output = ""] = process.argv.slice(2);
await using store = await openReplica(`file://${replica}`);
const { proof, databaseChecksum, durationMs } = await restoreDatabase({ store, output });
const report: RestoreReport = { proof, databaseChecksum: String(databaseChecksum), durationMs };
console.log(JSON.stringify(report));
