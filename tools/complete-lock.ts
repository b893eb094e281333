/**
 * Completes package-lock.json with the optional platform packages that the registry in use does not
 * serve, because `npm ci` refuses a lockfile in which any optional dependency is missing.
 *
 * Some registry mirrors carry only the packages of their own platform; a lockfile written there lacks
 * the others. An added entry has the exact version its parent asks for and the platform its name
 * tells, so npm never fetches it elsewhere. It has no integrity hash: `npm install` against the full
 * registry fills that in.
 *
 * Usage: node tools/complete-lock.ts [--check] [LOCKFILE]
 */
import { readFileSync, writeFileSync } from "node:fs";

interface LockPackage {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

interface Lockfile {
  packages: Record<string, LockPackage>;
}

const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "openharmony", "sunos", "win32"];
const PROCESSORS: Readonly<Record<string, string>> = {
  amd64: "x64",
  x64: "x64",
  arm64: "arm64",
  arm: "arm",
  ia32: "ia32",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
};

/** The platform a package name tells, e.g. `@oxfmt/binding-linux-arm64-musl`; undefined when it tells none. */
export function platformOfName(
  name: string,
): { os: string[]; cpu: string[]; libc?: string[] } | undefined {
  const words = name.split(/[/-]/);
  const os = words.find((word) => SYSTEMS.includes(word));
  const word = words.find((candidate) => candidate in PROCESSORS);
  const cpu = word === undefined ? undefined : PROCESSORS[word];
  if (os === undefined || cpu === undefined) return undefined;
  if (os !== "linux") return { os: [os], cpu: [cpu] };
  if (words.some((part) => part.startsWith("musl")))
    return { os: [os], cpu: [cpu], libc: ["musl"] };
  if (words.some((part) => part.startsWith("gnu")))
    return { os: [os], cpu: [cpu], libc: ["glibc"] };
  return { os: [os], cpu: [cpu] };
}

/** Adds every missing optional platform package to `lock`, in npm's order; returns the names added. */
export function completeLock(lock: Lockfile): string[] {
  const added: string[] = [];
  for (const [path, parent] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      if (path === "" || hasEntry(lock, path, name)) continue;
      const platform = platformOfName(name);
      if (platform === undefined) throw new Error(`${name}: its name tells no platform`);
      const dev = parent.dev === true ? { dev: true } : {};
      lock.packages[`node_modules/${name}`] = { version, ...dev, optional: true, ...platform };
      added.push(`${name}@${version}`);
    }
  }
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en"));
  lock.packages = Object.fromEntries(sorted);
  return added;
}

function hasEntry(lock: Lockfile, parent: string, name: string): boolean {
  return (
    `${parent}/node_modules/${name}` in lock.packages || `node_modules/${name}` in lock.packages
  );
}

function main(args: readonly string[]): void {
  const check = args.includes("--check");
  const path = args.find((arg) => !arg.startsWith("--")) ?? "package-lock.json";
  const text = readFileSync(path, "utf8");
  const lock = JSON.parse(text) as Lockfile;
  const added = completeLock(lock);
  if (added.length === 0) return;
  if (check) {
    console.error(`${path} lacks ${added.length} optional packages: run "npm run lock"`);
    process.exitCode = 1;
    return;
  }
  writeFileSync(path, JSON.stringify(lock, null, 2) + "\n");
  console.log(`${path}: added ${added.join(", ")}`);
}

if (import.meta.main) main(process.argv.slice(2));
