/** The SFTP backend against a real OpenSSH server. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemClock, systemRandom } from "../../../platform/clock.ts";
import { absence, present, service } from "../../../testing/services.ts";
import type { ConformanceTarget } from "../../conformance/context.ts";
import { storageConformance } from "../../conformance/suite.ts";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { SftpTarget } from "../../replica-url/target.ts";
import { openSftpStore } from "./sftp.ts";

const found = await service("sftp");
const unavailable = absence(found);

const CONTEXT: RemoteContext = { clock: systemClock, random: systemRandom, env: {} };

function targetFor(path: string, settings: SftpTarget["settings"] = {}): SftpTarget {
  const { host, port, user, privateKeyPath: keyPath, hostKey } = present(found);
  return { scheme: "sftp", host, port, path, settings: { user, keyPath, hostKey, ...settings } };
}

async function place(settings: SftpTarget["settings"] = {}): Promise<ConformanceTarget> {
  const directory = await mkdtemp(join(present(found).directory, "test-"));
  const target = targetFor(join(directory, "root"), settings);
  return {
    connect: (): Promise<ObjectStore> => openSftpStore(target, CONTEXT),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

storageConformance("sftp", () => place(), { unavailable });
