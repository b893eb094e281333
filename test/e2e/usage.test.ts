/** The command asked little, or wrongly, as a process. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { assertFailure, millrace, Place } from "./harness.ts";

const { version } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { readonly version: string };

describe("millrace", () => {
  it("prints its version", async () => {
    assert.deepEqual((await millrace(["version"])).stdout, `${version}\n`);
    assert.deepEqual((await millrace(["--version"])).stdout, `${version}\n`);
    assert.match(
      (await millrace(["version", "-verbose"])).stdout,
      /^node 24\..*\nsqlite 3\.(.*\n)+/m,
    );
    const facts = JSON.parse((await millrace(["version", "-json"])).stdout) as Record<
      string,
      string
    >;
    assert.equal(facts["version"], version);
  });

  it("loads nothing of storage, restore or capture to print it", async () => {
    const { stderr, status } = await millrace(["version"], {
      env: { NODE_OPTIONS: "--disable-warning=ExperimentalWarning", NODE_DEBUG: "esm" },
    });
    assert.equal(status, 0);
    assert.doesNotMatch(stderr, /src\/(storage|restore|capture|ship|ltx|kernel)\//);
  });

  it("ends with status 2 for an unknown flag and names the one that was meant", async () => {
    const outcome = await millrace(["restore", "-forse", "-o", "x.db", "file:///b"]);
    assertFailure(outcome, 2, "usage/invalid", /did you mean "-force"\?/);
    assert.equal(outcome.stdout, "");
  });

  it("ends with status 2 for a missing URL and for one of an unknown scheme", async () => {
    using place = new Place();
    const path = place.database();
    assertFailure(
      await millrace(["replicate", path]),
      2,
      "usage/invalid",
      /the replica URL of ".*app\.db" is missing/,
    );
    assertFailure(
      await millrace(["replicate", path, "ftp://host/b"]),
      2,
      "url/invalid",
      /unknown scheme "ftp"/,
    );
  });
});
