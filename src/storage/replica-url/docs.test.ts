/** docs/replica-urls.md names every scheme and every setting. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { REPLICA_SCHEMES, settingKey, STORE_SETTINGS } from "./settings.ts";

describe("docs/replica-urls.md", () => {
  const lines = readFileSync(
    new URL("../../../docs/replica-urls.md", import.meta.url),
    "utf8",
  ).split("\n");

  for (const scheme of REPLICA_SCHEMES) {
    it(`has ${scheme} with its settings`, () => {
      assert.ok(lines.some((line) => line.includes(`\`${scheme}:`)));
      const keys = Object.keys(STORE_SETTINGS[scheme]).map(settingKey);
      const row = lines.find((line) =>
        new RegExp(`^\\| (?:\\w+, )*${scheme}(?:, \\w+)* \\| \``).test(line),
      );
      const named = [...(row ?? "").matchAll(/`([a-z0-9-]+)`/g)].map(([, key]) => key);
      assert.deepEqual(named, keys);
    });
  }
});
