/**
 * Brings the servers' programs to the machine through the ordinary clients of npm, Debian and Go.
 *
 * What is built goes to `bin` by a rename, so that a program there is always whole, and remembers its version
 * beside it. Go's and npm's own settings stay as they are: our choices travel in the environment of one command.
 * A program that cannot be had here is reported with the reason; that is no failure unless it was asked for by name.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isProgram, runProgram } from "./run-program.ts";
import type { DebianRecipe, GoModuleRecipe, GoRecipe, NpmRecipe, Recipe } from "./versions.ts";

/** `present`: nothing to do. `unavailable`: this machine lacks what it takes. `failed`: it was tried. */
export interface Installed {
  readonly state: "present" | "installed" | "unavailable" | "failed";
  /** What was done, or why not. */
  readonly text: string;
}

const BUILD_TIMEOUT_MS = 20 * 60_000;
const POLICY = "/usr/sbin/policy-rc.d";

const GO_ENV = {
  CGO_ENABLED: "0",
  GOFLAGS: "-trimpath -buildvcs=false",
  GOOS: "",
  GOARCH: "",
  GOWORK: "off",
} as const;

/** Absolute path of the program (for npm: of the script) that a recipe makes. */
export function programPath(root: string, recipe: Recipe): string {
  if (recipe.kind === "debian") return recipe.program;
  if (recipe.kind === "npm") return join(root, "npm", "node_modules", recipe.package, recipe.main);
  return join(root, "bin", recipe.program);
}

/** Whether the recipe's program is there in the recipe's version. */
export function isInstalled(root: string, recipe: Recipe): boolean {
  if (!existsSync(programPath(root, recipe))) return false;
  if (recipe.kind === "debian") return true;
  const stamp = stampPath(root, recipe);
  return existsSync(stamp) && readFileSync(stamp, "utf8").trim() === versionOf(recipe);
}

/** Installs what a recipe describes, unless it is there. Never throws for what the machine lacks. */
export function install(root: string, recipe: Recipe): Installed {
  if (isInstalled(root, recipe)) return { state: "present", text: describe(recipe) };
  const reason = missingTool(recipe);
  if (reason !== undefined) return { state: "unavailable", text: reason };
  try {
    bring(root, recipe);
  } catch (error) {
    return { state: "failed", text: error instanceof Error ? error.message : String(error) };
  }
  return { state: "installed", text: describe(recipe) };
}

/** What this machine lacks for the installation, as a reason; undefined when it can be tried. */
export function missingTool(recipe: Recipe): string | undefined {
  if (process.platform !== "linux") return "needs Linux";
  if (recipe.kind === "npm")
    return isProgram("npm") ? undefined : "needs npm, which is not installed";
  if (recipe.kind !== "debian")
    return isProgram("go") ? undefined : "needs Go, which is not installed";
  const wanted = recipe.packages.join(" ");
  if (!isProgram("apt-get")) return `needs the Debian packages ${wanted}, and there is no apt-get`;
  if (process.getuid?.() !== 0) return `needs root to install, or: apt-get install ${wanted}`;
  return undefined;
}

function bring(root: string, recipe: Recipe): void {
  if (recipe.kind === "debian") return installPackages(recipe);
  if (recipe.kind === "npm") installNpm(root, recipe);
  else build(root, recipe);
  const stamp = stampPath(root, recipe);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, `${versionOf(recipe)}\n`);
}

function build(root: string, recipe: GoRecipe | GoModuleRecipe): void {
  const directory = join(root, "build", recipe.program);
  mkdirSync(directory, { recursive: true });
  mkdirSync(join(root, "bin"), { recursive: true });
  const built = recipe.kind === "go" ? goInstall(directory, recipe) : goTool(directory, recipe);
  rmSync(stampPath(root, recipe), { force: true });
  renameSync(built, programPath(root, recipe));
}

function goInstall(directory: string, recipe: GoRecipe): string {
  const env = { ...GO_ENV, GOBIN: directory };
  const what = `${recipe.package}@${recipe.version}`;
  runProgram("go", ["install", what], { env, timeoutMs: BUILD_TIMEOUT_MS });
  // The program is named by the last part of the package's path that is not a version.
  const parts = recipe.package.split("/").filter((part) => !/^v\d+$/.test(part));
  return join(directory, parts.at(-1) ?? recipe.program);
}

function goTool(directory: string, recipe: GoModuleRecipe): string {
  const options = { env: GO_ENV, cwd: directory, timeoutMs: BUILD_TIMEOUT_MS };
  if (!existsSync(join(directory, "go.mod")))
    runProgram("go", ["mod", "init", `millrace.test/${recipe.program}`], options);
  runProgram("go", ["get", "-tool", `${recipe.package}@${recipe.version}`], options);
  runProgram("go", ["build", "-o", "built", recipe.package], options);
  return join(directory, "built");
}

function installNpm(root: string, recipe: NpmRecipe): void {
  const directory = join(root, "npm");
  mkdirSync(directory, { recursive: true });
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--prefix"];
  runProgram("npm", ["install", ...flags, directory, `${recipe.package}@${recipe.version}`], {
    timeoutMs: BUILD_TIMEOUT_MS,
  });
}

/** Debian starts a server when its package is installed; for the moment of the installation it may not. */
function installPackages(recipe: DebianRecipe): void {
  const options = {
    env: { DEBIAN_FRONTEND: "noninteractive" },
    timeoutMs: BUILD_TIMEOUT_MS,
  };
  const isOurs = !existsSync(POLICY);
  if (isOurs) writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    runProgram("apt-get", ["update", "-qq"], options);
    const flags = ["install", "-y", "-qq", "--no-install-recommends"];
    runProgram("apt-get", [...flags, ...recipe.packages], options);
  } finally {
    if (isOurs) rmSync(POLICY, { force: true });
  }
}

function stampPath(root: string, recipe: Exclude<Recipe, DebianRecipe>): string {
  const name = recipe.kind === "npm" ? recipe.package : recipe.program;
  return join(root, "build", `${name}.version`);
}

function versionOf(recipe: Exclude<Recipe, DebianRecipe>): string {
  return `${recipe.package}@${recipe.version}`;
}

function describe(recipe: Recipe): string {
  return recipe.kind === "debian" ? recipe.program : versionOf(recipe);
}
