import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { toTxid } from "../base/ids.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { nodeFiles } from "../platform/files.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { FaultStore } from "../testing/fault-store.ts";
import type { FaultKind, FaultPlan } from "../testing/fault-store-plan.ts";
import { ReplicaLine, samplePage } from "../testing/replica-line.ts";
import type { RestorePhase } from "./progress.ts";
import { restoreDatabase, type RestoreOptions } from "./restore.ts";
import { RETRY_ATTEMPTS } from "./retry.ts";

let root = "";
let count = 0;
before(() => {
  root = mkdtempSync(join(tmpdir(), "millrace-restore-"));
});
after(() => rmSync(root, { recursive: true }));

/** Time passes, but nobody waits for it. */
const hasty: Clock = {
  now: () => 0,
  monotonic: () => performance.now(),
  schedule(_delayMs, run) {
    const timer = setImmediate(run);
    return { [Symbol.dispose]: () => clearImmediate(timer) };
  },
};

interface Scene {
  readonly line: ReplicaLine;
  readonly faults: FaultStore;
  readonly output: string;
}

/** A replica behind a fault store, and a directory with a database of its own and what belongs to it. */
async function newScene(
  options: { readonly old?: boolean; readonly checksums?: "tag" | "none" } = {},
): Promise<Scene> {
  count += 1;
  const directory = join(root, String(count));
  mkdirSync(directory);
  const output = join(directory, "app.db");
  if (options.old === true) {
    for (const name of OLD_NAMES) writeFileSync(join(directory, name), `old ${name}`);
  }
  const faults = new FaultStore(openMemoryStore({ clock: systemClock }), { clock: hasty });
  const { checksums = "tag" } = options;
  const line = new ReplicaLine({ store: new LtxStore(faults), checksums });
  const page = (pgno: number, seed: number): [number, Uint8Array] => [
    pgno,
    samplePage(512, seed + pgno),
  ];
  await line.commit(3, new Map([page(1, 0), page(2, 0), page(3, 0)]));
  await line.snapshot();
  await line.commit(4, new Map([page(2, 10), page(4, 10)]));
  await line.commit(4, new Map([page(3, 20)]));
  return { line, faults, output };
}

const OLD_NAMES = ["app.db", "app.db-journal", "app.db-shm", "app.db-wal"];

async function failure(options: RestoreOptions): Promise<unknown> {
  try {
    await restoreDatabase({ clock: hasty, ...options });
  } catch (error) {
    return error;
  }
  throw new Error("the restore succeeded");
}

function assertUntouched(output: string, old: boolean): void {
  const directory = join(output, "..");
  assert.deepEqual(readdirSync(directory), old ? OLD_NAMES : []);
  if (old)
    for (const name of OLD_NAMES)
      assert.equal(readFileSync(join(directory, name), "utf8"), `old ${name}`);
}

test("restoreDatabase() leaves the old database and its sidecars alone whatever fails, also by force", async () => {
  for (const old of [false, true]) {
    const { line, output } = await newScene({ old });
    const run = (more: Partial<RestoreOptions>): Promise<unknown> =>
      failure({ store: line.store, output, force: true, ...more });

    assert.ok(isMillraceError(await run({ target: { txid: toTxid(9) } }), "restore/not-available"));
    // No SQLite database at all: the check runs on the temporary file [hazard 92].
    assert.ok(isMillraceError(await run({ integrityCheck: "full" }), "restore/integrity"));
    assertUntouched(output, old);
    const info = { level: 0, minTxid: toTxid(2), maxTxid: toTxid(2) };
    const damaged = line.bytesOf(0, toTxid(2), toTxid(2)).slice();
    damaged[120] = (damaged[120] ?? 0) ^ 4;
    await line.put(info, damaged);
    const error = await run({});
    assert.ok(isMillraceError(error));
    assert.match(error.message, /level 0 file 0{15}2-0{15}2\.ltx/);
    assertUntouched(output, old);
    await line.store.delete([info]);
    assert.ok(isMillraceError(await run({}), "restore/gap"));
    assertUntouched(output, old);
  }
});

test("restoreDatabase() refuses an existing output before it asks the store anything", async () => {
  const { line, faults, output } = await newScene({ old: true });
  const before = faults.counts.list;
  assert.ok(isMillraceError(await failure({ store: line.store, output }), "restore/output-exists"));
  assert.equal(faults.counts.list, before);
  assertUntouched(output, true);
});

test("restoreDatabase() creates no directory when there is nothing to restore", async () => {
  const { line, output } = await newScene();
  const inside = join(output, "..", "sub/app.db");
  const error = await failure({ store: line.store, output: inside, target: { timestampMs: 5 } });
  assert.ok(isMillraceError(error, "restore/not-available"));
  assertUntouched(output, false);
});

