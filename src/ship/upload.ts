/**
 * Putting one file into the destination: created, never overwritten, and never beside another writer's.
 *
 * A conditional create decides who owns a name. Files that cover several TXIDs have names that another
 * writer's file may avoid, so these are fenced by listings as well: of two writers that both list after
 * they wrote, at least one sees the other. The one that does withdraws its file, which nobody was told
 * about yet, and stops.
 */
import { formatTxid, nextTxid, type Txid } from "../base/ids.ts";
import { isMillraceError, MillraceError, toMillraceError } from "../errors.ts";
import { ltxFileName, SNAPSHOT_LEVEL } from "../ltx/names.ts";
import type { LtxFileId, LtxStore } from "../storage/ltx-store.ts";
import type { LocalContent } from "./local-file.ts";
import type { WritePermit } from "./permit.ts";
import { sameFile } from "./reconcile.ts";
import { fetchEnds, sameEnds } from "./remote-file.ts";
import { contains, type Coverage, type LocalFile } from "./span.ts";

export interface UploadOptions {
  readonly store: LtxStore;
  /** Name of the destination, for messages. */
  readonly name: string;
  readonly file: LocalFile;
  readonly content: LocalContent;
  /** Set when the file's name alone does not keep other writers out. */
  readonly fence: Fence | undefined;
  readonly permit: WritePermit;
  readonly signal: AbortSignal | undefined;
}

export interface Fence {
  /** Level 0 files past this TXID, apart from `known` and `own`, are another writer's. */
  readonly headTxid: Txid;
  readonly known: Coverage;
  /** Files of this process whose fate is unknown. */
  readonly own: readonly LtxFileId[];
}

/** `repeated`: the same file was there already. Throws `ship/conflict` when another one is, `lease/lost` before anything. */
export async function upload(options: UploadOptions): Promise<"created" | "repeated"> {
  const { file, fence } = options;
  const isRange = file.level === 0 && file.minTxid !== file.maxTxid;
  if (fence !== undefined && isRange) await checkFence(options, fence);
  const outcome = await put(options);
  if (fence === undefined) return outcome;
  try {
    await checkFence(options, fence);
  } catch (error) {
    const isOwn = outcome === "created" && options.store.capabilities.conditionalCreate;
    const mayWithdraw = isOwn && (isRange || file.level === SNAPSHOT_LEVEL);
    if (mayWithdraw && isMillraceError(error, "ship/conflict")) await withdraw(options, error);
    throw error;
  }
  return outcome;
}

/** Takes the file back because of `conflict`. When it stays, throws the conflict with its name: somebody has to delete it. */
async function withdraw(options: UploadOptions, conflict: MillraceError): Promise<void> {
  const { store, file, signal } = options;
  try {
    await store.delete([file], { signal });
  } catch (error) {
    const key = store.keyOf(file);
    const { message, details, hint } = conflict;
    const why = toMillraceError(error).message;
    throw new MillraceError(
      "ship/conflict",
      `${message}; "${key}" could not be taken back: ${why}`,
      {
        op: "ship",
        details: { ...details, left: key },
        hint: `${hint}; delete "${key}", which is no part of the other one's line`,
        cause: error,
      },
    );
  }
}

async function put(options: UploadOptions): Promise<"created" | "repeated"> {
  const { store, file, content, permit, signal } = options;
  const ifAbsent = store.capabilities.conditionalCreate;
  try {
    // Without conditional creates, looking first at least never overwrites what is there already.
    if (!ifAbsent) await assertAbsent(options);
    const { timestampMs } = content.header;
    permit.check();
    await store.write(file, content.body, { createdAtMs: timestampMs, ifAbsent, signal });
    return "created";
  } catch (error) {
    if (!isMillraceError(error, "storage/exists")) throw error;
    const found = await fetchEnds(store, file, { sizeBytes: file.sizeBytes, signal });
    if (sameEnds(found, content.ends)) return "repeated";
    throw conflict(options, file, error);
  }
}

/** Throws `storage/exists` when the file is there. */
async function assertAbsent({ store, file, signal }: UploadOptions): Promise<void> {
  try {
    await store.head(file, { signal });
  } catch (error) {
    if (isMillraceError(error, "storage/not-found")) return;
    throw error;
  }
  throw new MillraceError("storage/exists", `write LTX file "${store.keyOf(file)}": it is there`);
}

async function checkFence(options: UploadOptions, fence: Fence): Promise<void> {
  const { store, file, signal } = options;
  for await (const found of store.list(0, { seek: nextTxid(fence.headTxid), signal })) {
    if (sameFile(found, file) || fence.own.some((own) => sameFile(found, own))) continue;
    if (fence.known.some((span) => contains(span, found))) continue;
    throw conflict(options, found, undefined);
  }
}

function conflict(options: UploadOptions, found: LtxFileId, cause: unknown): MillraceError {
  const { name, file } = options;
  const fileName = ltxFileName(found.minTxid, found.maxTxid);
  return new MillraceError(
    "ship/conflict",
    `ship to "${name}": level ${found.level} file ${fileName} there is another writer's`,
    {
      op: "ship",
      details: {
        destination: name,
        level: found.level,
        minTxid: formatTxid(found.minTxid),
        maxTxid: formatTxid(found.maxTxid),
        wanted: `${file.level}/${ltxFileName(file.minTxid, file.maxTxid)}`,
      },
      hint: "let one process write to a destination; stop the other one, then restart this one",
      cause,
    },
  );
}
