/** Runs a command to its end and measures it from outside. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface RunFigures {
  readonly wallMs: number;
  /** NaN where /usr/bin/time is absent. */
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly stdout: string;
}

const TIMER = "/usr/bin/time";

/** Throws with what the command said when it fails. */
export async function run(command: string, args: readonly string[]): Promise<RunFigures> {
  const directory = mkdtempSync(join(tmpdir(), "millrace-bench-run-"));
  const figuresPath = join(directory, "figures");
  const isTimed = existsSync(TIMER);
  const line = isTimed
    ? [TIMER, "-o", figuresPath, "-f", "%U %S %M", command, ...args]
    : [command, ...args];
  try {
    const startMs = performance.now();
    const stdout = await finish(line);
    const wallMs = performance.now() - startMs;
    const [user, system, kib] = isTimed
      ? readFileSync(figuresPath, "utf8").trim().split(" ").map(Number)
      : [];
    return {
      wallMs,
      cpuSeconds: (user ?? Number.NaN) + (system ?? Number.NaN),
      peakRssBytes: (kib ?? Number.NaN) * 1024,
      stdout,
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function finish(line: readonly string[]): Promise<string> {
  const [command = "", ...args] = line;
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${line.join(" ")} ended with ${code ?? signal}:\n${stderr}${stdout}`));
    });
  });
}
