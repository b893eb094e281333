/**
 * What a server can be relied on for, from how it introduces itself: asked once, when the store is opened.
 *
 * Servers made with Go's webdav package (rclone, Caddy's plug-in and others) take locks on both names before they look and move, so
 * that of several moves to one name exactly one succeeds. They are told by the methods that they name, which are those of
 * that package. Of Apache the opposite is known; of others nothing.
 * Source: golang/net `webdav.Handler.handleOptions`, `handleCopyMove`, `confirmLocks`.
 */
import { handledElsewhere, sleep } from "../../../base/async.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Logger } from "../../../base/logger.ts";
import { isMillraceError } from "../../../errors.ts";
import type { DavClient } from "./client.ts";

export interface Dialect {
  /** A move that may not overwrite succeeds for one of several contenders. */
  readonly movesAtomically: boolean;
  /** A file that was opened for an answer stays what it was. rclone may announce one file and send another that replaced it. */
  readonly servesWhole: boolean;
}

/** What is not known by then is not promised. */
const LEARN_TIMEOUT_MS = 5_000;

const GO_METHODS: ReadonlySet<string> = new Set([
  "OPTIONS, LOCK, DELETE, PROPPATCH, COPY, MOVE, UNLOCK, PROPFIND",
  "OPTIONS, LOCK, PUT, MKCOL",
]);

export interface LearnOptions {
  readonly where: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Never fails because of the server: what is wrong with it shows in the first call. */
export async function learnDialect(
  client: DavClient,
  path: string,
  { where, clock, log }: LearnOptions,
): Promise<Dialect> {
  const controller = new AbortController();
  const { signal } = controller;
  const failure = { op: "open webdav store", where };
  const asking = (async (): Promise<Dialect> => {
    // Also settles how to log in, before a body is sent that can be sent only once.
    await client.find(path, { depth: 0, kind: "head", signal, failure });
    const request = { kind: "head", method: "OPTIONS", path } as const;
    const answer = await client.request({ ...request, signal, failure, expected: [404, 405] });
    const methods = answer.header("allow") ?? "";
    return {
      movesAtomically: GO_METHODS.has(methods) && answer.header("ms-author-via") === "DAV",
      servesWhole: /^Apache\b/.test(answer.header("server") ?? ""),
    };
  })();
  const late = sleep(clock, LEARN_TIMEOUT_MS, { signal }).then(() => undefined);
  try {
    const dialect = await Promise.race([asking, late]);
    if (dialect !== undefined) return dialect;
  } catch (error) {
    if (!isMillraceError(error)) throw error;
  } finally {
    controller.abort();
    // Whichever was not waited for has nothing more to say.
    handledElsewhere(asking);
    handledElsewhere(late);
  }
  log.log(
    "warn",
    `${where} did not say what it can do: puts are not conditional until it is opened again`,
  );
  return { movesAtomically: false, servesWhole: false };
}
