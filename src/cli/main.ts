/** Entry of the `millrace` command. */
import { runCommandLine } from "./run.ts";
import { systemTerminal } from "./terminal.ts";

// A reader that went away, as in `millrace ltx … | head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
process.exitCode = await runCommandLine(process.argv.slice(2), systemTerminal());
