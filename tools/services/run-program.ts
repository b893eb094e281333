/** Runs a program to its end for the installers: output kept, shown only when it fails, bounded in time. */
import { spawnSync } from "node:child_process";

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly input?: string | undefined;
  readonly timeoutMs?: number | undefined;
}

const TAIL_LINES = 15;
const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 2 ** 20;

/** Returns what the program wrote to its output; throws with the last lines of both streams when it fails. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): string {
  const { env, cwd, input = "", timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    input,
    encoding: "utf8",
    timeout: timeoutMs,
    // A program that has taken too long may be too busy to listen to anything milder.
    killSignal: "SIGKILL",
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  if (status === 0) return stdout;
  const why = error?.message ?? (signal === null ? `exit status ${status}` : `ended by ${signal}`);
  throw new Error(`run "${program} ${args.join(" ")}": ${why}\n${lastLines(stdout + stderr)}`);
}

/** Whether `program` can be started at all. */
export function isProgram(program: string): boolean {
  return spawnSync(program, ["--help"], { timeout: DEFAULT_TIMEOUT_MS }).error === undefined;
}

/** The last lines of a text, indented, for error messages. */
export function lastLines(text: string): string {
  const lines = text.trimEnd().split("\n").slice(-TAIL_LINES);
  return lines.map((line) => `    ${line}`).join("\n");
}
