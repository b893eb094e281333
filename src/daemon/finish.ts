/**
 * The end of one database's replication: capture what was committed last, wait until it is durable, let go. Bounded in
 * time by the signal; what could not be made durable stays in the local queue for the next start.
 */
import { sleep } from "../base/async.ts";
import { Backoff } from "../base/backoff.ts";
import { formatTxid } from "../base/ids.ts";
import {
  fromErrorRecord,
  isMillraceError,
  MillraceError,
  toErrorRecord,
  toMillraceError,
} from "../errors.ts";
import { isInVain } from "./close-limit.ts";
import type { ReplicatorContext } from "./context.ts";
import type { DatabaseResult } from "./contract.ts";
import type { ReplicatedDatabase } from "./database.ts";

const RETRY_INITIAL_MS = 100;
const RETRY_MAX_MS = 1000;
const OP = "final sync";

/** Never rejects: what went wrong is in the result. */
export async function finishDatabase(
  context: ReplicatorContext,
  database: ReplicatedDatabase,
  { signal, awaitLease }: { readonly signal: AbortSignal; readonly awaitLease: boolean },
): Promise<DatabaseResult> {
  let failure: MillraceError | undefined;
  try {
    await captureAll(context, database, signal);
    refuseHopeless(database, awaitLease);
    await database.drain(signal);
  } catch (error) {
    failure = toMillraceError(error);
  }
  try {
    // Commits that came while the destinations were waited for.
    await database.release();
    if (failure === undefined) await database.drain(signal);
  } catch (error) {
    failure ??= toMillraceError(error);
  }
  return judge(database, database.stoppedBy ?? failure);
}

/**
 * Throws where waiting is for nothing: what a destination says does not pass by itself, or another process has the lease
 * and ships, or whoever comes after it does.
 */
function refuseHopeless(database: ReplicatedDatabase, awaitLease: boolean): void {
  for (const { error } of database.status().destinations) {
    const isLeft = error?.code === "lease/held" && !awaitLease;
    if (error !== undefined && (isLeft || isInVain(error))) throw fromErrorRecord(error);
  }
}

async function captureAll(
  context: ReplicatorContext,
  database: ReplicatedDatabase,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, logger } = context;
  const backoff = new Backoff({ initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS, random });
  for (;;) {
    try {
      await database.capture();
      return;
    } catch (error) {
      if (!isPassing(error) || signal.aborted) throw error;
      logger.log("warn", "shutdown sync failed, retrying", { db: database.path, error });
      await sleep(clock, backoff.next(), { signal }).catch(() => {
        throw error;
      });
    }
  }
}

/** Whether waiting some seconds may help. */
function isPassing(error: unknown): boolean {
  return isMillraceError(error, "sqlite/busy", "sqlite/failed", "fs/disk-full", "fs/failed");
}

function judge(database: ReplicatedDatabase, failure: MillraceError | undefined): DatabaseResult {
  const { path, txid } = database;
  const statuses = database.status().destinations;
  const destinations = statuses.map(({ name, durableTxid }) => ({ name, durableTxid }));
  if (failure === undefined && database.isDrained) {
    return { path, txid, durable: true, destinations };
  }
  const behind = statuses.filter(({ durableTxid }) => durableTxid < txid);
  const [first] = behind;
  const found =
    first === undefined
      ? (failure?.message ?? "capture failed")
      : `TXID ${formatTxid(txid)} is captured, "${first.name}" has ${formatTxid(first.durableTxid)}` +
        (first.error === undefined ? "" : `: ${first.error.message}`);
  const error = new MillraceError("daemon/not-durable", `${OP} of "${path}": ${found}`, {
    op: OP,
    details: { path, txid: formatTxid(txid) },
    hint:
      first?.error?.hint ??
      failure?.hint ??
      "nothing captured is lost: it is shipped when Millrace runs again",
    cause: failure,
  });
  return { path, txid, durable: false, destinations, error: toErrorRecord(error) };
}
