/**
 * Finding and reading the configuration file of a command. Its parser is loaded when there is something to parse: a
 * command that needs no configuration starts a twentieth of a second sooner.
 */
import type { Config } from "../config/contract.ts";
import { expandPath } from "../config/paths.ts";
import { MillraceError } from "../errors.ts";
import { nodeFiles } from "../platform/files.ts";
import type { Arguments, FlagTable } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_PATHS = ["/etc/millrace.yml", "/etc/litestream.yml"];

/** Of every command that reads a configuration. */
export const CONFIG_FLAGS: FlagTable = {
  config: {
    kind: "text",
    value: "PATH",
    help: `the configuration file; otherwise $MILLRACE_CONFIG, $LITESTREAM_CONFIG, or the first that exists of ${DEFAULT_PATHS.join(" and ")}`,
  },
  "no-expand-env": { kind: "boolean", help: "leave $NAME in the configuration file alone" },
};

export interface LoadedConfig extends Config {
  readonly source: string;
}

/** Throws `config/invalid` when there is no configuration, or none that makes sense. */
export async function loadConfig(args: Arguments, terminal: Terminal): Promise<LoadedConfig> {
  const source = locate(args, terminal);
  const bytes = nodeFiles.readFile("read config", source);
  if (bytes === undefined) {
    throw new MillraceError("config/invalid", `read config "${source}": no such file`, {
      op: "read config",
      hint: "name the file with -config PATH",
    });
  }
  const { parseConfig } = await import("../config/load.ts");
  const text = new TextDecoder().decode(bytes);
  const env = args.flag("no-expand-env") ? undefined : terminal.env;
  return { ...parseConfig(text, { ...terminal, env, source }), source };
}

/** As `loadConfig`, but `undefined` when none was named and none of the usual places has one. */
export async function findConfig(
  args: Arguments,
  terminal: Terminal,
): Promise<LoadedConfig | undefined> {
  const isNamed = namedConfig(args, terminal) !== undefined;
  return isNamed || existingDefault() !== undefined ? await loadConfig(args, terminal) : undefined;
}

function namedConfig(args: Arguments, terminal: Terminal): string | undefined {
  const { MILLRACE_CONFIG: own, LITESTREAM_CONFIG: other } = terminal.env;
  return args.text("config") ?? [own, other].find((path) => path !== undefined && path !== "");
}

function existingDefault(): string | undefined {
  return DEFAULT_PATHS.find((path) => nodeFiles.stat("find config", path) !== undefined);
}

function locate(args: Arguments, terminal: Terminal): string {
  const named = namedConfig(args, terminal);
  if (named !== undefined) return expandPath(named, terminal);
  const found = existingDefault();
  if (found !== undefined) return found;
  throw new MillraceError("config/invalid", "find config: there is none", {
    op: "read config",
    hint: `name one with -config PATH, or create ${DEFAULT_PATHS[0]}`,
  });
}
