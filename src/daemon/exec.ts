/** The command that runs under Millrace: started, signalled, waited for. */
import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { foreignCode, MillraceError } from "../errors.ts";
import { splitWords } from "./shell-words.ts";

/** How the command ended, and the exit status that a shell would show for it: 128 + n for signal n. */
export interface ExecResult {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly status: number;
}

export class SupervisedCommand {
  readonly #child: ChildProcess;
  readonly exited: Promise<ExecResult>;
  #result: ExecResult | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#result = toResult(code, signal);
        resolve(this.#result);
      });
    });
  }

  /** Starts `command` with this process's streams and environment. Throws `usage/invalid` or `daemon/exec-failed`. */
  static async start(command: string): Promise<SupervisedCommand> {
    const [program = "", ...args] = splitWords(command);
    const child = spawn(program, args, { stdio: "inherit" });
    const supervised = new SupervisedCommand(child);
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) => reject(cannotStart(program, error)));
    });
    child.on("error", () => {
      // A signal could not be delivered, because the command ended meanwhile.
    });
    return supervised;
  }

  get hasExited(): boolean {
    return this.#result !== undefined;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

function toResult(code: number | null, signal: NodeJS.Signals | null): ExecResult {
  const status = signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0);
  return { code: code ?? undefined, signal: signal ?? undefined, status };
}

function cannotStart(program: string, cause: Error): MillraceError {
  const isMissing = foreignCode(cause) === "ENOENT";
  const found = isMissing ? "no such program" : cause.message;
  return new MillraceError("daemon/exec-failed", `run "${program}": ${found}`, {
    op: "exec",
    hint: isMissing ? "check the name, and PATH" : undefined,
    cause,
  });
}
