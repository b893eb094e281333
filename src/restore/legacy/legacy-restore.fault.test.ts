/** Backups in the format of Litestream 0.3 out of stores that fail, lie, rot or have lost something. */
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
import { after, before, describe, it } from "node:test";
import type { Clock } from "../../base/clock.ts";
import { isMillraceError, type MillraceError } from "../../errors.ts";
import { systemClock } from "../../platform/clock.ts";
import { nodeFiles, type Files } from "../../platform/files.ts";
import { MemoryObjects, openMemoryStore } from "../../storage/backends/memory/memory.ts";
import { LtxStore } from "../../storage/ltx-store.ts";
import { FaultStore } from "../../testing/fault-store.ts";
import type { FaultKind, FaultPlan } from "../../testing/fault-store-plan.ts";
import { forgeLz4 } from "../../testing/forge-lz4.ts";
import { LegacyLine, type LegacyMade } from "../../testing/legacy-line.ts";
import { restoreDatabase, type RestoreOptions } from "../restore.ts";
import { RETRY_ATTEMPTS } from "../retry.ts";

let dir = "";
let count = 0;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "millrace-legacy-"));
});
after(() => rmSync(dir, { recursive: true }));

/** Time passes, but nobody waits for it. */
const hasty: Clock = {
  now: () => 0,
  monotonic: () => performance.now(),
  schedule(_delayMs, run) {
    const timer = setImmediate(run);
    return { [Symbol.dispose]: () => clearImmediate(timer) };
  },
};

interface Scene extends Disposable {
  readonly line: LegacyLine;
  readonly faults: FaultStore;
  /** The same objects, without faults. */
  readonly put: (made: LegacyMade, bytes: Uint8Array) => Promise<unknown>;
  readonly remove: (made: LegacyMade) => Promise<void>;
  /** The newest state. */
  readonly image: Uint8Array;
}

const FILL = "INSERT INTO t (x) VALUES (randomblob(700))";

/** Snapshot, three segments of one log, two of the next. `bulk` bytes make segments too large to be read ahead. */
async function newScene(bulk = 0): Promise<Scene> {
  const line = new LegacyLine();
  line.exec(`CREATE TABLE t (n INTEGER PRIMARY KEY, x); ${FILL}`);
  line.nextIndex();
  line.snapshot();
  const more = bulk === 0 ? "" : `; INSERT INTO t (x) VALUES (randomblob(${bulk}))`;
  for (const sql of [FILL + more, FILL, FILL, "-", FILL, `${FILL}; ${FILL}`]) {
    if (sql === "-") line.nextIndex();
    else {
      line.exec(sql);
      line.segment();
    }
  }
  const objects = new MemoryObjects();
  const open = (): ReturnType<typeof openMemoryStore> =>
    openMemoryStore({ clock: systemClock, objects });
  const plain = open();
  await line.put(plain);
  return {
    line,
    faults: new FaultStore(open(), { clock: hasty }),
    put: ({ key, createdAtMs }, bytes) => plain.put(key, bytes, { createdAtMs }),
    remove: ({ key }) => plain.delete([key]),
    image: line.image(),
    [Symbol.dispose]: () => line[Symbol.dispose](),
  };
}

/** What a restore makes, or why it does not; then nothing of it is left. */
async function attempt(
  scene: Scene,
  options: Partial<RestoreOptions> = {},
): Promise<Uint8Array | MillraceError> {
  count += 1;
  const place = join(dir, String(count));
  const output = join(place, "app.db");
  const store = new LtxStore(scene.faults);
  try {
    await restoreDatabase({
      store,
      output,
      clock: hasty,
      parallelism: 1,
      integrityCheck: "none",
      ...options,
    });
  } catch (error) {
    assert.ok(!existsSync(place) || readdirSync(place).length === 0, "nothing is left");
    assert.ok(isMillraceError(error), String(error));
    return error;
  }
  assert.deepEqual(readdirSync(place), ["app.db"]);
  return new Uint8Array(readFileSync(output));
}

async function refused(
  scene: Scene,
  options: Partial<RestoreOptions> = {},
): Promise<MillraceError> {
  const outcome = await attempt(scene, options);
  assert.ok(isMillraceError(outcome), "the restore succeeded");
  return outcome;
}

/** Whether nothing of its log follows a segment. */
function isTail({ line }: Scene, { key }: LegacyMade): boolean {
  if (!key.includes("/wal/")) return false;
  const log = key.slice(0, key.lastIndexOf("_"));
  return line.objects.findLast((made) => made.key.startsWith(log))?.key === key;
}

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const damaged = Uint8Array.from(bytes);
  damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
  return damaged;
}

