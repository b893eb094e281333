/**
 * Log lines: `text` is key=value in the shape of Litestream's (Go `slog`), `json` one object a line.
 * A `bigint` is a TXID or a checksum and is shown as 16 hexadecimal digits.
 */
import { formatTxid, type Txid } from "../base/ids.ts";
import type { LogFields, Logger, LogLevel } from "../base/logger.ts";

export type LogFormat = "text" | "json";

const LEVELS: Readonly<Record<LogLevel, number>> = {
  trace: 0,
  debug: 1,
  info: 2,
  warn: 3,
  error: 4,
};

export interface LoggerOptions {
  readonly format: LogFormat;
  /** Lines below this level are dropped. */
  readonly level: LogLevel;
  /** Unix ms. */
  readonly now: () => number;
  /** Takes whole lines. */
  readonly write: (text: string) => void;
}

export function createLogger(options: LoggerOptions): Logger {
  return withFields(options, {});
}

function withFields(options: LoggerOptions, common: LogFields): Logger {
  return {
    log(level, message, fields) {
      if (LEVELS[level] < LEVELS[options.level]) return;
      const time = new Date(options.now()).toISOString();
      const head = { time, level: level.toUpperCase(), msg: message };
      const rest = { ...common, ...fields };
      options.write(options.format === "json" ? jsonLine(head, rest) : textLine(head, rest));
    },
    with: (fields) => withFields(options, { ...common, ...fields }),
  };
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return formatTxid(value as Txid);
  if (value instanceof Error) return value.message;
  return value;
}

/** A field that is called like one of the head gets another name: JSON has each key once. */
function jsonLine(head: LogFields, rest: LogFields): string {
  const fields = Object.entries(rest).map(
    ([key, value]) => [Object.hasOwn(head, key) ? `field_${key}` : key, value] as const,
  );
  const line = { ...head, ...Object.fromEntries(fields) };
  return `${JSON.stringify(line, (_key, value: unknown) => plain(value))}\n`;
}

/** A field may be called like one of the head, as in Litestream's lines. */
function textLine(head: LogFields, rest: LogFields): string {
  const parts = [...Object.entries(head), ...Object.entries(rest)]
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${textValue(plain(value))}`);
  return `${parts.join(" ")}\n`;
}

/** Quoted when it would not be one word otherwise. */
function textValue(value: unknown): string {
  const text = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? text : JSON.stringify(text);
}

/** The level that a name stands for, in any case; `undefined` for no level. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const name = text.toLowerCase();
  if (name === "warning") return "warn";
  return Object.hasOwn(LEVELS, name) ? (name as LogLevel) : undefined;
}
