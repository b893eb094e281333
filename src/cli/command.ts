/** What every command is: its help, its flags, and what it does. */
import type { Arguments, FlagTable } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

export interface Command {
  readonly name: string;
  /** One line each, without `millrace`. */
  readonly usage: readonly string[];
  /** What it does, a paragraph or two. */
  readonly about: string;
  readonly flags: FlagTable;
  /** Flags of Litestream's that this version does not have. */
  readonly later?: readonly string[] | undefined;
  readonly examples?: readonly string[] | undefined;
  /** Resolves with the exit status; throws what ends the command. */
  readonly run: (args: Arguments, terminal: Terminal) => Promise<number>;
}

/** Flags that every command has. */
export const COMMON_FLAGS: FlagTable = {
  json: {
    kind: "boolean",
    help: "print the result as JSON on standard output, log to standard error",
  },
  help: { kind: "boolean", help: "print this help" },
  h: { kind: "boolean", help: "the same as -help" },
};
