/** The rolling checksum of a whole database file, to see that a peer restored the same bytes. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { openKernel } from "../../src/kernel/kernel.ts";
import { lockPgno } from "../../src/ltx/header.ts";
import { RollingChecksum } from "../../src/ltx/rolling-checksum.ts";

export function databaseChecksum(path: string, pageSize: number): bigint {
  const kernel = openKernel({ pageSize });
  const sum = new RollingChecksum();
  const fd = openSync(path, "r");
  const pages = fstatSync(fd).size / pageSize;
  for (let page = 0; page < pages; page += kernel.batchPages) {
    const count = Math.min(kernel.batchPages, pages - page);
    readSync(fd, kernel.input, 0, count * pageSize, page * pageSize);
    const pgnos = Uint32Array.from({ length: count }, (_, index) => page + index + 1);
    const checksums = kernel.pageChecksums(pgnos).slice();
    const lock = pgnos.indexOf(lockPgno(pageSize));
    if (lock >= 0) checksums[lock] = 0n;
    sum.fold(checksums);
  }
  closeSync(fd);
  return sum.value;
}
