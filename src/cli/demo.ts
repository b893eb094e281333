/** `millrace demo`: the main job for a newcomer's eyes. */
import type { Command } from "./command.ts";
import { runDemo } from "./demo/run.ts";
import { formatJson } from "./output.ts";
import { SignalAbort } from "./signals.ts";

export const demo: Command = {
  name: "demo",
  usage: ["demo"],
  about:
    "Starts a small shop on SQLite, replicates it to a folder, kills both in the middle, restores, and checks that every order that was reported durable is there; then restores an earlier moment and checks that, too. Takes about fifteen seconds and leaves nothing behind. Ends with status 0 only if every check held.",
  flags: {
    keep: { kind: "boolean", help: "leave the databases and the replica in their folder" },
    seed: { kind: "text", value: "N", help: "sell the same things again" },
  },
  run: async (args, terminal) => {
    const json = args.flag("json");
    using signals = new SignalAbort();
    const seed = Number(args.text("seed") ?? Date.now() % 1_000_000);
    const result = await runDemo({
      say: (text) => (json ? terminal.err(text) : terminal.out(text)),
      keep: args.flag("keep"),
      seed,
      signal: signals.signal,
    }).catch((error: unknown) => {
      // A terminal's interrupt ends the shop, too; that is not what is to be told.
      signals.signal.throwIfAborted();
      throw error;
    });
    if (json) terminal.out(formatJson(result));
    return result.ok ? 0 : 1;
  },
};
