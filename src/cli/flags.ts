/**
 * Command lines as Go's `flag` package reads them, on top of `node:util` parseArgs: `-name value`, `--name value`,
 * `-name=value`, booleans `-name` and `-name=false`. Flags may also follow the arguments; `--` ends them.
 *
 * Source: Go `flag.FlagSet`.
 */
import { parseArgs } from "node:util";
import { defined } from "../base/assert.ts";
import { nearestName } from "../base/nearest.ts";
import { MillraceError } from "../errors.ts";

export interface FlagSpec {
  readonly kind: "boolean" | "text";
  /** What stands for the value in the help. */
  readonly value?: string | undefined;
  readonly help: string;
}

export type FlagTable = Readonly<Record<string, FlagSpec>>;

/** How the values of boolean flags are kept. */
const ON = "true";
const OFF = "false";
const TRUE = ["1", "t", "true"];
const FALSE = ["0", "f", "false"];

/** A command line that was understood. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #table: FlagTable;
  readonly #values: ReadonlyMap<string, string>;

  constructor(
    table: FlagTable,
    values: ReadonlyMap<string, string>,
    positionals: readonly string[],
  ) {
    this.#table = table;
    this.#values = values;
    this.positionals = positionals;
  }

  /** A boolean flag; false unless given. */
  flag(name: string): boolean {
    defined(this.#table[name], `flag -${name}`);
    return this.#values.get(name) === ON;
  }

  /** The last value given for a flag. */
  text(name: string): string | undefined {
    defined(this.#table[name], `flag -${name}`);
    return this.#values.get(name);
  }
}

export interface CommandFlags {
  /** For messages. */
  readonly name: string;
  readonly flags: FlagTable;
  /** Flags that another version has. */
  readonly later?: readonly string[] | undefined;
}

/** Throws `usage/invalid` for anything that the command does not have. */
export function parseFlags(command: CommandFlags, args: readonly string[]): Arguments {
  const table = command.flags;
  const options = Object.keys(table).map((name) => [name, { type: "string" }] as const);
  const { tokens } = parseArgs({
    args: normalize(command, args),
    options: Object.fromEntries(options),
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind === "option") values.set(token.name, token.value ?? "");
  }
  return new Arguments(table, values, positionals);
}

/** Rewrites Go's spelling into the one that `parseArgs` takes without doubt: `--name=value`, also for booleans. */
function normalize(command: CommandFlags, args: readonly string[]): string[] {
  const table = command.flags;
  const normal: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    if (arg === "--") return [...normal, ...args.slice(index)];
    const match = /^--?([^=]+)(?:=(.*))?$/s.exec(arg);
    if (match === null) {
      normal.push(arg);
      continue;
    }
    const name = match[1] ?? "";
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec === undefined) throw unknownFlag(command, name);
    if (spec.kind === "boolean") {
      normal.push(booleanFlag(command.name, name, match[2]));
      continue;
    }
    if (match[2] === undefined) index += 1;
    const value = match[2] ?? args[index];
    if (value === undefined) {
      throw usage(
        command.name,
        `flag -${name} needs a value`,
        `write -${name} ${spec.value ?? "VALUE"}`,
      );
    }
    normal.push(`--${name}=${value}`);
  }
  return normal;
}

function booleanFlag(command: string, name: string, value: string | undefined): string {
  const text = value?.toLowerCase();
  if (text === undefined || TRUE.includes(text)) return `--${name}=${ON}`;
  if (FALSE.includes(text)) return `--${name}=${OFF}`;
  throw usage(
    command,
    `flag -${name} is on or off: got "${value}"`,
    `write -${name} or -${name}=false`,
  );
}

function unknownFlag(command: CommandFlags, name: string): MillraceError {
  if (command.later?.includes(name) === true) {
    return usage(command.name, `flag "-${name}" is not in this version`, "leave it out");
  }
  const meant = nearestName(name, Object.keys(command.flags));
  const hint =
    meant === undefined ? `see "millrace ${command.name} -help"` : `did you mean "-${meant}"?`;
  return usage(command.name, `unknown flag "-${name}"`, hint);
}

/** A complaint about the command line. */
export function usage(command: string, problem: string, hint: string): MillraceError {
  return new MillraceError("usage/invalid", `${command}: ${problem}`, { op: command, hint });
}
