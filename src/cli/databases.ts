/** `millrace databases`: what the configuration says. */
import { redactUrl } from "../storage/replica-url/redact.ts";
import { parseReplicaUrl } from "../storage/replica-url/replica-url.ts";
import type { Command } from "./command.ts";
import { CONFIG_FLAGS, loadConfig } from "./config-file.ts";
import { usage } from "./flags.ts";
import { formatJson, formatTable } from "./output.ts";

export const databases: Command = {
  name: "databases",
  usage: ["databases [-config PATH]"],
  about: "Lists the databases of the configuration and where they are replicated to.",
  flags: CONFIG_FLAGS,
  run: async (args, terminal) => {
    const [extra] = args.positionals;
    if (extra !== undefined)
      throw usage("databases", `unexpected argument "${extra}"`, "it takes none");
    const { databases } = await loadConfig(args, terminal);
    const rows = databases.map(({ path, replica }) => ({
      path,
      replica: parseReplicaUrl(replica).scheme,
      url: redactUrl(replica.url),
    }));
    if (args.flag("json")) terminal.out(formatJson(rows));
    else {
      const cells = rows.map(({ path, replica, url }) => [path, replica, url]);
      terminal.out(formatTable(["path", "replica", "url"], cells));
    }
    return 0;
  },
};
