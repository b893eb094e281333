/** The commands by name, each loaded when it is called, so that `version` does not pay for `restore`. */
import { nearestName } from "../base/nearest.ts";
import { MillraceError } from "../errors.ts";
import type { Command } from "./command.ts";

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export const COMMANDS: Readonly<Record<string, Entry>> = {
  databases: {
    summary: "list the databases of the configuration",
    load: async () => (await import("./databases.ts")).databases,
  },
  demo: {
    summary: "watch Millrace save a database from two killed processes",
    load: async () => (await import("./demo.ts")).demo,
  },
  help: {
    summary: "describe a command",
    load: async () => (await import("./help.ts")).help,
  },
  ltx: {
    summary: "list the files of a replica",
    load: async () => (await import("./ltx.ts")).ltx,
  },
  replicate: {
    summary: "replicate databases for as long as the command runs",
    load: async () => (await import("./replicate.ts")).replicate,
  },
  restore: {
    summary: "restore a database from its replica",
    load: async () => (await import("./restore.ts")).restore,
  },
  status: {
    summary: "say what of each database is durable where",
    load: async () => (await import("./status.ts")).status,
  },
  version: {
    summary: "print the version",
    load: async () => (await import("./version.ts")).version,
  },
};

/** Other spellings. */
const ALIASES: Readonly<Record<string, string>> = { wal: "ltx" };

/** Commands of Litestream's that this version does not have. */
const LATER = ["info", "list", "register", "reset", "start", "stop", "sync", "unregister"];

/** Throws `usage/invalid` for a command that does not exist. */
export async function loadCommand(name: string): Promise<Command> {
  const known = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
  const entry = known !== undefined && Object.hasOwn(COMMANDS, known) ? COMMANDS[known] : undefined;
  if (entry !== undefined) return entry.load();
  if (LATER.includes(name)) {
    throw new MillraceError("usage/invalid", `command "${name}": not in this version`, {
      hint: `this version has ${Object.keys(COMMANDS).join(", ")}`,
    });
  }
  const meant = nearestName(name, Object.keys(COMMANDS));
  throw new MillraceError("usage/invalid", `command "${name}": unknown`, {
    hint: meant === undefined ? 'see "millrace help"' : `did you mean "millrace ${meant}"?`,
  });
}
