/**
 * Replicas to restore from, made by capture itself out of real transactions: one snapshot, and after it any number of
 * level 0 files that each change about so many pages. Made once and kept in the system's temporary directory.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Capture } from "../../src/capture/capture.ts";
import { DEFAULT_CAPTURE } from "../../src/capture/contract.ts";
import { openKernel } from "../../src/kernel/kernel.ts";
import { readLtxHeader } from "../../src/ltx/decoder.ts";
import { memorySource } from "../../src/ltx/memory.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { nodeFiles, type Files } from "../../src/platform/files.ts";
import { Dice } from "../lib/dice.ts";

/** Changed whenever the replicas change. */
const VERSION = 1;
/** For making test data, speed matters more than power failures. */
const UNFLUSHED: Files = {
  ...nodeFiles,
  fsync: () => {},
  fdatasync: () => {},
  fsyncDirectory: () => {},
};

export interface Shape {
  readonly files: number;
  /** Changed by each file, about. */
  readonly pages: number;
}

export interface Replica {
  readonly root: string;
  readonly databaseBytes: number;
  readonly ltxBytes: number;
  readonly countFiles: number;
  /** Rolling checksum of the newest state, as recorded at capture. */
  readonly databaseChecksum: bigint;
}

/** A replica of that shape of the database at `sample`. */
export function sampleReplica(sample: string, megabytes: number, shape: Shape): Replica {
  const name = `millrace-bench-replica-${megabytes}mb-${shape.files}x${shape.pages}-v${VERSION}`;
  const root = join(tmpdir(), name);
  if (!existsSync(root)) {
    const work = `${root}.${process.pid}.tmp`;
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work);
    make(sample, work, shape);
    renameSync(join(work, "replica"), root);
    rmSync(work, { recursive: true });
  }
  return describe(root);
}

function make(sample: string, work: string, shape: Shape): void {
  const path = join(work, "app.db");
  copyFileSync(sample, path);
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  const people = Number(database.prepare("SELECT max(id) AS id FROM person").get()?.["id"]);
  const update = database.prepare("UPDATE person SET postcode = ? WHERE id = ?");
  const metaDir = join(work, "meta");
  const capture = new Capture(
    {
      files: UNFLUSHED,
      clock: systemClock,
      kernel: (pageSize) => openKernel({ pageSize }),
      emit: () => {},
    },
    { ...DEFAULT_CAPTURE, path, metaDir },
  );
  capture.sync();
  const dice = new Dice(4);
  for (let file = 0; file < shape.files; file += 1) {
    database.exec("BEGIN IMMEDIATE");
    // A person's row lies in one page and the postcode in no index.
    for (let page = 0; page < shape.pages; page += 1) {
      update.run(String(10_000 + dice.below(90_000)), 1 + dice.below(people));
    }
    database.exec("COMMIT");
    capture.sync();
  }
  capture[Symbol.dispose]();
  database.close();
  layOut(join(metaDir, "ltx", "0"), join(work, "replica"));
}

/** The first file holds every page: as a level 9 file it is the snapshot. */
function layOut(local: string, replica: string): void {
  const [first = "", ...others] = readdirSync(local).sort();
  for (const level of ["0", "9"]) mkdirSync(join(replica, "ltx", level), { recursive: true });
  renameSync(join(local, first), join(replica, "ltx", "9", first));
  for (const name of others) renameSync(join(local, name), join(replica, "ltx", "0", name));
}

function describe(root: string): Replica {
  const paths = ["9", "0"].flatMap((level) => {
    const directory = join(root, "ltx", level);
    return readdirSync(directory)
      .sort()
      .map((name) => join(directory, name));
  });
  const newest = paths.at(-1) ?? "";
  const header = readLtxHeader(memorySource(readFileSync(newest)));
  return {
    root,
    databaseBytes: header.commit * header.pageSize,
    ltxBytes: paths.reduce((sum, path) => sum + statSync(path).size, 0),
    countFiles: paths.length,
    databaseChecksum: header.databaseChecksum,
  };
}
