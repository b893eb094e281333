/**
 * The one SSH connection of a store: made when it is first needed, shared by all calls, made anew when it was lost.
 */
import { handledElsewhere } from "../../../base/async.ts";
import ssh2, { type Client } from "ssh2";
import type { Clock } from "../../../base/clock.ts";
import type { Logger } from "../../../base/logger.ts";
import { MillraceError } from "../../../errors.ts";
import { failureError } from "../../remote/failures.ts";
import { fingerprint, isAmong, signaturesOf } from "./host-keys.ts";
import type { SftpLogin } from "./login.ts";
import { SftpSession } from "./session.ts";
import { connectError, levelOf, LostError } from "./sftp-errors.ts";

/** For everything from the first packet to a session that answers. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** A server that says nothing is asked whether it is there, and given up after so many times. */
const KEEPALIVE_MS = 10_000;
const KEEPALIVE_LIMIT = 3;

const OP = "connect";

export interface ConnectionOptions {
  readonly login: SftpLogin;
  readonly clock: Clock;
  /** As it may be shown. */
  readonly where: string;
  readonly log: Logger;
}

export class SftpConnection {
  readonly #options: ConnectionOptions;
  #session: Promise<SftpSession> | undefined;
  #client: Client | undefined;
  #isClosed = false;
  #isWarned = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The session, of which there is one at a time. Whoever gives up waiting leaves it to the others. */
  async session(signal: AbortSignal): Promise<SftpSession> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      for (;;) {
        this.#session ??= this.#connect();
        const session = await Promise.race([this.#session, aborted.promise]);
        if (!session.isLost) return session;
        this.#session = undefined;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      // An abort after the race was decided: the next step of the call throws it.
      handledElsewhere(aborted.promise);
    }
  }

  /** Idempotent. Ends what is running. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const session = this.#session;
    this.#session = undefined;
    this.#client?.destroy();
    await session?.then(
      (opened) => opened.drop(),
      () => {},
    );
  }

  #connect(): Promise<SftpSession> {
    const session = this.#isClosed
      ? Promise.reject<SftpSession>(new LostError({ isSent: false }))
      : this.#open();
    // The next call tries again; those that wait for this one get its error.
    session.catch(() => {
      if (this.#session === session) this.#session = undefined;
    });
    return session;
  }

  async #open(): Promise<SftpSession> {
    const { login, clock } = this.#options;
    const client = new ssh2.Client();
    this.#client = client;
    const { promise, resolve, reject } = Promise.withResolvers<SftpSession>();
    const fail = (cause?: unknown): void => reject(this.#failure(cause));
    using _timer = clock.schedule(CONNECT_TIMEOUT_MS, () => reject(this.#timeout()));
    client.on("error", (error) => {
      // The client goes on with the next way to log in; that none was left comes as an error of its own.
      if (levelOf(error) !== "agent") fail(error);
    });
    client.on("close", () => fail());
    client.on("keyboard-interactive", (_name, _instructions, _lang, prompts, finish) =>
      finish(prompts.map(() => login.password ?? "")),
    );
    client.on("ready", () =>
      client.sftp((error, sftp) => {
        if (error === undefined) resolve(new SftpSession(client, sftp));
        else reject(this.#noSftp(error));
      }),
    );
    const trusted = login.known?.trusted ?? [];
    const serverHostKey = signaturesOf(trusted);
    try {
      client.connect({
        host: login.host,
        port: login.port,
        username: login.user,
        readyTimeout: 0,
        keepaliveInterval: KEEPALIVE_MS,
        keepaliveCountMax: KEEPALIVE_LIMIT,
        tryKeyboard: login.password !== undefined,
        hostVerifier: (key: Buffer) => this.#verify(key, reject),
        ...(login.password === undefined ? {} : { password: login.password }),
        ...(login.privateKey === undefined ? {} : { privateKey: login.privateKey }),
        ...(login.agent === undefined ? {} : { agent: login.agent }),
        ...(serverHostKey === undefined
          ? {}
          : { algorithms: { serverHostKey: serverHostKey as ssh2.ServerHostKeyAlgorithm[] } }),
      });
      // Requests are small and waited for: without this each of them costs a delayed acknowledgement.
      client.setNoDelay(true);
      return await promise;
    } catch (error) {
      client.destroy();
      throw error instanceof MillraceError ? error : this.#failure(error);
    }
  }

  /** Whether the server may have this key. */
  #verify(key: Buffer, reject: (error: MillraceError) => void): boolean {
    const { login, where, log } = this.#options;
    const { known } = login;
    const shown = fingerprint(key);
    if (known === undefined) {
      if (!this.#isWarned) {
        const advice = "give the setting host-key, or add the host to known_hosts";
        log.log("warn", `the host key of ${where} is not verified: ${advice}`, {
          fingerprint: shown,
        });
      }
      this.#isWarned = true;
      return true;
    }
    if (isAmong(known.trusted, key) && !isAmong(known.revoked, key)) return true;
    reject(
      failureError(
        "storage/misconfigured",
        { op: OP, where },
        {
          found: `the server has another host key than the known one: ${shown}`,
          hint: "find out whether the server's key was changed before you change host-key or known_hosts: somebody else may be answering",
          details: { fingerprint: shown, sent: false },
        },
      ),
    );
    return false;
  }

  #failure(cause: unknown): MillraceError {
    const { login, where } = this.#options;
    return connectError({ op: OP, where, cause, user: login.user, methods: login.methods });
  }

  #timeout(): MillraceError {
    const { where } = this.#options;
    return failureError(
      "storage/unavailable",
      { op: OP, where },
      {
        found: `no connection within ${CONNECT_TIMEOUT_MS / 1000} s`,
        hint: "check host and port, and that an SSH server answers there",
        details: { sent: false },
      },
    );
  }

  #noSftp(cause: Error): MillraceError {
    const { where } = this.#options;
    return failureError(
      "storage/misconfigured",
      { op: OP, where, cause },
      {
        found: `the server offers no SFTP (${cause.message})`,
        hint: 'OpenSSH wants a line "Subsystem sftp internal-sftp" in sshd_config',
        details: { sent: false },
      },
    );
  }
}
