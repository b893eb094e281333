/**
 * Where Google Cloud Storage is asked: the public service, a private endpoint, or an emulator, to which no credentials are
 * shown.
 *
 * Source: googleapis/google-cloud-go `storage.NewClient`, from which the variable STORAGE_EMULATOR_HOST comes.
 */
import { MillraceError } from "../../../errors.ts";

const PUBLIC = "https://storage.googleapis.com";
const EMULATOR = "STORAGE_EMULATOR_HOST";

export interface GcsEndpoint {
  /** Scheme, host, port and path, without a slash at its end. */
  readonly base: string;
  /** Whether requests go without credentials. */
  readonly isAnonymous: boolean;
  readonly isPublic: boolean;
}

/**
 * The setting goes before the emulator's variable. What is asked without TLS, and what the variable names, is an emulator.
 * Throws `storage/misconfigured`.
 */
export function gcsEndpoint(
  setting: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): GcsEndpoint {
  const emulator = env[EMULATOR];
  if (setting !== undefined) {
    const url = parse(setting, "the setting endpoint");
    return { base: baseOf(url), isAnonymous: url.protocol === "http:", isPublic: false };
  }
  if (emulator !== undefined && emulator !== "")
    return { base: baseOf(parse(emulator, EMULATOR)), isAnonymous: true, isPublic: false };
  return { base: PUBLIC, isAnonymous: false, isPublic: true };
}

function parse(text: string, source: string): URL {
  const isPlain = source === EMULATOR || /^(?:localhost|127\.|\[::1\])/i.test(text);
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text)
    ? text
    : `${isPlain ? "http" : "https"}://${text}`;
  const url = URL.parse(full);
  const isUsable = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== "";
  if (!isUsable) throw misconfigured(source, "it is no http or https address");
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw misconfigured(source, "it has more than host, port and path");
  return url;
}

/** Some write the path of the JSON API with it. */
function baseOf(url: URL): string {
  return url.origin + url.pathname.replace(/\/+$/, "").replace(/\/storage\/v1$/, "");
}

function misconfigured(source: string, problem: string): MillraceError {
  const op = "open gs store";
  return new MillraceError("storage/misconfigured", `${op}: ${source} cannot be used: ${problem}`, {
    op,
    hint: "write it as in https://storage.googleapis.com or http://127.0.0.1:4443",
  });
}
