/** `millrace version`. */
import { arch, platform } from "node:os";
import { readVersion } from "../daemon/version.ts";
import type { Command } from "./command.ts";
import { formatJson } from "./output.ts";

export const version: Command = {
  name: "version",
  usage: ["version [-verbose]"],
  about: "Prints the version of Millrace; with -verbose also what it runs on.",
  flags: { verbose: { kind: "boolean", help: "print Node.js, SQLite and the platform, too" } },
  run: async (args, terminal) => {
    const facts = {
      version: readVersion(),
      node: process.versions.node,
      sqlite: process.versions["sqlite"] ?? "unknown",
      platform: `${platform()}/${arch()}`,
    };
    if (args.flag("json")) terminal.out(formatJson(facts));
    else if (args.flag("verbose")) {
      terminal.out(
        `${facts.version}\nnode ${facts.node}\nsqlite ${facts.sqlite}\n${facts.platform}\n`,
      );
    } else terminal.out(`${facts.version}\n`);
    return 0;
  },
};
