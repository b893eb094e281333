/**
 * Uploads to Google Cloud Storage: in one request, or, what is larger than a part, in a session of several. The object is
 * there when the last byte was taken, and not before; a session that is given up leaves nothing, at latest a week later.
 *
 * At most one part is in memory. A failure before the last part certainly had no effect, and says so.
 */
import { isMillraceError, MillraceError } from "../../../errors.ts";
import type { BackendPut, BackendSource } from "../../backend.ts";
import { blocksOf } from "../../remote/blocks.ts";
import type { Cleanups } from "../../remote/cleanups.ts";
import { failureError } from "../../remote/failures.ts";
import { uploadResource, type GcsObject } from "./gcs-objects.ts";
import type { GcsRequest, GcsRequests } from "./gcs-requests.ts";

/** Bytes in one request: a multiple of the service's 256 KiB, and little enough for a slow line. */
export const PART_BYTES: number = 4 * 1024 * 1024;

/** How a session says that it wants more. */
const RESUME = 308;
/** How a session says that it was given up. */
const CLIENT_CLOSED = 499;
const OP = "put object";

export interface Upload {
  readonly requests: GcsRequests;
  /** Of the bucket's objects, under `/upload`. */
  readonly path: string;
  readonly key: string;
  readonly name: string;
  readonly source: BackendSource;
  readonly call: BackendPut;
  readonly cleanups: Cleanups;
}

/** Puts an object; what the store says of it. */
export function upload(options: Upload): Promise<GcsObject> {
  return options.source.sizeBytes > PART_BYTES ? uploadParts(options) : uploadWhole(options);
}

/** Metadata and content in one request. */
async function uploadWhole(options: Upload): Promise<GcsObject> {
  const { requests, name, source, call } = options;
  const blocks = await Array.fromAsync(blocksOf(source, PART_BYTES));
  const boundary = boundaryFor(blocks);
  const head = [
    `--${boundary}`,
    "content-type: application/json; charset=UTF-8",
    "",
    JSON.stringify(uploadResource(name, call.createdAtMs)),
    `--${boundary}`,
    "content-type: application/octet-stream",
    "",
    "",
  ].join("\r\n");
  const answer = await requests.json({
    ...request(options, "multipart"),
    headers: { "content-type": `multipart/related; boundary=${boundary}` },
    body: Buffer.concat([Buffer.from(head), ...blocks, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  });
  return answer as GcsObject;
}

/** A separator that the content does not hold. */
function boundaryFor(blocks: readonly Uint8Array[]): string {
  for (let number = 0; ; number += 1) {
    const boundary = `millrace-part-${number}`;
    if (!blocks.some((block) => Buffer.from(block.buffer).includes(`--${boundary}`)))
      return boundary;
  }
}

async function uploadParts(options: Upload): Promise<GcsObject> {
  const { requests, name, source, call } = options;
  const start = await requests
    .send({
      ...request(options, "resumable"),
      headers: {
        "content-type": "application/json; charset=UTF-8",
        "x-upload-content-type": "application/octet-stream",
        "x-upload-content-length": String(source.sizeBytes),
      },
      body: JSON.stringify(uploadResource(name, call.createdAtMs)),
    })
    .catch((error: unknown) => {
      throw asWithoutEffect(error);
    });
  await start.body?.cancel();
  const session = new Session(options, start.headers.get("location"));
  try {
    for await (const block of blocksOf(source, PART_BYTES)) {
      const object = await session.append(block);
      if (object !== undefined) return object;
    }
  } catch (error) {
    await session.cancel();
    throw session.isLast ? error : asWithoutEffect(error);
  }
  await session.cancel();
  throw session.broken("it wanted more than the whole content");
}

/** One upload in parts. */
class Session {
  readonly #options: Upload;
  readonly #path: string;
  #offset = 0;
  /** Whether the last part went, after which the object may be there. */
  isLast = false;

  constructor(options: Upload, location: string | null) {
    this.#options = options;
    const url = URL.parse(location ?? "");
    if (url === null) throw this.broken("it has no address");
    // The host stays that of the endpoint: nobody else is told credentials.
    this.#path = url.pathname.slice(Math.max(0, url.pathname.indexOf("/upload/"))) + url.search;
  }

  /** The object when this was the last part. */
  async append(block: Uint8Array<ArrayBuffer>): Promise<GcsObject | undefined> {
    const { requests, source } = this.#options;
    const total = source.sizeBytes;
    const end = this.#offset + block.length;
    this.isLast = end === total;
    for (let rest = block; ;) {
      const part: GcsRequest = {
        ...this.#request("PUT"),
        headers: { "content-range": `bytes ${this.#offset}-${end - 1}/${total}` },
        body: rest,
        accept: [RESUME],
      };
      const response = await requests.send(part);
      if (response.status !== RESUME) {
        if (!this.isLast) throw this.broken("it ended before the last part");
        return (await requests.parse(part, response)) as GcsObject;
      }
      await response.body?.cancel();
      const taken = /^bytes=0-(\d+)$/.exec(response.headers.get("range") ?? "")?.[1];
      const next = taken === undefined ? 0 : Number(taken) + 1;
      // The service may take less than it was sent, but not nothing, and not give anything back.
      if (next <= this.#offset || next > end) throw this.broken(`it stands at byte ${next}`);
      rest = rest.slice(rest.length - (end - next));
      this.#offset = next;
      if (next === end) return undefined;
    }
  }

  /** Tells the service to forget what it has; if that fails, the session stays until it expires, invisible and free. */
  async cancel(): Promise<void> {
    const { requests, cleanups } = this.#options;
    // The call's own signal may be aborted already.
    await cleanups.run(async (signal) => {
      const accept = [CLIENT_CLOSED, 404, 410];
      const response = await requests.send({ ...this.#request("DELETE"), signal, accept });
      await response.body?.cancel();
    });
  }

  broken(found: string): MillraceError {
    const { requests, key } = this.#options;
    const failure = { op: OP, key, where: requests.where };
    return failureError("storage/unavailable", failure, {
      found: `the session of the upload broke: ${found}`,
      details: { sent: false },
    });
  }

  #request(method: "PUT" | "DELETE"): GcsRequest {
    return { ...request(this.#options, "resumable"), method, path: this.#path };
  }
}

function request({ path, key, call }: Upload, uploadType: string): GcsRequest {
  const { ifAbsent, ifMatch, signal } = call;
  const query = new URLSearchParams({ uploadType });
  if (ifAbsent) query.set("ifGenerationMatch", "0");
  else if (ifMatch !== undefined) query.set("ifGenerationMatch", ifMatch);
  return {
    kind: "put",
    method: "POST",
    path: `${path}?${query.toString()}`,
    op: OP,
    key,
    signal,
    condition: ifAbsent ? "absent" : ifMatch === undefined ? undefined : "match",
    isBucketRequest: true,
  };
}

/** The same failure, known to have left nothing. */
function asWithoutEffect(error: unknown): unknown {
  if (!isMillraceError(error, "storage/unavailable")) return error;
  const { code, message, op, hint, details, cause } = error;
  return new MillraceError(code, message, {
    op,
    hint,
    details: { ...details, sent: false },
    cause,
  });
}
