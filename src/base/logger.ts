/** The logger contract. Implementations live in `cli`; everything else receives one. */

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  with(fields: LogFields): Logger;
}

export const SILENT: Logger = {
  log: () => {},
  with: () => SILENT,
};
