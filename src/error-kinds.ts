/**
 * The table of error codes: what each means, whether trying again can help, and the exit status of a command that ends
 * with it. docs/errors.md is rendered from here. A code never changes its meaning.
 */
import type { ErrorCode } from "./error-codes.ts";

/** What a caller may do about an error: nothing, the same again later, or the same after local state was reset. */
export type Retry = "never" | "backoff" | "after-reset";

export interface ErrorKind {
  readonly retry: Retry;
  /** Process exit status when this error ends a command. 1 is the general failure. */
  readonly exit: number;
  /** Meaning and usual cause, rendered into docs/errors.md. */
  readonly meaning: string;
}

/** The code table. `exit`: 1 failure, 2 wrong usage or config, 3 not found, 4 corrupt or unproven, 5 refused to overwrite. */
export const ERROR_KINDS: Readonly<Record<ErrorCode, ErrorKind>> = {
  "internal/bug": {
    retry: "never",
    exit: 70,
    meaning:
      "An assertion failed: a defect in Millrace. The database it concerns is stopped; nothing is deleted.",
  },
  "usage/invalid": {
    retry: "never",
    exit: 2,
    meaning:
      "A command line that cannot be understood: unknown flag, missing argument, flags that exclude each other.",
  },
  "config/invalid": {
    retry: "never",
    exit: 2,
    meaning: "A configuration file or option that cannot be read or contradicts itself.",
  },
  "url/invalid": {
    retry: "never",
    exit: 2,
    meaning: "A replica URL that cannot be parsed or whose scheme is unknown.",
  },
  "runtime/unsupported": {
    retry: "never",
    exit: 2,
    meaning: "The Node.js or SQLite underneath lacks something that is required.",
  },

  "ltx/truncated": {
    retry: "never",
    exit: 4,
    meaning: "An LTX file ends before its format says it may.",
  },
  "ltx/invalid": {
    retry: "never",
    exit: 4,
    meaning: "An LTX file whose fields contradict the format.",
  },
  "ltx/checksum-mismatch": {
    retry: "never",
    exit: 4,
    meaning: "The content of an LTX file does not match the checksum it carries.",
  },
  "ltx/unsupported": {
    retry: "never",
    exit: 4,
    meaning: "An LTX file of an encoding older than version 3.",
  },
  "ltx/missing-page": {
    retry: "never",
    exit: 4,
    meaning:
      "LTX files that are to be merged lack a page of the database they describe. A new snapshot replaces them.",
  },
  "ltx/misuse": {
    retry: "never",
    exit: 70,
    meaning: "The encoder or decoder was called out of order or with pages that break its rules.",
  },

  "wal/invalid": {
    retry: "never",
    exit: 4,
    meaning: "A file that is not a SQLite write-ahead log or of an unknown version.",
  },
  "wal/damaged": {
    retry: "never",
    exit: 4,
    meaning: "A log in a Litestream 0.3 backup that is damaged or does not fit its snapshot.",
  },
  "lz4/damaged": {
    retry: "never",
    exit: 4,
    meaning: "An object of a Litestream 0.3 backup that is cut off or fails its checksums.",
  },
  "lz4/unsupported": {
    retry: "never",
    exit: 4,
    meaning: "An encrypted object of a Litestream 0.3 backup, or LZ4 that it does not write.",
  },

  "sqlite/not-a-database": {
    retry: "backoff",
    exit: 4,
    meaning: "The file is not a SQLite database, is encrypted, or its header is damaged.",
  },
  "sqlite/busy": {
    retry: "backoff",
    exit: 1,
    meaning: "Another connection held a lock longer than the busy timeout.",
  },
  "sqlite/cannot-open": {
    retry: "backoff",
    exit: 1,
    meaning: "SQLite could not open the database: missing, no permission, or not a regular file.",
  },
  "sqlite/failed": {
    retry: "backoff",
    exit: 1,
    meaning: "SQLite reported an error that Millrace has no narrower code for.",
  },
  "sqlite/vulnerable": {
    retry: "never",
    exit: 2,
    meaning:
      "The SQLite library underneath has the WAL-reset bug; checkpointing with it could lose committed pages.",
  },

  "capture/page-damage": {
    retry: "never",
    exit: 4,
    meaning:
      "Pages of the live database differ from what was committed although no commit changed them: bit rot, a writer that bypassed SQLite, or the WAL-reset bug. The replica still holds the good copy.",
  },
  "capture/state-invalid": {
    retry: "after-reset",
    exit: 1,
    meaning:
      "The local state of a database cannot be read or contradicts itself; a resync replaces it.",
  },
  "capture/busy": {
    retry: "never",
    exit: 1,
    meaning: "Another Millrace process already captures this database.",
  },

  "fs/not-found": { retry: "backoff", exit: 3, meaning: "A file or directory does not exist." },
  "fs/permission": {
    retry: "backoff",
    exit: 1,
    meaning: "The operating system refused access to a file.",
  },
  "fs/disk-full": {
    retry: "backoff",
    exit: 1,
    meaning: "The file system or quota has no space left.",
  },
  "fs/failed": {
    retry: "backoff",
    exit: 1,
    meaning: "A file operation failed for a reason without a narrower code.",
  },

  "storage/not-found": {
    retry: "never",
    exit: 3,
    meaning: "The object does not exist in the store.",
  },
  "storage/exists": {
    retry: "never",
    exit: 1,
    meaning: "A conditional create found the object already there.",
  },
  "storage/precondition-failed": {
    retry: "never",
    exit: 1,
    meaning: "A conditional replace found another version of the object.",
  },
  "storage/unsupported": {
    retry: "never",
    exit: 2,
    meaning: "The store lacks a capability that the call needs.",
  },
  "storage/invalid-key": {
    retry: "never",
    exit: 2,
    meaning: "An object key that no store can hold safely.",
  },
  "storage/permission": {
    retry: "never",
    exit: 1,
    meaning: "The store refused the credentials or the operation.",
  },
  "storage/unavailable": {
    retry: "backoff",
    exit: 1,
    meaning: "The store did not answer, or failed in passing.",
  },
  "storage/throttled": {
    retry: "backoff",
    exit: 1,
    meaning: "The store refused a request because there were too many; nothing was changed by it.",
  },
  "storage/no-bucket": {
    retry: "never",
    exit: 3,
    meaning: "The bucket, container or object store that the replica URL names does not exist.",
  },
  "storage/misconfigured": {
    retry: "never",
    exit: 2,
    meaning:
      "The store cannot be used as configured: a wrong region or endpoint, settings that exclude each other, a certificate that cannot be verified.",
  },
  "storage/truncated": {
    retry: "backoff",
    exit: 1,
    meaning: "The store delivered fewer or more bytes than the object has.",
  },
  "storage/corrupt": { retry: "never", exit: 4, meaning: "An object is not what its digest says." },
  "storage/closed": {
    retry: "never",
    exit: 70,
    meaning: "The store was used after it was closed.",
  },
  "storage/misuse": {
    retry: "never",
    exit: 70,
    meaning: "A store was called with options that are out of range or exclude each other.",
  },
  "storage/source-mismatch": {
    retry: "never",
    exit: 1,
    meaning:
      "The bytes given to an upload were more or fewer than announced, mostly because a local file changed meanwhile.",
  },

  "ship/conflict": {
    retry: "never",
    exit: 1,
    meaning:
      "The destination holds a different file under a TXID that this process wanted to write: another writer uses it. Shipping stops; capture goes on.",
  },
  "ship/local-missing": {
    retry: "after-reset",
    exit: 1,
    meaning:
      "A local LTX file that still had to be uploaded is missing or damaged; a boundary snapshot replaces it.",
  },

  "lease/held": {
    retry: "backoff",
    exit: 1,
    meaning:
      "Another process holds the lease of the destination. This one waits and takes over when that one stops or falls silent.",
  },
  "lease/lost": {
    retry: "backoff",
    exit: 1,
    meaning:
      "This process does not hold the lease of the destination at this moment, so it must not write there. It is taken again as soon as nobody else has it.",
  },
  "lease/conflict": {
    retry: "backoff",
    exit: 1,
    meaning: "Somebody else changed the lease between reading and writing it.",
  },
  "lease/unavailable": {
    retry: "backoff",
    exit: 1,
    meaning: "The service that keeps the lease cannot be reached or refuses to serve.",
  },
  "lease/unsupported": {
    retry: "never",
    exit: 2,
    meaning:
      "The destination has no conditional writes, which a lease needs. Say `lease: none` and see to it that one process writes there, or use another lease provider.",
  },
  "lease/invalid": {
    retry: "backoff",
    exit: 1,
    meaning:
      "What is stored where the lease belongs cannot be read as one. It is never overwritten; somebody has to look at it.",
  },

  "restore/no-backup": {
    retry: "never",
    exit: 3,
    meaning: "The replica holds no file that a restore could start from.",
  },
  "restore/not-available": {
    retry: "never",
    exit: 3,
    meaning: "The requested TXID or time cannot be restored from the files that exist.",
  },
  "restore/gap": {
    retry: "never",
    exit: 4,
    meaning: "The replica's files do not connect: a file between two others is missing.",
  },
  "restore/unproven": {
    retry: "never",
    exit: 4,
    meaning: "The restored pages do not add up to the checksum recorded when they were captured.",
  },
  "restore/integrity": {
    retry: "never",
    exit: 4,
    meaning: "SQLite's integrity check failed on the restored database.",
  },
  "restore/output-exists": {
    retry: "never",
    exit: 5,
    meaning: "The restore's output exists already.",
  },
  "restore/unsupported": {
    retry: "never",
    exit: 2,
    meaning: "A restore option that this version does not offer.",
  },

  "daemon/closed": { retry: "never", exit: 1, meaning: "The replication was already closed." },
  "daemon/child-exited": {
    retry: "never",
    exit: 1,
    meaning: "The replicating child process ended unexpectedly.",
  },
  "daemon/exec-failed": {
    retry: "never",
    exit: 1,
    meaning: "The supervised command could not be started.",
  },
  "daemon/not-durable": {
    retry: "never",
    exit: 1,
    meaning: "The final sync did not reach every destination in time.",
  },
};
