/**
 * How the codec words its errors: what was done, to which file, where, what was found and what was
 * wanted.
 */
import { MillraceError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

export type LtxErrorCode = Extract<ErrorCode, `ltx/${string}`>;

/** Facts for `details`; `offset` is the byte in the file. */
export type LtxErrorDetails = Readonly<Record<string, string | number>>;

/** An error about the file called `name`. */
export function ltxError(
  code: LtxErrorCode,
  name: string,
  problem: string,
  details: LtxErrorDetails = {},
): MillraceError {
  return new MillraceError(code, `read LTX file "${name}": ${problem}`, {
    details: { file: name, ...details },
  });
}

/** An error of whoever calls the encoder, decoder or compactor. */
export function ltxMisuse(action: string, problem: string, cause?: unknown): MillraceError {
  return new MillraceError("ltx/misuse", `${action}: ${problem}`, { cause });
}

/** What an unnamed file is called. */
export const UNNAMED = "unnamed";
