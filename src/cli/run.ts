/** From a command line to an exit status: finds the command, reads its flags, runs it, prints what ended it. */
import { COMMON_FLAGS } from "./command.ts";
import { parseFlags, usage } from "./flags.ts";
import { reportError } from "./output.ts";
import { Interrupted, signalStatus } from "./signals.ts";
import type { Terminal } from "./terminal.ts";

const HELP_FLAGS = ["-h", "-help", "--help", "--h"];
const VERSION_FLAGS = ["-version", "--version", "-v"];

/** Never rejects. `args` are those after the name of the program. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await run(args, terminal);
  } catch (error) {
    if (!(error instanceof Interrupted))
      return reportError(terminal, error, { json: wantsJson(args) });
    terminal.err(`millrace: ${error.message}\n`);
    return signalStatus(error.signal);
  }
}

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined || HELP_FLAGS.includes(first)) {
    const { formatOverview } = await import("./help.ts");
    terminal.out(formatOverview());
    return first === undefined ? 2 : 0;
  }
  const name = VERSION_FLAGS.includes(first) ? "version" : first;
  if (name.startsWith("-")) {
    throw usage(
      "millrace",
      `unknown flag "${name}"`,
      'flags follow the command: see "millrace help"',
    );
  }
  const { loadCommand } = await import("./commands.ts");
  const command = await loadCommand(name);
  if (name === "wal") terminal.err('"millrace wal" is an old name of "millrace ltx"\n');
  const flags = { ...command.flags, ...COMMON_FLAGS };
  const parsed = parseFlags({ name: command.name, flags, later: command.later }, rest);
  if (parsed.flag("help") || parsed.flag("h")) {
    const { formatHelp } = await import("./help.ts");
    terminal.out(formatHelp(command));
    return 0;
  }
  return command.run(parsed, terminal);
}

/** Whether JSON was asked for, also when the command line as a whole makes no sense. */
function wantsJson(args: readonly string[]): boolean {
  return args.some((arg) => /^--?json(=(1|t|true))?$/i.test(arg));
}
