/**
 * The connection to the server: opened by the first call, and again by the first call after it was lost. What was under way
 * when it was lost fails; the library's own reconnecting is off, because it would send later what its caller has long given up.
 */
import { connect, type NodeConnectionOptions } from "@nats-io/transport-node";
import { sleep } from "../../../base/async.ts";
import type { Clock } from "../../../base/clock.ts";
import type { RequestMeter } from "../../meter.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import type { NatsTarget } from "../../replica-url/target.ts";
import { connectError } from "./nats-errors.ts";
import { connectionOptions, timeoutOf } from "./nats-login.ts";
import { Session } from "./nats-session.ts";

export interface SessionsOptions {
  readonly target: NatsTarget;
  readonly clock: Clock;
  readonly meter: RequestMeter;
}

/** Opens sessions, one at a time. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #connection: NodeConnectionOptions;
  readonly #timeoutMs: number;
  #opening: Promise<Session> | undefined;
  /** Connections that failed in a row, and when the last one did. */
  #countFailed = 0;
  #failedAtMs = 0;

  /** Throws `storage/misconfigured` for settings that cannot be used. */
  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#connection = connectionOptions(options.target);
    this.#timeoutMs = timeoutOf(options.target.settings);
  }

  /** The open session, or a new one. `failure` says for what, in errors. */
  async open(failure: Failure, signal: AbortSignal): Promise<Session> {
    if (this.#opening === undefined) {
      await this.#rest(failure, signal);
      // Somebody else may have begun meanwhile.
      this.#opening ??= this.#begin();
    }
    try {
      return await this.#opening;
    } catch (cause) {
      throw connectError({ ...failure, cause });
    }
  }

  async close(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    // One that never opened needs no closing; its failure went to whoever asked for it.
    const session = await opening?.catch(() => undefined);
    await session?.close();
  }

  #begin(): Promise<Session> {
    const opening = this.#connect();
    const drop = (): void => {
      if (this.#opening === opening) this.#opening = undefined;
    };
    opening.then((session) => session.closed.then(drop), drop);
    return opening;
  }

  async #connect(): Promise<Session> {
    try {
      const connection = await connect(this.#connection);
      this.#countFailed = 0;
      const { target, meter } = this.#options;
      return new Session(connection, { target, meter, timeoutMs: this.#timeoutMs });
    } catch (error) {
      this.#countFailed += 1;
      this.#failedAtMs = this.#options.clock.monotonic();
      throw error;
    }
  }

  /** Waits as `reconnect-wait` says, and refuses when `max-reconnects` are used up. */
  async #rest(failure: Failure, signal: AbortSignal): Promise<void> {
    if (this.#countFailed === 0) return;
    const { clock, target } = this.#options;
    const { maxReconnects = -1, reconnectWait = 0 } = target.settings;
    if (maxReconnects >= 0 && this.#countFailed > maxReconnects) {
      throw failureError("storage/unavailable", failure, {
        found: `${this.#countFailed} connections failed in a row, and max-reconnects is ${maxReconnects}`,
        hint: "start again when the server is there, or raise max-reconnects (-1 is without a limit)",
        details: { sent: false },
      });
    }
    const waitMs = this.#failedAtMs + reconnectWait - clock.monotonic();
    if (waitMs > 0) await sleep(clock, waitMs, { signal });
  }
}