describe("a store that fails in passing", () => {
  it("is asked again, and goes on where it broke, whatever the size of the objects", async () => {
    for (const bulk of [0, 1_000_000]) {
      using scene = await newScene(bulk);
      const kinds: FaultKind[] = ["before", "reset", "truncate", "short", "delay"];
      for (const kind of kinds) {
        for (const afterBytes of bulk === 0 ? [0, 40] : [0, 300_000]) {
          const plan: FaultPlan = ({ operation, attempt: nth }) =>
            operation === "list" && kind !== "before" && kind !== "reset"
              ? undefined
              : nth === 0
                ? { kind, after: operation === "list" ? 1 : afterBytes, delayMs: 5 }
                : undefined;
          scene.faults.plan = plan;
          const before = scene.faults.countFaults;
          assert.deepEqual(await attempt(scene), scene.image, `${kind} after ${afterBytes}`);
          // Attempts count per key, so only the first restore of a scene meets them.
          if (kind === "before" && afterBytes === 0)
            assert.ok(scene.faults.countFaults > before, "there were faults");
        }
      }
    }
  });

  it("breaks a large object again and again, and every byte is read once", async () => {
    using scene = await newScene(1_000_000);
    scene.faults.plan = ({ operation, key }) =>
      operation === "get" && key.includes("/wal/00000001_00000000")
        ? { kind: "reset", after: 150_000 }
        : undefined;
    assert.deepEqual(await attempt(scene), scene.image);
    assert.ok(scene.faults.counts.get > 6 + 5, `${scene.faults.counts.get} gets`);
  });

  it("is given up when nothing comes any more", async () => {
    using scene = await newScene();
    for (const kind of ["before", "short"] satisfies FaultKind[]) {
      const before = scene.faults.counts.get;
      scene.faults.plan = ({ operation, key }) =>
        operation === "get" && key.includes("snapshot") ? { kind, after: 0 } : undefined;
      const error = await refused(scene);
      assert.equal(error.code, kind === "short" ? "storage/truncated" : "storage/unavailable");
      assert.equal(scene.faults.counts.get - before, RETRY_ATTEMPTS);
    }
  });

  it("ends with the reason of an abort, whatever it was doing", async () => {
    using scene = await newScene(600_000);
    for (const part of ["snapshot", "00000001_00000000", "00000002_00000000"]) {
      const abort = new AbortController();
      scene.faults.plan = ({ operation, key }) => {
        if (operation !== "get" || !key.includes(part)) return undefined;
        setImmediate(() => abort.abort(new Error("enough")));
        return { kind: "hang" };
      };
      const output = join(dir, `aborted-${part}`, "app.db");
      const store = new LtxStore(scene.faults);
      const run = restoreDatabase({ store, output, clock: hasty, signal: abort.signal });
      await assert.rejects(run, /^Error: enough$/);
      assert.deepEqual(existsSync(join(output, "..")) ? readdirSync(join(output, "..")) : [], []);
    }
  });
});

describe("a backup that has lost something", () => {
  it("is refused for every missing segment that others of its log follow, and for every beginning", async () => {
    using scene = await newScene();
    const segments = scene.line.objects.filter(({ key }) => key.includes("/wal/"));
    for (const made of segments) {
      if (isTail(scene, made)) continue;
      await scene.remove(made);
      const error = await refused(scene);
      assert.equal(error.code, "restore/gap", made.key);
      assert.match(error.message, /missing/);
      const timestamp = /-timestamp (\S+)$/.exec(error.hint ?? "")?.[1];
      assert.ok(timestamp !== undefined, error.hint);
      // What the hint offers can be restored.
      const bytes = await attempt(scene, { target: { timestampMs: Date.parse(timestamp) } });
      assert.ok(bytes instanceof Uint8Array, made.key);
      await scene.put(made, forgeLz4(made.content));
    }
    assert.deepEqual(await attempt(scene), scene.image);
  });

  it("shows a missing end of a log only where the database grows over it, or where SQLite finds it", async () => {
    using scene = await newScene();
    const [tail, last] = scene.line.objects.filter((made) => isTail(scene, made));
    assert.ok(tail !== undefined && last !== undefined);
    await scene.remove(tail);
    assert.equal((await refused(scene)).code, "restore/unproven");
    await scene.put(tail, forgeLz4(tail.content));
    // Of the last log nobody can know how long it was.
    await scene.remove(last);
    assert.ok((await attempt(scene, { integrityCheck: "full" })) instanceof Uint8Array);
  });

  it("is refused when its segments overlap or leave a hole", async () => {
    using scene = await newScene();
    const [, first, second] = scene.line.objects;
    assert.ok(first !== undefined && second !== undefined);
    await scene.put(first, forgeLz4(first.content.slice(0, -536)));
    assert.match((await refused(scene)).message, /bytes \d+ to \d+ of WAL 00000001 are missing/);
    const twice = Buffer.concat([first.content, second.content.slice(0, 536)]);
    await scene.put(first, forgeLz4(twice));
    assert.match(
      (await refused(scene)).message,
      /bytes \d+ to \d+ of WAL 00000001 are there twice/,
    );
  });

  it("is refused when its segments are at absurd offsets", async () => {
    using scene = await newScene();
    const [, first] = scene.line.objects;
    assert.ok(first !== undefined);
    for (const offset of ["ffffffffffffffff", "0020000000000000", "00000001"]) {
      const made = { ...first, key: first.key.replace("_00000000.", `_${offset}.`) };
      await scene.put(made, forgeLz4(first.content));
      assert.equal((await refused(scene)).code, "restore/gap", offset);
      await scene.remove(made);
    }
  });

  it("is planned again when an object goes away or is replaced meanwhile", async () => {
    using scene = await newScene();
    const [snapshot] = scene.line.objects;
    assert.ok(snapshot !== undefined);
    let isFirst = true;
    scene.faults.plan = ({ operation, key }) => {
      const fault = { kind: "before", code: "storage/not-found" } as const;
      if (operation !== "get" || !key.includes("snapshot") || !isFirst) return undefined;
      isFirst = false;
      return fault;
    };
    assert.deepEqual(await attempt(scene), scene.image);
    // Listed with one size, read with another: Litestream wrote the snapshot again under its name.
    let lists = 0;
    scene.faults.plan = ({ operation, key }) => {
      if (operation === "list") lists += 1;
      if (operation === "get" && key.includes("snapshot") && lists <= 12)
        void scene.put(snapshot, forgeLz4(snapshot.content, { blockBytes: 100 + lists }));
      return undefined;
    };
    const outcome = await attempt(scene);
    assert.deepEqual(outcome, scene.image);
  });
});

