/**
 * The one look at a destination when shipping starts: a listing of every level, and a comparison of
 * the newest state that both sides know.
 */
import { NO_CHECKSUM, NO_TXID, type Checksum, type Txid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { isMillraceError, toMillraceError } from "../errors.ts";
import { decodeHeader, type LtxHeader } from "../ltx/header.ts";
import type { Files } from "../platform/files.ts";
import { MAX_LEVEL, type LtxStore } from "../storage/ltx-store.ts";
import { openLocalFile, type LocalContent } from "./local-file.ts";
import type { LocalLine } from "./local-line.ts";
import {
  chooseEvidence,
  sameFile,
  viewRemote,
  type Evidence,
  type LocalView,
  type RemoteView,
} from "./reconcile.ts";
import { fetchEnds, sameEnds, type FileEnds } from "./remote-file.ts";
import { restorableHead, type RemoteFile } from "./span.ts";

export interface SurveyOptions {
  readonly store: LtxStore;
  readonly line: LocalLine;
  readonly files: Files;
  readonly logger: Logger;
  readonly signal: AbortSignal | undefined;
}

export interface Survey {
  /**
   * The local line that was compared. What capture announces meanwhile was not: it may be under TXIDs that are
   * somebody else's in the destination.
   */
  readonly local: LocalView;
  readonly remote: RemoteView;
  /** Up to here both sides agree; 0 when nothing could be compared. */
  readonly provenTxid: Txid;
  readonly diverged: boolean;
  /** Page size at the destination's restorable head, when it is known. */
  readonly pageSize: number | undefined;
}

interface Comparison {
  readonly identity: "same" | "different" | "unknown";
  readonly header: LtxHeader | undefined;
}

/** Exactly one listing per level, and at most three small reads. */
export async function surveyRemote(options: SurveyOptions): Promise<Survey> {
  const { store, line, signal } = options;
  const levels = Array.from({ length: MAX_LEVEL + 1 }, async (_, level) => {
    const found: RemoteFile[] = [];
    for await (const file of store.list(level, { signal })) found.push(file);
    return found;
  });
  const files = (await Promise.all(levels)).flat();
  const remote = viewRemote(files);
  const local = viewLocal(line);
  const evidence = chooseEvidence(local, files);
  if (evidence === undefined) {
    return { local, remote, provenTxid: NO_TXID, diverged: false, pageSize: undefined };
  }
  const { identity, header } = await compare(options, evidence);
  const headTxid = restorableHead(remote.covered);
  const headFile = files.find((file) => file.maxTxid === headTxid);
  const headHeader =
    headFile === undefined || evidence.remote.maxTxid === headTxid
      ? header
      : decode(options, headFile, await fetchFor(options, headFile));
  return {
    local,
    remote,
    provenTxid: identity === "same" ? evidence.remote.maxTxid : NO_TXID,
    diverged: identity === "different",
    pageSize: headTxid === NO_TXID ? undefined : headHeader?.pageSize,
  };
}

/** The line as it is at this moment. */
function viewLocal({ positionTxid, anchor, files, snapshots }: LocalView): LocalView {
  return { positionTxid, anchor, files: [...files], snapshots: [...snapshots] };
}

function fetchFor(options: SurveyOptions, file: RemoteFile): Promise<FileEnds> {
  const { store, signal } = options;
  return fetchEnds(store, file, { sizeBytes: file.sizeBytes, signal });
}

async function compare(options: SurveyOptions, evidence: Evidence): Promise<Comparison> {
  const { remote } = evidence;
  const ends = await fetchFor(options, remote);
  const header = decode(options, remote, ends);
  // Not an LTX file, although its name says so: nothing can be built on it.
  if (header === undefined) return { identity: "different", header };
  const local = await localContent(options, evidence);
  if (local !== undefined && evidence.local !== undefined && sameFile(evidence.local, remote)) {
    if (sameEnds(ends, local.ends)) return { identity: "same", header };
  }
  const checksum = local?.header.databaseChecksum ?? NO_CHECKSUM;
  const known = checksum === NO_CHECKSUM ? evidence.checksum : checksum;
  const isSameName = evidence.local !== undefined && sameFile(evidence.local, remote);
  return {
    identity: compareChecksums(header.databaseChecksum, known, local !== undefined && isSameName),
    header,
  };
}

/** Files of one name and of different bytes differ unless both prove the same state. */
function compareChecksums(a: Checksum, b: Checksum, isSameName: boolean): Comparison["identity"] {
  if (a !== NO_CHECKSUM && b !== NO_CHECKSUM) return a === b ? "same" : "different";
  return isSameName ? "different" : "unknown";
}

function decode(options: SurveyOptions, file: RemoteFile, ends: FileEnds): LtxHeader | undefined {
  try {
    return decodeHeader(ends.header, options.store.keyOf(file));
  } catch (error) {
    options.logger.log("error", "destination holds a damaged file", {
      key: options.store.keyOf(file),
      error: toMillraceError(error).message,
    });
    return undefined;
  }
}

/** The local file of the evidence, if it is whole: a damaged one testifies to nothing. */
async function localContent(
  options: SurveyOptions,
  evidence: Evidence,
): Promise<LocalContent | undefined> {
  const { files, line, signal } = options;
  const { local } = evidence;
  if (local === undefined) return undefined;
  try {
    return await openLocalFile(files, line.pathOf(local), { file: local, signal });
  } catch (error) {
    if (signal?.aborted === true || !isMillraceError(error)) throw error;
    options.logger.log("warn", "local file cannot be compared with the destination", {
      path: line.pathOf(local),
      error: error.message,
    });
    return undefined;
  }
}
