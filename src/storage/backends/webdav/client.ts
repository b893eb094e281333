/**
 * The requests of a WebDAV store, each made once: method, path and headers in, status and headers out.
 *
 * The library does authentication (Basic, or Digest when the server asks for it) and reads what PROPFIND answers. Paths are
 * escaped and hrefs unescaped here, once, since both may hold any character.
 * Source: RFC 4918 (methods, `multistatus`), RFC 9110 (ranges).
 */
import { Readable } from "node:stream";
import { AuthType, createClient, parseXML, type Response, type WebDAVClient } from "webdav";
import { MillraceError } from "../../../errors.ts";
import type { RequestKind, RequestMeter } from "../../meter.ts";
import { failureError, httpError, networkError, type Failure } from "../../remote/failures.ts";

export interface DavRequest {
  readonly kind: RequestKind;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Readable | string | undefined;
  readonly signal: AbortSignal;
  readonly failure: Failure;
  /** Statuses of failures that the caller wants to see. Others throw. */
  readonly expected?: readonly number[] | undefined;
}

export interface DavAnswer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly text: () => Promise<string>;
  /** Nothing where the answer has no body. */
  readonly chunks: () => AsyncIterable<Uint8Array>;
}

/** What a server tells about one thing. */
export interface DavFacts {
  /** Absolute, decoded once; ends in `/` for most collections. */
  readonly path: string;
  readonly isCollection: boolean;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly etag: string | undefined;
}

export interface DavClientOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly meter: RequestMeter;
}

const PROPERTIES = ["resourcetype", "getcontentlength", "getlastmodified", "getetag"];
const PROPFIND_BODY = `<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop>${PROPERTIES.map(
  (name) => `<D:${name}/>`,
).join("")}</D:prop></D:propfind>`;

/** Longest text of a failure that is read. */
const MAX_FAILURE_CHARS = 4_096;

export class DavClient {
  readonly #options: DavClientOptions;
  readonly #client: WebDAVClient;

  constructor(options: DavClientOptions) {
    this.#options = options;
    const { origin, username, password } = options;
    this.#client =
      username === undefined
        ? createClient(origin, { authType: AuthType.None })
        : createClient(origin, { authType: AuthType.Auto, username, password: password ?? "" });
  }

