/** The shop as a process: started, asked, killed. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { siblingModule } from "../../platform/sibling.ts";
import type { ShopAnswer, ShopQuestion } from "./shop.ts";

export class ShopProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, "exit");
  }

  /** Resolves when the shop has its database and sells. */
  static async open(path: string, seed: number): Promise<ShopProcess> {
    const child = fork(siblingModule(import.meta.url, "./shop"), [path, String(seed)], {
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const shop = new ShopProcess(child);
    await shop.#next();
    return shop;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask(question: ShopQuestion): Promise<ShopAnswer> {
    const answer = this.#next();
    this.#child.send(question);
    return answer;
  }

  async #next(): Promise<ShopAnswer> {
    const gone = this.#exited.then(() => {
      throw new Error("the shop ended unexpectedly");
    });
    const [answer] = (await Promise.race([once(this.#child, "message"), gone])) as [ShopAnswer];
    return answer;
  }

  /** No goodbye, no flush. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
  }
}
