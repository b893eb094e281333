/**
 * The real servers that tests may use: what `tools/services.ts` started, read from its state file.
 *
 * `service(name)` gives an entry only when that server's process lives and its port answers; otherwise the
 * reason why not, which a test prints when it leaves itself out. Nothing is started from here.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";

export interface S3Service {
  /** `http://127.0.0.1:PORT`, for path-style requests. */
  readonly endpoint: string;
  readonly region: string;
  /** Exists and is empty at start; tests take a prefix of their own in it, or create more. */
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface GcsService {
  /** `http://127.0.0.1:PORT`, without `/storage/v1`; no credentials. */
  readonly endpoint: string;
  readonly projectId: string;
  readonly bucket: string;
}

export interface AzureService {
  /** `http://127.0.0.1:PORT/ACCOUNT`. */
  readonly endpoint: string;
  readonly accountName: string;
  readonly accountKey: string;
  readonly container: string;
}

export interface SftpService {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** An OpenSSH private key without a passphrase. */
  readonly privateKeyPath: string;
  /** The server's host key, `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
  /** An absolute, empty directory that `user` may write. */
  readonly directory: string;
  /** A second user who logs in by password; only where the servers were started by root. */
  readonly passwordLogin?: SftpPasswordLogin | undefined;
}

export interface SftpPasswordLogin {
  readonly user: string;
  readonly password: string;
  readonly directory: string;
}

export interface NatsService {
  /** `nats://127.0.0.1:PORT`, JetStream enabled. */
  readonly url: string;
}

export interface NatsAuthService extends NatsService {
  readonly user: string;
  readonly password: string;
}

export interface WebdavService {
  /** Root collection, with a slash at its end. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

export interface HttpService {
  readonly endpoint: string;
}

/** What is known of each server, by its name on the command line. */
export interface Services {
  readonly s3: S3Service;
  readonly minio: S3Service;
  readonly gcs: GcsService;
  readonly azure: AzureService;
  readonly sftp: SftpService;
  readonly nats: NatsService;
  readonly "nats-auth": NatsAuthService;
  readonly webdav: WebdavService;
  readonly "webdav-apache": WebdavService;
  readonly etcd: HttpService;
  readonly consul: HttpService;
  readonly toxiproxy: HttpService;
}

export type ServiceName = keyof Services;

/** Which process a server is. A process id alone may belong to somebody else by now. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process, as the kernel has them. */
  readonly startTicks: string;
}

export type ServiceEntry<N extends ServiceName = ServiceName> = Services[N] &
  ProcessIdentity & {
    /** The port on 127.0.0.1 whose answer means that the server is there. */
    readonly port: number;
  };

export type ServiceEntries = { readonly [N in ServiceName]?: ServiceEntry<N> };

const CHECK_TIMEOUT_MS = 2_000;

/** The folder of everything about the servers; MILLRACE_SERVICES_DIR decides. */
export function servicesDirectory(): string {
  return process.env["MILLRACE_SERVICES_DIR"] ?? join(homedir(), ".cache", "millrace", "services");
}

/**
 * The folder of what runs: state file, data, logs. MILLRACE_SERVICES_RUN gives a run of servers its own, so
 * that two of them share the built programs and nothing else.
 */
export function runDirectory(): string {
  return process.env["MILLRACE_SERVICES_RUN"] ?? join(servicesDirectory(), "run");
}

/** The state file; throws when it is there and cannot be read as one. */
export function readServices(directory: string = runDirectory()): ServiceEntries {
  const path = join(directory, "services.json");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    // No file means that nothing was ever started; anything else is the caller's.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
  const entries: unknown = JSON.parse(text);
  if (typeof entries !== "object" || entries === null)
    throw new Error(`read services "${path}": not an object: stop and start the services`);
  return entries;
}

/** Start of a live process in clock ticks, or undefined when there is none with that id. */
export function startTicksOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    // Without an entry there is no such process.
    return undefined;
  }
  // The program's name stands in parentheses and may hold anything; field 3 is the first behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const isGone = fields[0] === "Z" || fields[0] === "X";
  return isGone ? undefined : fields[22 - 3];
}

/** Whether `identity` still is the process that it was. */
export function isAlive({ pid, startTicks }: ProcessIdentity): boolean {
  return startTicksOf(pid) === startTicks;
}

/**
 * The entry of a server that runs and answers, or the reason why there is none.
 * The check costs one connection; call it once for a file.
 */
export async function service<N extends ServiceName>(
  name: N,
  directory?: string,
): Promise<ServiceEntry<N> | string> {
  const remedy = `npm run services start ${name}`;
  const entry = readServices(directory)[name];
  if (entry === undefined) return `not started: ${remedy}`;
  if (!isAlive(entry)) return `process ${entry.pid} is gone: ${remedy}`;
  if (!(await answers(entry.port)))
    return `process ${entry.pid} does not answer on port ${entry.port}: ${remedy}`;
  return entry;
}

/** The reason of `service` as the `unavailable` of a conformance suite. */
export function absence(found: ServiceEntry | string): string | undefined {
  return typeof found === "string" ? found : undefined;
}

/** The entry itself, in tests that run only when it is there; throws the reason otherwise. */
export function present<E extends ServiceEntry>(found: E | string): E {
  if (typeof found === "string") throw new Error(found);
  return found;
}

/** Whether anything accepts connections on a port of 127.0.0.1. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: CHECK_TIMEOUT_MS });
    const end = (isThere: boolean) => (): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", end(true));
    socket.once("timeout", end(false));
    socket.once("error", end(false));
  });
}
