/** `millrace help`: the commands, or one of them. */
import type { Command } from "./command.ts";
import { COMMON_FLAGS } from "./command.ts";
import { COMMANDS, loadCommand } from "./commands.ts";
import { formatJson } from "./output.ts";

const WIDTH = 100;

export const help: Command = {
  name: "help",
  usage: ["help [COMMAND]"],
  about: "Describes a command, or lists them all.",
  flags: {},
  run: async (args, terminal) => {
    const [name] = args.positionals;
    if (name !== undefined) terminal.out(formatHelp(await loadCommand(name)));
    else if (args.flag("json")) {
      const list = Object.entries(COMMANDS).map(([command, { summary }]) => ({ command, summary }));
      terminal.out(formatJson(list));
    } else terminal.out(formatOverview());
    return 0;
  },
};

/** What `millrace` alone prints. */
export function formatOverview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`,
  );
  return `Millrace keeps SQLite databases safe: every commit goes to a store, and comes back from it proven.

Usage: millrace COMMAND [FLAGS] [ARGUMENTS]

Commands:
${lines.join("\n")}

"millrace help COMMAND" describes one. Flags are written -flag or --flag.

  millrace replicate shop.db file:///backup/shop       replicate
  millrace restore -o copy.db file:///backup/shop      restore the latest state
  millrace demo                                        see it work
`;
}

export function formatHelp(command: Command): string {
  const flags = Object.entries({ ...command.flags, ...COMMON_FLAGS })
    .filter(([name]) => name !== "h")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const labels = flags.map(
    ([name, { value }]) => `-${name}${value === undefined ? "" : ` ${value}`}`,
  );
  const width = Math.max(...labels.map((label) => label.length));
  const lines = flags.map(
    ([, spec], index) =>
      `  ${(labels[index] ?? "").padEnd(width)}  ${wrap(spec.help, width + 4).trimStart()}`,
  );
  const examples = (command.examples ?? []).map((example) => `  ${example}`);
  return [
    ...command.usage.map(
      (usage, index) => `${index === 0 ? "Usage:" : "      "} millrace ${usage}`,
    ),
    "",
    wrap(command.about, 0),
    "",
    "Flags:",
    ...lines,
    ...(examples.length === 0 ? [] : ["", "Examples:", ...examples]),
    "",
  ].join("\n");
}

/** Breaks text between words; every line starts after `indent` spaces. Paragraphs are kept. */
function wrap(text: string, indent: number): string {
  const margin = " ".repeat(indent);
  return text
    .split("\n")
    .map((paragraph) => {
      const lines: string[] = [];
      let line = "";
      for (const word of paragraph.split(" ")) {
        if (line !== "" && indent + line.length + 1 + word.length > WIDTH) {
          lines.push(margin + line);
          line = word;
        } else line = line === "" ? word : `${line} ${word}`;
      }
      return [...lines, margin + line].join("\n");
    })
    .join("\n");
}
