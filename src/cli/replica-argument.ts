/** The argument that says which replica: a URL, or a database of the configuration. */
import { expandPath } from "../config/paths.ts";
import { MillraceError } from "../errors.ts";
import type { ReplicaLocation } from "../storage/replica-url/target.ts";
import { findConfig } from "./config-file.ts";
import { usage, type Arguments } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

export interface ReplicaArgument {
  readonly replica: ReplicaLocation;
  /** The database, when the argument named one. */
  readonly path: string | undefined;
}

const URL_FORM = /^(\w[\w+.-]*:\/\/|file:|memory:)/;

export function isUrl(text: string): boolean {
  return URL_FORM.test(text) && !/^sqlite3?:/.test(text);
}

/** Rejects with `usage/invalid` for too few or too many arguments, `config/invalid` for a database nobody configured. */
export async function resolveReplica(
  command: string,
  args: Arguments,
  terminal: Terminal,
): Promise<ReplicaArgument> {
  const [argument, ...more] = args.positionals;
  if (argument === undefined) {
    throw usage(
      command,
      "the database path or replica URL is missing",
      `millrace ${command} ${command === "restore" ? "-o copy.db " : ""}file:///backup/shop`,
    );
  }
  if (more.length > 0) throw usage(command, `too many arguments: "${more[0]}"`, "name one replica");
  if (isUrl(argument)) {
    if (args.text("config") === undefined) return { replica: { url: argument }, path: undefined };
    throw usage(
      command,
      "-config does not go with a replica URL",
      "name a database, or leave -config out",
    );
  }
  const path = expandPath(argument, terminal);
  const config = await findConfig(args, terminal);
  const database = config?.databases.find((candidate) => candidate.path === path);
  if (database !== undefined) return { replica: database.replica, path };
  const where =
    config === undefined ? "there is no configuration" : `it is not in "${config.source}"`;
  throw new MillraceError("config/invalid", `find replica of "${path}": ${where}`, {
    op: command,
    hint: `name its replica: millrace ${command} file:///backup/…`,
  });
}
