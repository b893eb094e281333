/**
 * What SFTP servers and SSH connections say, translated once.
 *
 * A server of protocol version 3 has eight statuses; that a file exists already, that a disk is full or that a name belongs to
 * a directory are all `failure`, so who gets it looks which one it was.
 * Source: draft-ietf-secsh-filexfer-02, section 7; the statuses that OpenSSH gives to errno values.
 */
import { foreignCode, type MillraceError } from "../../../errors.ts";
import { invalidKey } from "../../keys.ts";
import { failureError, networkError, type Failure } from "../../remote/failures.ts";

export const STATUS = {
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  unsupported: 8,
} as const;

/** A refusal of the server. Never leaves the backend. */
export class RefusedError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "RefusedError";
    this.status = status;
  }
}

/** The connection is gone. Never leaves the backend. */
export class LostError extends Error {
  /** Whether the request may have reached the server. */
  readonly isSent: boolean;

  constructor(options: { readonly isSent: boolean; readonly cause?: unknown }) {
    super("the connection was lost", { cause: options.cause });
    this.name = "LostError";
    this.isSent = options.isSent;
  }
}

export function isRefused(error: unknown, ...statuses: readonly number[]): boolean {
  return error instanceof RefusedError && statuses.includes(error.status);
}

/** `error` as callers are to see it. What is neither the server's nor the connection's passes unchanged. */
export function sftpError(failure: Failure, error: unknown): unknown {
  if (error instanceof LostError) return lostError(failure, error);
  return error instanceof RefusedError ? refusedError(failure, error) : error;
}

function lostError(failure: Failure, error: LostError): MillraceError {
  return failureError(
    "storage/unavailable",
    { ...failure, cause: error.cause ?? error },
    {
      found: "the connection was lost",
      details: { sent: error.isSent },
    },
  );
}

function refusedError(failure: Failure, cause: RefusedError): MillraceError {
  const said = { ...failure, cause };
  switch (cause.status) {
    case STATUS.noSuchFile:
      return failureError("storage/not-found", said, { found: "no such object" });
    case STATUS.permissionDenied:
      return failureError("storage/permission", said, {
        found: "the server denies permission",
        hint: "check whose the directory is on the server, and what the user may do in it",
      });
    case STATUS.badMessage:
      return invalidKey(failure.op, failure.key ?? "", "the server cannot hold such a path");
    case STATUS.unsupported:
      return failureError("storage/unsupported", said, {
        found: "the server does not know the request",
        hint: "the server needs version 3 of SFTP, as OpenSSH has it",
      });
    default:
      return failureError("storage/unavailable", said, {
        found: `the server said "${cause.message}" (status ${cause.status})`,
        hint: "servers say no more than that when a disk is full, a quota is used up or a file system has errors",
      });
  }
}

export interface LoginFailure extends Failure {
  readonly user: string;
  /** Ways of logging in that were offered to the server. */
  readonly methods: readonly string[];
}

/** The error for a connection that did not come to stand. */
export function connectError(failure: LoginFailure): MillraceError {
  const { user, methods, cause } = failure;
  const network = networkError(failure);
  if (network !== undefined) return network;
  const level = levelOf(cause);
  const text = cause instanceof Error ? cause.message : "";
  if (level === "client-authentication") {
    return failureError("storage/permission", failure, {
      found: `the server refused to log in "${user}" with ${methods.join(" and ")}`,
      hint: "check the user, and whether the server accepts this password or has the public key in authorized_keys",
      details: { sent: false },
    });
  }
  if (level === "handshake") {
    return failureError("storage/misconfigured", failure, {
      found: `the SSH handshake failed (${text})`,
      hint: "check that the port is that of an SSH server; the known host keys decide which kinds of key are accepted",
      details: { sent: false },
    });
  }
  return failureError("storage/unavailable", failure, {
    found: `no connection could be made (${text === "" ? "it was closed" : text})`,
    hint: "check host and port, and that an SSH server answers there",
    details: { sent: false, code: foreignCode(cause) },
  });
}

/** The part of the client that met an error, as the library names it. */
export function levelOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("level" in error)) return undefined;
  return typeof error.level === "string" ? error.level : undefined;
}
