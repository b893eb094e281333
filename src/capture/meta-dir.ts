/**
 * The local directory of one database: `.<file>-millrace` beside it, or where the configuration says.
 *
 *   lock                       held by the one process that captures this database
 *   state                      continuity: where in the WAL, which TXID, what is owed
 *   pages.sum                  checksum of every page of the database at some TXID
 *   instance                   under this name leases of destinations are held
 *   status.json                for `millrace status`: what is durable where
 *   ltx/0/<min>-<max>.ltx      captured transactions that a destination may still need
 *   ltx/9/<1>-<max>.ltx        boundary snapshots that a destination may still need
 *
 * Everything here can be lost without losing data: the next start makes a full copy.
 */
import { basename, dirname, join } from "node:path";
import type { Txid } from "../base/ids.ts";
import { ltxFileName } from "../ltx/names.ts";

export interface MetaPaths {
  readonly root: string;
  readonly lock: string;
  readonly state: string;
  readonly pageTable: string;
  readonly status: string;
  /** Holds one directory a level. */
  readonly ltx: string;
}

export function defaultMetaDir(databasePath: string): string {
  return join(dirname(databasePath), `.${basename(databasePath)}-millrace`);
}

export function metaPaths(root: string): MetaPaths {
  return {
    root,
    lock: join(root, "lock"),
    state: join(root, "state"),
    pageTable: join(root, "pages.sum"),
    status: join(root, "status.json"),
    ltx: join(root, "ltx"),
  };
}

export function ltxLevelDir(meta: MetaPaths, level: number): string {
  return join(meta.ltx, String(level));
}

export function ltxPath(
  meta: MetaPaths,
  file: { readonly level: number; readonly minTxid: Txid; readonly maxTxid: Txid },
): string {
  return join(ltxLevelDir(meta, file.level), ltxFileName(file.minTxid, file.maxTxid));
}
