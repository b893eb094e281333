/**
 * The destinations of the failover test, and what each can testify: who wrote which file and which record of the lease,
 * and when. A store behind proxies knows from its request log, in which every daemon has a proxy of its own; a
 * directory knows from the times at which names appeared in it and from what the daemons say of their uploads.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { decodeRecord } from "../../src/lease/record.ts";
import { FaultProxy } from "../../src/testing/fault-proxy.ts";
import { RequestLog, type LoggedRequest } from "../../src/testing/fault-proxy/request-log.ts";
import { emptyPlace, type TestStore } from "../../src/testing/store-places.ts";
import type { Place } from "../e2e/harness.ts";
import type { FailoverDaemon } from "./failover-daemon.ts";

/** A write of the lease's record that succeeded. Times are Unix ms. */
export interface LeaseWrite {
  readonly daemon: string;
  readonly epoch: number;
  readonly renewals: number;
  readonly isReleased: boolean;
  readonly startMs: number;
  readonly endMs: number;
}

/** An LTX file that was created. */
export interface FileWrite {
  /** `undefined`: whoever it was died before it said so. */
  readonly daemon: string | undefined;
  readonly key: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface FailoverStore extends AsyncDisposable {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** As the daemon of this name reaches it. */
  urlOf(daemon: string): string;
  /** The straight way. */
  readonly url: string;
  /** In the order in which they happened. */
  leaseWrites(): LeaseWrite[];
  fileWrites(daemons: readonly FailoverDaemon[]): FileWrite[];
  /** LTX files that did not stay what they were. Files that their writer took back before it told of them do not count. */
  overwritten(daemons: readonly FailoverDaemon[]): string[];
  /** Successful writes of any kind that a daemon made between two times. */
  writesBetween(daemon: FailoverDaemon, fromMs: number, toMs: number): FileWrite[];
}

const LOCK = /\/lock\.json$/;

/** A store of the table, with a proxy for each of the daemons. */
export async function proxiedStore(
  store: TestStore,
  place: Place,
  daemons: readonly string[],
): Promise<FailoverStore> {
  const found = await store.find(`millrace/${basename(place.dir)}`);
  if (typeof found === "string") throw new Error(`${store.name}: ${found}`);
  const log = new RequestLog();
  const proxies = new Map<string, FaultProxy>();
  for (const name of daemons) {
    const keepsBody = (path: string): boolean => LOCK.test(path);
    const options = { target: found.server, name, log, keepsBody, ...store.proxy };
    proxies.set(name, await FaultProxy.open(options));
  }
  const ltxKey = (request: LoggedRequest): string | undefined => {
    const key = store.written(request);
    return key?.endsWith(".ltx") === true ? key : undefined;
  };
  const accepted = (): LoggedRequest[] =>
    log.requests.filter(({ serverStatus = 0 }) => serverStatus >= 200 && serverStatus < 300);
  const fileWrites = (): FileWrite[] =>
    accepted().flatMap((request) => {
      const key = ltxKey(request);
      return key === undefined ? [] : [{ daemon: request.via, key, ...timesOf(request) }];
    });
  return {
    name: store.name,
    env: found.env,
    urlOf(daemon) {
      const proxy = proxies.get(daemon);
      if (proxy === undefined) throw new Error(`no proxy for ${daemon}`);
      return found.url(proxy.endpoint);
    },
    url: found.url(found.server),
    leaseWrites: () => accepted().flatMap((request) => leaseWrite(request)),
    fileWrites,
    overwritten: () => log.overwritten(ltxKey),
    writesBetween: ({ name }, fromMs, toMs) =>
      fileWrites().filter(
        ({ daemon, startMs }) => daemon === name && startMs > fromMs && startMs < toMs,
      ),
    async [Symbol.asyncDispose]() {
      for (const proxy of proxies.values()) await proxy[Symbol.asyncDispose]();
      await emptyPlace(found);
    },
  };
}

function leaseWrite(request: LoggedRequest): LeaseWrite[] {
  const { via, path, method, requestBody } = request;
  if (!LOCK.test(path) || method !== "PUT" || requestBody === undefined) return [];
  // Clients may send a body in marked chunks.
  const json = /\{.*\}/s.exec(requestBody.toString())?.[0] ?? "";
  const { epoch, renewals, expiresAtMs } = decodeRecord(Buffer.from(json), path);
  const isReleased = expiresAtMs <= 0;
  return [{ daemon: via, epoch, renewals, isReleased, ...timesOf(request) }];
}

/** Until the server had decided: when the client knew is no earlier. */
function timesOf({ startMs, answeredMs = startMs }: LoggedRequest): {
  readonly startMs: number;
  readonly endMs: number;
} {
  return { startMs: performance.timeOrigin + startMs, endMs: performance.timeOrigin + answeredMs };
}

const POLL_MS = 10;

/** A directory, looked at again and again. */
export async function folderStore(
  place: Place,
  ownerOf: (owner: string) => string | undefined,
): Promise<FailoverStore> {
  const root = place.path("replica");
  const watch = new FolderWatch(root, ownerOf);
  const timer = setInterval(() => watch.look(), POLL_MS);
  const url = pathToFileURL(root).href;
  const fileWrites = (daemons: readonly FailoverDaemon[]): FileWrite[] => {
    watch.look();
    return [...watch.files].map(([key, { startMs, endMs }]) => {
      const said = daemons.filter((daemon) => uploadsOf(daemon).has(key));
      return {
        daemon: said.map(({ name }) => name).join(" and ") || undefined,
        key,
        startMs,
        endMs,
      };
    });
  };
  return {
    name: "file",
    env: {},
    urlOf: () => url,
    url,
    leaseWrites: () => [...watch.lease],
    fileWrites,
    overwritten: (daemons) =>
      watch.overwritten(new Set(daemons.flatMap((one) => [...uploadsOf(one)]))),
    writesBetween: (daemon, fromMs, toMs) =>
      fileWrites([daemon]).filter(
        ({ daemon: by, startMs }) => by === daemon.name && startMs > fromMs && startMs < toMs,
      ),
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
    },
  };
}

