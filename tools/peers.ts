/**
 * Programs that ours has to get on with, as interoperability tests run them: the real Litestream, one exact version.
 *
 * Usage: npm run peers, or node tools/peers.ts
 * Installs what is missing, with Go, into the folder of the test servers (MILLRACE_SERVICES_DIR); about three minutes.
 * Exit status 1: it failed. A machine without Go is told so and is none.
 */
import { servicesDirectory } from "../src/testing/services.ts";
import { install } from "./services/install.ts";
import type { GoRecipe } from "./services/versions.ts";

const LITESTREAM: GoRecipe = {
  kind: "go",
  program: "litestream",
  package: "github.com/benbjohnson/litestream/cmd/litestream",
  version: "v0.5.18",
};

const { state, text } = install(servicesDirectory(), LITESTREAM);
process.stdout.write(`litestream: ${state}: ${text}\n`);
if (state === "failed") process.exitCode = 1;
