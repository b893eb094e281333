/** Child processes of the benchmarks that talk to it by messages. */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Forks a module of ours, with a message channel that carries bigints. What it prints as an error is passed on. */
export function forkModule(url: URL, args: readonly string[]): ChildProcess {
  return fork(fileURLToPath(url), args, {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

/** Resolves when the process has ended; rejects when it failed. */
export function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${child.spawnargs.join(" ")} ended with ${code ?? signal}`));
    });
  });
}
