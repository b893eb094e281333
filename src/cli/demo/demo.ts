import type { Command } from "../command.ts";
export const demo: Command = { name: "demo", usage: [], about: "", flags: {}, run: async () => 0 };
