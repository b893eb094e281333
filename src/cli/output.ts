/** How results look: tables for people, JSON for programs, errors for both. */
import { formatTxid } from "../base/ids.ts";
import { ERROR_KINDS, toMillraceError, type MillraceError } from "../errors.ts";
import type { Terminal } from "./terminal.ts";

/** Columns at least two spaces apart, as Litestream prints them. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? "").length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === line.length - 1 ? cell : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** One document, indented by two spaces; a `bigint` is a TXID or checksum and becomes 16 hexadecimal digits. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? formatTxid(part as never) : part), 2)}\n`;
}

/** Prints what ended a command; returns the exit status that belongs to it. */
export function reportError(
  terminal: Terminal,
  thrown: unknown,
  options: { readonly json: boolean },
): number {
  const error = toMillraceError(thrown);
  const exit = ERROR_KINDS[error.code].exit;
  if (options.json) {
    const { code, message, hint, op, details } = error;
    terminal.out(formatJson({ error: { code, message, hint, op, details, exit_status: exit } }));
  }
  terminal.err(formatError(error));
  return exit;
}

function formatError(error: MillraceError): string {
  const lines = [`Error: ${error.message}`];
  if (error.hint !== undefined) lines.push(`Hint: ${error.hint}`);
  lines.push(`Code: ${error.code}`);
  if (error.code === "internal/bug") {
    const origin = error.cause instanceof Error ? error.cause : error;
    lines.push(
      "This is a defect in Millrace; please report it with these lines:",
      origin.stack ?? "",
    );
  }
  return `${lines.join("\n")}\n`;
}
