/**
 * Every error Millrace raises on purpose: one class, one table of stable codes.
 *
 * Callers branch on `code` or `retry`, never on class or message. A code never changes meaning.
 * Foreign errors are translated once, at the adapter that met them, and kept as `cause`.
 * Messages follow one grammar: action, quoted object, colon, what was found; what to do is the `hint`.
 */
import type { ErrorCode } from "./error-codes.ts";
import { ERROR_KINDS, type Retry } from "./error-kinds.ts";

export { ERROR_KINDS } from "./error-kinds.ts";
export type { ErrorCode } from "./error-codes.ts";
export type { Retry } from "./error-kinds.ts";

export interface ErrorOptions {
  /** The operation that was attempted, e.g. `restore plan`. */
  readonly op?: string | undefined;
  /** Machine-readable facts: path, level, txid, offset. Must survive structured clone. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** What an operator should do. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

export class MillraceError extends Error {
  readonly code: ErrorCode;
  readonly op: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MillraceError";
    this.code = code;
    this.op = options.op;
    this.details = options.details ?? {};
    this.hint = options.hint;
  }

  get retry(): Retry {
    return ERROR_KINDS[this.code].retry;
  }

  get exitCode(): number {
    return ERROR_KINDS[this.code].exit;
  }
}

/** The plain form in which an error crosses a thread or process boundary. */
export interface ErrorRecord {
  readonly code: ErrorCode;
  readonly message: string;
  readonly op?: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint?: string | undefined;
  readonly cause?:
    | ErrorRecord
    | { readonly message: string; readonly code?: string | undefined }
    | undefined;
}

/** Renders any thrown value as a record; values that are no MillraceError become `internal/bug`. */
export function toErrorRecord(error: unknown): ErrorRecord {
  const known = toMillraceError(error);
  return {
    code: known.code,
    message: known.message,
    op: known.op,
    details: known.details,
    hint: known.hint,
    cause: causeRecord(known.cause),
  };
}

function causeRecord(cause: unknown): ErrorRecord["cause"] {
  if (cause === undefined) return undefined;
  if (cause instanceof MillraceError) return toErrorRecord(cause);
  if (cause instanceof Error) return { message: cause.message, code: foreignCode(cause) };
  return { message: String(cause) };
}

/** Rebuilds an error that crossed a boundary. */
export function fromErrorRecord(record: ErrorRecord): MillraceError {
  const cause = record.cause;
  const rebuilt =
    cause === undefined
      ? undefined
      : "details" in cause
        ? fromErrorRecord(cause)
        : new Error(cause.message);
  return new MillraceError(record.code, record.message, {
    op: record.op,
    details: record.details,
    hint: record.hint,
    cause: rebuilt,
  });
}

export function isMillraceError(
  error: unknown,
  ...codes: readonly ErrorCode[]
): error is MillraceError {
  return error instanceof MillraceError && (codes.length === 0 || codes.includes(error.code));
}

/** Passes a MillraceError through and wraps anything else as `internal/bug`, keeping it as the cause. */
export function toMillraceError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new MillraceError("internal/bug", `unexpected error: ${message}`, { cause: error });
}

/** The `code` property that Node and most libraries put on their errors, when it is a string. */
export function foreignCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
