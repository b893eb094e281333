/**
 * Environment variables in the text of a configuration file, before it is parsed.
 *
 * Source: Go `os.Expand`, plus `$$` for a dollar sign, which Litestream lacks.
 */

const REFERENCE = /\$(?:\$|\{([^}]*)\}|([A-Za-z_]\w*))/g;

/** Replaces `$NAME` and `${NAME}`; an unset name becomes nothing, `$$` a dollar sign, `PID` the process id. */
export function expandEnv(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): string {
  return text.replace(REFERENCE, (whole, braced: string | undefined, bare: string | undefined) => {
    if (whole === "$$") return "$";
    const name = braced ?? bare ?? "";
    return name === "PID" ? String(pid) : (env[name] ?? "");
  });
}
