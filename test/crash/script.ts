/** A program of this repository in a process of its own, which says what happens in lines of its standard output. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface ScriptOptions {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Told of each line when it comes. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** A child whose lines are looked at. */
export class Script {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly #exited: Promise<unknown>;
  #wake: () => void = () => {};

  /** `env` is the whole environment; default this process's. */
  constructor(script: URL, args: readonly string[], options: ScriptOptions = {}) {
    const { env = process.env, onLine = () => {} } = options;
    this.child = spawn(process.execPath, [fileURLToPath(script), ...args], {
      stdio: ["pipe", "pipe", "inherit"],
      env,
    });
    this.#exited = once(this.child, "exit").finally(() => this.#wake());
    const { stdout, stdin } = this.child;
    assert.ok(stdout !== null && stdin !== null);
    stdin.on("error", () => {}); // The child was killed while it was asked something.
    createInterface({ input: stdout }).on("line", (line) => {
      this.lines.push(line);
      onLine(line);
      this.#wake();
    });
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Waits for a line with this beginning after the first `from`; `undefined` when the child ends before. */
  async line(beginning: string, from = 0): Promise<string | undefined> {
    for (;;) {
      const found = this.lines.slice(from).find((line) => line.startsWith(beginning));
      if (found !== undefined || !this.running) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Resolves when it has ended, however. */
  async ended(): Promise<void> {
    await this.#exited;
  }

  async kill(): Promise<void> {
    if (this.running) this.child.kill("SIGKILL");
    await this.ended();
  }
}