test("restoreDatabase() tries again when the store fails in passing, in any way", async () => {
  for (const kind of ["before", "reset", "truncate", "short", "delay"] satisfies FaultKind[]) {
    const { line, faults, output } = await newScene();
    const plan: FaultPlan = ({ operation, attempt }) => {
      if (operation === "list")
        return attempt === 0 && kind === "reset" ? { kind, after: 1 } : undefined;
      return operation === "get" && attempt < 2 ? { kind, after: 50, delayMs: 5 } : undefined;
    };
    faults.plan = plan;
    await restoreDatabase({ store: line.store, output, clock: hasty });
    assert.deepEqual(new Uint8Array(readFileSync(output)), line.image(), kind);
  }
});

test("restoreDatabase() gives up on a range after its attempts and names the file", async () => {
  const { line, faults, output } = await newScene();
  const bad = line.store.keyOf({ level: 0, minTxid: toTxid(2), maxTxid: toTxid(2) });
  let requests = 0;
  faults.plan = ({ operation, key }) => {
    if (operation !== "get" || key !== bad) return undefined;
    requests += 1;
    return { kind: "reset" };
  };
  const error = await failure({ store: line.store, output });
  assert.ok(isMillraceError(error, "storage/unavailable"));
  assert.match(
    error.message,
    new RegExp(`level 0 file 0{15}2-0{15}2\\.ltx after ${RETRY_ATTEMPTS} attempts`),
  );
  assert.equal(requests, RETRY_ATTEMPTS);
  assertUntouched(output, false);
});

test("restoreDatabase() does not insist when the store refuses for good", async () => {
  const { line, faults, output } = await newScene();
  let requests = 0;
  faults.plan = ({ operation }) => {
    if (operation !== "get") return undefined;
    requests += 1;
    return { kind: "before", code: "storage/permission" };
  };
  assert.ok(isMillraceError(await failure({ store: line.store, output }), "storage/permission"));
  assert.ok(requests <= 3, `${requests} requests`);
  assertUntouched(output, false);
});

test("restoreDatabase() plans again when a planned file was deleted and others cover it", async () => {
  const { line, faults, output } = await newScene();
  let isDeleted = false;
  faults.plan = ({ operation }) => {
    if (operation !== "get" || isDeleted) return undefined;
    isDeleted = true;
    return { kind: "before", code: "storage/not-found" };
  };
  // What retention does meanwhile: a merged file instead of its sources.
  await line.compact(1, 2, 3);
  const result = await restoreDatabase({ store: line.store, output, clock: hasty });
  assert.equal(result.txid, toTxid(3));
  assert.deepEqual(new Uint8Array(readFileSync(output)), line.image());
  assert.deepEqual(readdirSync(join(output, "..")), ["app.db"]);
});

test("restoreDatabase() reports a file that is listed but not there", async () => {
  const { line, faults, output } = await newScene();
  faults.plan = ({ operation }) =>
    operation === "get" ? { kind: "before", code: "storage/not-found" } : undefined;
  assert.ok(isMillraceError(await failure({ store: line.store, output }), "storage/not-found"));
  assertUntouched(output, false);
});

