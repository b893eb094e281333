/**
 * Uploads to Azure: in one request, or, what is larger than a block, as blocks and a list that makes a blob of them. Blocks
 * are invisible until the list is taken, which is where conditions hold.
 *
 * At most `PARALLEL_BLOCKS` blocks are in memory, and one that is being filled. Blocks that no list names vanish after a week,
 * or with the next upload of the same blob: the service has no request that removes them without making a blob. A failure
 * before the list certainly had no effect, and says so.
 */
import type { BlobRequestConditions, BlockBlobClient } from "@azure/storage-blob";
import type { Random } from "../../../base/clock.ts";
import { isMillraceError, MillraceError } from "../../../errors.ts";
import type { BackendSource } from "../../backend.ts";
import { blocksOf } from "../../remote/blocks.ts";
import type { BlobFacts } from "./azure-objects.ts";

/** The service's limit. */
const MAX_BLOCKS = 50_000;
/** Bytes of a block, as long as `MAX_BLOCKS` of them are enough. */
export const BLOCK_BYTES: number = 4 * 1024 * 1024;
const MAX_BLOCK_BYTES = 32 * 1024 * 1024;
export const MAX_UPLOAD_BYTES: number = MAX_BLOCKS * MAX_BLOCK_BYTES;
const PARALLEL_BLOCKS = 3;
/** Bytes of a block's name, which must be as many in all uploads of a blob: those of Litestream's. */
const BLOCK_NAME_BYTES = 64;

export interface Upload {
  readonly blob: BlockBlobClient;
  readonly source: BackendSource;
  readonly conditions: BlobRequestConditions;
  readonly metadata: Record<string, string>;
  readonly random: Random;
  /** Makes one request: counts it and translates its failure. */
  readonly ask: <T>(request: () => Promise<T>) => Promise<T>;
  readonly signal: AbortSignal;
}

/** Puts a blob; what the store says of it. */
export function upload(options: Upload): Promise<BlobFacts> {
  return options.source.sizeBytes > BLOCK_BYTES ? uploadBlocks(options) : uploadWhole(options);
}

async function uploadWhole(options: Upload): Promise<BlobFacts> {
  const { blob, source, ask } = options;
  const [block = new Uint8Array(0)] = await Array.fromAsync(blocksOf(source, BLOCK_BYTES));
  const answer = await ask(() => blob.upload(block, block.length, blobOptions(options)));
  return factsOf(options, answer);
}

async function uploadBlocks(options: Upload): Promise<BlobFacts> {
  const { blob, ask } = options;
  const names = await stageBlocks(options).catch((error: unknown) => {
    throw asWithoutEffect(error);
  });
  return factsOf(options, await ask(() => blob.commitBlockList(names, blobOptions(options))));
}

/** Uploads the blocks, some at a time; their names in order. */
async function stageBlocks({ blob, source, random, ask, signal }: Upload): Promise<string[]> {
  const names: string[] = [];
  const running = new Set<Promise<void>>();
  const nameOf = blockNames(random);
  let failure: { readonly error: unknown } | undefined;
  const stage = async (name: string, block: Uint8Array): Promise<void> => {
    try {
      await ask(() => blob.stageBlock(name, block, block.length, { abortSignal: signal }));
    } catch (error) {
      failure ??= { error };
    }
  };
  try {
    for await (const block of blocksOf(source, blockBytes(source.sizeBytes))) {
      const name = nameOf(names.length);
      names.push(name);
      const staging = stage(name, block).finally(() => running.delete(staging));
      running.add(staging);
      if (running.size >= PARALLEL_BLOCKS) await Promise.race(running);
      if (failure !== undefined) break;
    }
  } finally {
    await Promise.all(running);
  }
  if (failure !== undefined) throw failure.error;
  return names;
}

/** Names that no other upload has, so that two uploads of one blob never mix. */
function blockNames(random: Random): (index: number) => string {
  const mark = Array.from({ length: 4 }, () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0"),
  ).join("");
  return (index) => {
    const name = `millrace-${mark}-${String(index).padStart(6, "0")}`;
    return Buffer.from(name.padEnd(BLOCK_NAME_BYTES, "-")).toString("base64");
  };
}

function blockBytes(sizeBytes: number): number {
  return Math.max(BLOCK_BYTES, Math.ceil(sizeBytes / MAX_BLOCKS));
}

function blobOptions({ conditions, metadata, signal }: Upload): BlobOptions {
  return {
    conditions,
    metadata,
    abortSignal: signal,
    tier: "Hot",
    blobHTTPHeaders: { blobContentType: "application/octet-stream" },
  };
}

interface BlobOptions {
  readonly conditions: BlobRequestConditions;
  readonly metadata: Record<string, string>;
  readonly abortSignal: AbortSignal;
  readonly tier: "Hot";
  readonly blobHTTPHeaders: { readonly blobContentType: string };
}

function factsOf(
  { source, metadata }: Upload,
  answer: { readonly etag?: string; readonly lastModified?: Date },
): BlobFacts {
  const { etag, lastModified } = answer;
  return { sizeBytes: source.sizeBytes, etag, lastModified, metadata };
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
