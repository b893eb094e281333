/** The process as commands see it: two streams, the environment, the time zone of nobody. */
import { homedir } from "node:os";

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  readonly pid: number;
  /** Standard error is a terminal: progress may be drawn. */
  readonly isInteractive: boolean;
  /** Width of that terminal in characters. */
  readonly columns: number;
  /** Results. */
  out(text: string): void;
  /** Everything else. */
  err(text: string): void;
}

export function systemTerminal(): Terminal {
  return {
    env: process.env,
    cwd: process.cwd(),
    home: homedir(),
    pid: process.pid,
    isInteractive: process.stderr.isTTY,
    columns: process.stderr.columns || 80,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  };
}