describe("a backup that rots", () => {
  it("is refused for any cut of any object", async () => {
    using scene = await newScene();
    for (const made of scene.line.objects) {
      const frame = forgeLz4(made.content);
      for (const size of [0, 3, 7, 30, frame.length - 5, frame.length - 1]) {
        await scene.put(made, frame.subarray(0, size));
        assert.equal((await refused(scene)).code, "lz4/damaged", `${made.key} cut to ${size}`);
      }
      await scene.put(made, frame);
    }
  });

  it("is refused for flipped bits of any object, which it names, unless the content is the same", async () => {
    using scene = await newScene();
    for (const [nth, made] of scene.line.objects.entries()) {
      const frame = forgeLz4(made.content);
      for (let at = nth; at < frame.length; at += 97) {
        await scene.put(made, flipped(frame, at, (at + nth) % 8));
        const outcome = await attempt(scene);
        if (!isMillraceError(outcome)) assert.deepEqual(outcome, scene.image);
        else assert.match(outcome.message, /generation 0123456789abcdef, (snapshot|WAL) 0000000\d/);
      }
      await scene.put(made, frame);
    }
  });

  it("is refused for flipped bits of a log under sound LZ4 frames", async () => {
    using scene = await newScene();
    for (const made of scene.line.objects.slice(1)) {
      for (let at = 5; at < made.content.length; at += 211) {
        await scene.put(made, forgeLz4(flipped(made.content, at, at % 8)));
        const error = await refused(scene);
        assert.equal(error.code, "wal/damaged", `${made.key} flipped at ${at}`);
      }
      await scene.put(made, forgeLz4(made.content));
    }
  });

  it("is refused when log and snapshot do not belong together", async () => {
    using scene = await newScene();
    const [snapshot, first] = scene.line.objects;
    assert.ok(snapshot !== undefined && first !== undefined);
    await scene.put(snapshot, forgeLz4(snapshot.content.slice(0, 512)));
    assert.equal((await refused(scene)).code, "restore/unproven");
    using other = new LegacyLine({ pageSize: 1024 });
    other.exec("CREATE TABLE t (x)");
    other.nextIndex();
    await scene.put(snapshot, forgeLz4(other.snapshot().content));
    assert.match((await refused(scene)).message, /pages of 512 bytes, the snapshot has 1024/);
  });
});

describe("a disk that fails", () => {
  it("leaves an old database alone, and keeps what it promises or is found out", async () => {
    using scene = await newScene();
    const place = join(dir, "old");
    mkdirSync(place);
    const output = join(place, "app.db");
    writeFileSync(output, "old");
    const failing = (op: string): Files => ({
      ...nodeFiles,
      write: (what, fd, bytes, offset) => {
        // Written elsewhere than asked for: nothing but reading back can tell.
        if (what === op) nodeFiles.write(what, fd, flipped(bytes, 20, 3), offset);
        else nodeFiles.write(what, fd, bytes, offset);
      },
    });
    for (const [op, code] of [
      ["restore output write", "restore/unproven"],
      ["restore apply", "wal/damaged"],
    ] as const) {
      const store = new LtxStore(scene.faults);
      const run = restoreDatabase({ store, output, force: true, files: failing(op) });
      await assert.rejects(run, { code });
      assert.deepEqual(readdirSync(place), ["app.db"]);
      assert.equal(readFileSync(output, "utf8"), "old");
    }
  });
});
