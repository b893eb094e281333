import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { completeLock, platformOfName } from "./complete-lock.ts";

describe("platformOfName()", () => {
  it("reads system, processor and C library from a package name", () => {
    assert.deepEqual(platformOfName("thing-darwin-amd64"), { os: ["darwin"], cpu: ["x64"] });
    assert.deepEqual(platformOfName("@o/binding-linux-arm64-musl"), {
      os: ["linux"],
      cpu: ["arm64"],
      libc: ["musl"],
    });
    assert.deepEqual(platformOfName("@o/binding-linux-arm-gnueabihf"), {
      os: ["linux"],
      cpu: ["arm"],
      libc: ["glibc"],
    });
    assert.equal(platformOfName("left-pad"), undefined);
  });
});

describe("completeLock()", () => {
  it("adds what is missing once, at the parent's version, and keeps the rest", () => {
    const parent = {
      version: "1.2.3",
      dev: true,
      optionalDependencies: { "x-linux-x64": "1.2.3", "x-win32-x64": "1.2.3" },
    };
    const present = { version: "1.2.3", dev: true, optional: true };
    const lock = {
      packages: { "": {}, "node_modules/x": parent, "node_modules/x-linux-x64": present },
    };
    assert.deepEqual(completeLock(lock), ["x-win32-x64@1.2.3"]);
    assert.deepEqual(lock.packages, {
      "": {},
      "node_modules/x": parent,
      "node_modules/x-linux-x64": present,
      "node_modules/x-win32-x64": {
        version: "1.2.3",
        dev: true,
        optional: true,
        os: ["win32"],
        cpu: ["x64"],
      },
    });
    assert.deepEqual(completeLock(lock), []);
  });
});