/** `level/name` of what it uploaded, by its log. */
function uploadsOf(daemon: FailoverDaemon): Set<string> {
  const uploads = daemon.find("ltx file uploaded");
  return new Set(
    uploads.map(
      ({ field_level: level, minTXID: min, maxTXID: max }) => `${level}/${min}-${max}.ltx`,
    ),
  );
}

interface SeenFile {
  /** When its content began to be written, under another name. */
  readonly startMs: number;
  /** When it got its name. */
  readonly endMs: number;
  readonly hash: string;
}

class FolderWatch {
  readonly files = new Map<string, SeenFile>();
  readonly lease: LeaseWrite[] = [];
  readonly #root: string;
  readonly #ownerOf: (owner: string) => string | undefined;
  readonly #records = new Map<string, string>();

  constructor(root: string, ownerOf: (owner: string) => string | undefined) {
    this.#root = root;
    this.#ownerOf = ownerOf;
  }

  look(): void {
    for (const name of names(join(this.#root, "lease"), ".json")) this.#lookAtRecord(name);
    for (const level of ["0", "9"]) {
      for (const name of names(join(this.#root, "ltx", level), ".ltx")) {
        const key = `${level}/${name}`;
        if (this.files.has(key)) continue;
        const path = join(this.#root, "ltx", key);
        const { birthtimeMs, ctimeMs } = statSync(path);
        const isBorn = birthtimeMs > 0 && birthtimeMs <= ctimeMs;
        const startMs = isBorn ? birthtimeMs : ctimeMs;
        this.files.set(key, { startMs, endMs: ctimeMs, hash: hashOf(path) });
      }
    }
  }

  /** `told`: of whose upload a daemon told. */
  overwritten(told: ReadonlySet<string>): string[] {
    const changed = ([key, { hash }]: readonly [string, SeenFile]): boolean => {
      const path = join(this.#root, "ltx", key);
      return existsSync(path) ? hashOf(path) !== hash : told.has(key);
    };
    return [...this.files].filter(changed).map(([key]) => key);
  }

  #lookAtRecord(name: string): void {
    const path = join(this.#root, "lease", name);
    try {
      const bytes = readFileSync(path);
      const atMs = statSync(path).ctimeMs;
      const text = bytes.toString();
      if (this.#records.get(name) === text) return;
      this.#records.set(name, text);
      const { epoch, renewals, expiresAtMs, owner } = decodeRecord(bytes, path);
      const daemon = this.#ownerOf(owner) ?? owner;
      const isReleased = expiresAtMs <= 0;
      this.lease.push({ daemon, epoch, renewals, isReleased, startMs: atMs, endMs: atMs });
    } catch (error) {
      // An old epoch that its successor deleted between the listing and the look.
      if (existsSync(path)) throw error;
    }
  }
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function names(dir: string, end: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith(end))
      .sort();
  } catch {
    return []; // Nothing was written yet.
  }
}
