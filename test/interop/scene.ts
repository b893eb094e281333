/** What interoperability tests share: a directory, Litestream's reader and writer, and our way to and from a replica. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Txid } from "../../src/base/ids.ts";
import { SILENT } from "../../src/base/logger.ts";
import { systemClock, systemRandom } from "../../src/platform/clock.ts";
import { nodeFiles } from "../../src/platform/files.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import { restoreDatabase, type RestoreResult } from "../../src/restore/restore.ts";
import { LocalLine, type LocalLineOptions } from "../../src/ship/local-line.ts";
import { Shipper } from "../../src/ship/shipper.ts";
import { openReplica } from "../../src/storage/registry.ts";
import { findLitestreamVfs, LitestreamVfs } from "../../src/testing/litestream-vfs.ts";

/** One for all tests of a file, because loading the extension takes longer than most tests. */
let shared: LitestreamVfs | undefined;
after(() => shared?.[Symbol.dispose]());

/** A test that needs Litestream's extension: skipped where there is none, except where everything has to be proven. */
export function interopTest(name: string, run: (scene: Scene) => Promise<void>): void {
  const place = findLitestreamVfs();
  const isExcused = "missing" in place && process.env["CI"] !== "true";
  test(name, { skip: isExcused ? place.missing : false }, async () => {
    using scene = new Scene();
    await run(scene);
  });
}

export class Scene implements Disposable {
  readonly vfs: LitestreamVfs = (shared ??= new LitestreamVfs());
  readonly dir: string = mkdtempSync(join(tmpdir(), "millrace-interop-"));
  readonly replica: string = join(this.dir, "replica");
  #count = 0;

  /** A path that nothing has yet. */
  newPath(): string {
    this.#count += 1;
    return join(this.dir, `file-${this.#count}.db`);
  }

  levelDir(level: number): string {
    return join(this.replica, "ltx", String(level));
  }

  /** Names of the replica's files of a level. */
  names(level: number): string[] {
    return readdirSync(this.levelDir(level)).sort();
  }

  /** Ships a local directory to the replica until there is nothing left to do. */
  async ship(metaDir: string, options: Partial<LocalLineOptions> = {}): Promise<void> {
    await ship(metaDir, this.replica, options);
  }

  /** Restores the replica with ours. */
  async restore(target: RestoreTarget = "latest"): Promise<RestoreResult & { path: string }> {
    const path = this.newPath();
    return { path, ...(await restore(this.replica, path, target)) };
  }

  /** Litestream's hydration and our restore both give exactly `expected`, and the same TXID. */
  async assertBothGive(expected: Uint8Array, txid: Txid): Promise<void> {
    const hydrated = this.newPath();
    assert.equal(await this.vfs.hydrate(this.replica, hydrated), txid, "TXID of Litestream");
    assertSameBytes(readFileSync(hydrated), expected, "what Litestream hydrates");
    const restored = await this.restore();
    assert.equal(restored.txid, txid, "TXID of the restore");
    assertSameBytes(readFileSync(restored.path), expected, "what is restored");
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

export function assertSameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.equal(actual.length, expected.length, `size of ${what}`);
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, offset) => byte !== expected[offset]);
  assert.fail(`${what} differs from byte ${at} on`);
}

/** Ships `<metaDir>/ltx` to the file replica at `replica` until there is nothing left to do. */
export async function ship(
  metaDir: string,
  replica: string,
  options: Partial<LocalLineOptions> = {},
): Promise<void> {
  await using line = new LocalLine({
    files: nodeFiles,
    directory: join(metaDir, "ltx"),
    logger: SILENT,
    clock: systemClock,
    ...options,
  });
  await using store = await openReplica({ url: `file://${replica}` }, { access: "write" });
  using shipper = new Shipper({
    line,
    store,
    name: "replica",
    files: nodeFiles,
    clock: systemClock,
    random: systemRandom,
    logger: SILENT,
  });
  for (;;) {
    const { kind } = await shipper.step();
    if (kind === "idle") return;
    assert.equal(
      kind,
      "worked",
      `shipping: ${JSON.stringify(shipper.position().need ?? "failed")}`,
    );
  }
}

/** Restores the file replica at `replica` into `output`. */
export async function restore(
  replica: string,
  output: string,
  target: RestoreTarget = "latest",
): Promise<RestoreResult> {
  await using store = await openReplica({ url: `file://${replica}` });
  return await restoreDatabase({ store, output, target, parallelism: 1 });
}