  url(path: string): string {
    return `${this.#options.origin}${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  /** Throws what `httpError` and `networkError` say; errors of a body that is sent pass unchanged. */
  async request(request: DavRequest): Promise<DavAnswer> {
    const { kind, method, path, headers = {}, body, signal, failure, expected = [] } = request;
    signal.throwIfAborted();
    this.#options.meter.request(kind);
    let response: Response;
    const source = { error: undefined as unknown };
    if (body instanceof Readable) body.once("error", (error) => (source.error = error));
    try {
      response = await this.#client.customRequest("/", {
        url: this.url(path),
        method,
        headers: { ...headers, "accept-encoding": "identity" },
        signal,
        ...(body === undefined ? {} : { data: body }),
      });
    } catch (error) {
      const answered = responseOf(error);
      if (answered === undefined) {
        signal.throwIfAborted();
        throw source.error ?? connectionError(error, failure);
      }
      response = answered;
    } finally {
      if (body instanceof Readable) body.destroy();
    }
    const answer = toAnswer(response);
    if (response.status < 400 || expected.includes(response.status)) return answer;
    throw await statusError(answer, failure);
  }

  /** Facts of what is at `path` and, with depth 1, of what is in it; `undefined` when nothing is there. */
  async find(
    path: string,
    options: {
      readonly depth: 0 | 1;
      readonly kind: RequestKind;
      readonly signal: AbortSignal;
      readonly failure: Failure;
    },
  ): Promise<DavFacts[] | undefined> {
    const answer = await this.request({
      ...options,
      method: "PROPFIND",
      path,
      headers: { depth: String(options.depth), "content-type": "application/xml; charset=utf-8" },
      body: PROPFIND_BODY,
      expected: [400, 404],
    });
    if (answer.status === 404) return undefined;
    if (answer.status === 400) {
      // So says Apache to a path that goes on below a file.
      if (await this.#isBelowFile(path, options)) return undefined;
      throw await statusError(answer, options.failure);
    }
    const text = await bodyText(answer, options.failure, options.signal);
    if (answer.status === 207) return readMultistatus(text, options.failure);
    throw notDav(options.failure, `it answered ${answer.status} to PROPFIND`);
  }

  async #isBelowFile(
    path: string,
    options: { readonly signal: AbortSignal; readonly failure: Failure },
  ): Promise<boolean> {
    const above = path.slice(0, path.lastIndexOf("/"));
    if (above === "") return false;
    const found = await this.find(above, { ...options, depth: 0, kind: "head" });
    return found === undefined || found[0]?.isCollection === false;
  }
}

async function readMultistatus(text: string, failure: Failure): Promise<DavFacts[]> {
  try {
    const { multistatus } = await parseXML(text);
    return multistatus.response.map(({ href, propstat }) => {
      const facts: Readonly<Record<string, unknown>> = propstat?.prop ?? {};
      const { resourcetype: type } = facts;
      return {
        path: hrefPath(textOf(href) ?? ""),
        isCollection: typeof type === "object" && type !== null && "collection" in type,
        sizeBytes: Number(facts["getcontentlength"] ?? 0),
        modifiedMs: timeOf(textOf(facts["getlastmodified"])),
        etag: bareEtag(textOf(facts["getetag"])),
      };
    });
  } catch (error) {
    throw notDav({ ...failure, cause: error }, "its answer to PROPFIND cannot be read");
  }
}

/** The parser makes numbers of what looks like one. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(value) : undefined;
}

/** An href is a path or a whole URL, escaped. */
function hrefPath(href: string): string {
  return decodeURIComponent(href.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, ""));
}

/** Unix milliseconds of an HTTP date; 0 when there is none. */
export function timeOf(date: string | undefined): number {
  const ms = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(ms) ? 0 : ms;
}

/** Without the mark of a weak one, which some servers give to what is younger than a second. */
export function bareEtag(etag: string | undefined): string | undefined {
  return etag?.replace(/^W\//, "");
}

/** The text of an answer; what breaks off is the connection's fault. */
async function bodyText(answer: DavAnswer, failure: Failure, signal: AbortSignal): Promise<string> {
  try {
    return await answer.text();
  } catch (error) {
    signal.throwIfAborted();
    throw connectionError(error, failure);
  }
}

export function connectionError(error: unknown, failure: Failure): unknown {
  if (error instanceof MillraceError) return error;
  return (
    networkError({ ...failure, cause: error }) ??
    failureError(
      "storage/unavailable",
      { ...failure, cause: error },
      {
        found: `the request failed (${error instanceof Error ? error.message : "no reason given"})`,
      },
    )
  );
}

/** The error for an answer of 400 and more; reads its body. */
export async function statusError(answer: DavAnswer, failure: Failure): Promise<MillraceError> {
  const { status } = answer;
  // Somebody else holds a lock, if only for the moment of a move: nothing was changed.
  const text = await answer.text().catch(() => "");
  if (status === 423) {
    return failureError("storage/throttled", failure, {
      found: "it is locked by somebody else (423)",
      details: { status },
    });
  }
  if (status === 507) {
    return failureError("storage/unavailable", failure, {
      found: "the server has no room left (507)",
      details: { status },
      hint: "make room on the server, or raise the quota",
    });
  }
  const plain = text.slice(0, MAX_FAILURE_CHARS).replace(/<[^>]*>/g, " ");
  const seconds = Number(answer.header("retry-after"));
  const retryAfterMs = seconds > 0 ? seconds * 1000 : undefined;
  return httpError({ ...failure, status, text: plain, retryAfterMs });
}

function notDav(failure: Failure, found: string): MillraceError {
  return failureError("storage/misconfigured", failure, {
    found: `the server does not speak WebDAV there: ${found}`,
    hint: "check host, port and path of the replica",
  });
}

/** The library throws answers of 400 and more. */
function responseOf(error: unknown): Response | undefined {
  if (!(error instanceof Error) || !("response" in error)) return undefined;
  const { response } = error;
  const isResponse = typeof response === "object" && response !== null && "headers" in response;
  return isResponse ? (response as Response) : undefined;
}

function toAnswer(response: Response): DavAnswer {
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? undefined,
    text: () => response.text(),
    async *chunks() {
      // Under Node the library's body is a stream of Node's; its types do not say that there is one.
      const { body } = response as { readonly body?: AsyncIterable<Uint8Array> | null };
      if (body !== undefined && body !== null) yield* body;
    },
  };
}