test("restoreDatabase() refuses bits that flip on the way and says so", async () => {
  const { line, faults, output } = await newScene();
  const bad = line.store.keyOf({ level: 0, minTxid: toTxid(3), maxTxid: toTxid(3) });
  faults.plan = ({ operation, key }) =>
    operation === "get" && key === bad ? { kind: "flip", after: 113 } : undefined;
  const error = await failure({ store: line.store, output });
  assert.ok(isMillraceError(error), String(error));
  assert.match(error.code, /^ltx\//);
  assert.match(error.message, /level 0 file 0{15}3-0{15}3\.ltx/);
  assertUntouched(output, false);
});

test("restoreDatabase() ends at once when aborted, in every phase, and leaves nothing", async () => {
  const reason = new Error("enough");
  const phases: RestorePhase[] = ["plan", "pages", "check", "sync"];
  for (const old of [false, true]) {
    for (const phase of phases) {
      const { line, output } = await newScene({ old });
      if (phase === "check" || phase === "sync") await makeDatabase(line);
      const stop = new AbortController();
      const error = await failure({
        store: line.store,
        output,
        force: true,
        integrityCheck: "quick",
        signal: stop.signal,
        onProgress: (progress) => {
          if (progress.phase === phase) stop.abort(reason);
        },
      });
      assert.equal(error, reason, phase);
      assertUntouched(output, old);
    }
  }
});

test("restoreDatabase() can be aborted while the store gives no answer", async () => {
  for (const operation of ["list", "get"] as const) {
    const { line, faults, output } = await newScene();
    const stop = new AbortController();
    const reason = new Error("enough");
    faults.plan = (request) => {
      if (request.operation !== operation) return undefined;
      setImmediate(() => stop.abort(reason));
      return { kind: "hang" };
    };
    assert.equal(await failure({ store: line.store, output, signal: stop.signal }), reason);
    assertUntouched(output, false);
  }
});

test("restoreDatabase() does nothing when aborted before", async () => {
  const { line, output } = await newScene();
  const reason = new Error("never mind");
  assert.equal(
    await failure({ store: line.store, output, signal: AbortSignal.abort(reason) }),
    reason,
  );
  assertUntouched(output, false);
});

test("restoreDatabase() refuses a parallelism that is none", async () => {
  const { line, output } = await newScene();
  for (const parallelism of [0, 1.5, 65, Number.NaN]) {
    assert.ok(
      isMillraceError(await failure({ store: line.store, output, parallelism }), "usage/invalid"),
    );
  }
});

test("restoreDatabase() passes on what its progress listener throws, and cleans up", async () => {
  const { line, output } = await newScene();
  const thrown = new Error("listener");
  const error = await failure({
    store: line.store,
    output,
    onProgress: ({ phase }) => {
      if (phase === "pages") throw thrown;
    },
  });
  assert.equal(error, thrown);
  assertUntouched(output, false);
});

/** Commits the pages of a real SQLite database to the line. */
async function makeDatabase(line: ReplicaLine, spoil?: (bytes: Uint8Array) => void): Promise<void> {
  const path = join(root, `source-${(count += 1)}.db`);
  const db = new DatabaseSync(path);
  db.exec(
    "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX tv ON t (v)",
  );
  const insert = db.prepare("INSERT INTO t (v) VALUES (?)");
  for (let i = 0; i < 300; i += 1) insert.run(`value ${(i * 7919) % 1000}`);
  db.close();
  const bytes = new Uint8Array(readFileSync(path));
  spoil?.(bytes);
  const pages = new Map<number, Uint8Array>();
  for (let i = 0; i < bytes.length / 512; i += 1)
    pages.set(i + 1, bytes.slice(i * 512, (i + 1) * 512));
  await line.commit(pages.size, pages);
}

test("restoreDatabase() has SQLite check the new file before it gets its name [hazard 92]", async () => {
  for (const integrityCheck of ["quick", "full"] as const) {
    const { line, output } = await newScene();
    await makeDatabase(line);
    await restoreDatabase({ store: line.store, output, integrityCheck });
    assert.deepEqual(new Uint8Array(readFileSync(output)), line.image());
    assert.deepEqual(readdirSync(join(output, "..")), ["app.db"], "the check leaves no sidecar");
    // A leaf page that lost its header: the checksums are right, the database was captured like that.
    await makeDatabase(line, (bytes) => bytes.fill(0xee, 19 * 512, 19 * 512 + 40));
    const before = readFileSync(output);
    const seen: string[] = [];
    const error = await failure({
      store: line.store,
      output,
      force: true,
      integrityCheck,
      onProgress: ({ phase }) => {
        if (seen.at(-1) !== phase) seen.push(phase);
      },
    });
    assert.ok(isMillraceError(error, "restore/integrity"), String(error));
    assert.ok(Array.isArray(error.details["problems"]));
    assert.deepEqual(seen, ["plan", "pages", "sync", "check"]);
    assert.deepEqual(readFileSync(output), before);
    assert.deepEqual(readdirSync(join(output, "..")), ["app.db"]);
  }
});

test("restoreDatabase() explains a full disk and leaves everything as it was", async () => {
  const { line, output } = await newScene({ old: true });
  const full = new MillraceError("fs/disk-full", "no space left on device");
  const error = await failure({
    store: line.store,
    output,
    force: true,
    files: {
      ...nodeFiles,
      fstat: () => {
        throw full;
      },
    },
  });
  assert.ok(isMillraceError(error, "fs/disk-full"));
  assert.match(error.message, /^restore to ".*app\.db": no space/);
  assert.match(error.hint ?? "", /left as it was/);
  assertUntouched(output, true);
  assert.ok(existsSync(output));
});

test("restoreDatabase() reads back what it wrote and refuses a file that differs", async () => {
  for (const [spoil, checksums] of [
    ["change", "tag"],
    ["change", "none"],
    ["cut", "tag"],
  ] as const) {
    const { line, output } = await newScene({ old: true, checksums });
    const directory = join(output, "..");
    const error = await failure({
      store: line.store,
      output,
      force: true,
      onProgress: ({ phase }) => {
        if (phase !== "sync") return;
        const name = readdirSync(directory).find((entry) => entry.endsWith(".tmp")) ?? "";
        const bytes = readFileSync(join(directory, name));
        bytes[700] = (bytes[700] ?? 0) ^ 1;
        writeFileSync(join(directory, name), spoil === "cut" ? bytes.subarray(0, 900) : bytes);
      },
    });
    assert.ok(isMillraceError(error, "restore/unproven"), String(error));
    assert.ok(error.message.startsWith(`restore to "${output}": `), error.message);
    // The replica is sound: it is not the one to blame.
    if (spoil === "change") assert.match(error.hint ?? "", /does not keep what is written/);
    assertUntouched(output, true);
  }
});

test("restoreDatabase() can be aborted while it reads back", async () => {
  const { line, output } = await newScene();
  const stop = new AbortController();
  const reason = new Error("enough");
  const error = await failure({
    store: line.store,
    output,
    parallelism: 1,
    signal: stop.signal,
    onProgress: ({ phase }) => {
      if (phase === "sync") stop.abort(reason);
    },
  });
  assert.equal(error, reason);
  assertUntouched(output, false);
});
