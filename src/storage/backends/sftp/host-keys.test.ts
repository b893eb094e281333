/** Host keys: what a line means, and which lines are about a host. */
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { findKnownKeys, isAmong, parseHostKey, signaturesOf } from "./host-keys.ts";

function keyText(type: string, fill: number): string {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return `${type} ${Buffer.concat([length, Buffer.from(type), Buffer.alloc(36, fill)]).toString("base64")}`;
}

const ED = keyText("ssh-ed25519", 1);
const RSA = keyText("ssh-rsa", 2);

function hashed(name: string): string {
  const salt = randomBytes(20);
  const hash = createHmac("sha1", salt).update(name).digest("base64");
  return `|1|${salt.toString("base64")}|${hash}`;
}

describe("parseHostKey()", () => {
  for (const line of [ED, `${ED} root@host`, `no-pty,command="x y" ${ED} comment`, `host ${ED}`]) {
    it(`reads ${line.replace(/AAAA\S*/, "AAAA…")}`, () =>
      assert.equal(parseHostKey(line)?.type, "ssh-ed25519"));
  }

  const broken = [
    "",
    "ssh-ed25519",
    "ssh-ed25519 AAAA",
    "ssh-unknown AAAA",
    ED.replace("ssh-ed25519", "ssh-rsa"),
  ];
  for (const line of broken) {
    it(`refuses ${JSON.stringify(line.slice(0, 30))}`, () =>
      assert.equal(parseHostKey(line), undefined));
  }
});

describe("findKnownKeys()", () => {
  const cases: readonly (readonly [string, string, number, number])[] = [
    ["plain", `host ${ED}`, 22, 1],
    ["among others", `a,host,b ${ED}\nhost ${RSA} comment\nother ${ED}`, 22, 2],
    ["upper case", `HOST ${ED}`, 22, 1],
    ["another port", `host ${ED}`, 2222, 0],
    ["its port", `[host]:2222 ${ED}`, 2222, 1],
    ["pattern", `h?s* ${ED}`, 22, 1],
    ["negated", `h*,!host ${ED}`, 22, 0],
    ["comment and empty lines", `# host ${ED}\n\n  \nhost ${ED}`, 22, 1],
    ["hashed", `${hashed("host")} ${ED}\n${hashed("other")} ${ED}`, 22, 1],
    ["hashed with port", `${hashed("[host]:2222")} ${ED}`, 2222, 1],
    ["authority", `@cert-authority host ${ED}`, 22, 0],
    ["a dot is a dot", `h.st ${ED}`, 22, 0],
  ];
  for (const [name, text, port, count] of cases) {
    it(`finds ${count} for ${name}`, () =>
      assert.equal(findKnownKeys(text, "host", port).trusted.length, count));
  }

  it("keeps revoked keys apart", () => {
    const { trusted, revoked } = findKnownKeys(`@revoked * ${ED}\nhost ${RSA}`, "host", 22);
    assert.deepEqual([trusted[0]?.type, revoked[0]?.type], ["ssh-rsa", "ssh-ed25519"]);
    assert.ok(isAmong(revoked, parseHostKey(ED)?.blob ?? Buffer.alloc(0)));
    assert.ok(!isAmong(trusted, parseHostKey(ED)?.blob ?? Buffer.alloc(0)));
  });
});

describe("signaturesOf()", () => {
  it("asks for what the known keys can do", () => {
    const { trusted } = findKnownKeys(`host ${RSA}\nhost ${ED}`, "host", 22);
    assert.deepEqual(signaturesOf(trusted), [
      "rsa-sha2-512",
      "rsa-sha2-256",
      "ssh-rsa",
      "ssh-ed25519",
    ]);
    assert.equal(signaturesOf([]), undefined);
  });
});
