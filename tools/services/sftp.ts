/**
 * SFTP: an sshd of our own with keys made for this start, for the current user.
 *
 * Started by root it also has a user who logs in by password: a system user made for this start, without a shell,
 * removed when the server stops. PAM is off, so nothing of the machine's login rules is touched.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { SftpPasswordLogin, SftpService } from "../../src/testing/services.ts";
import { canMakeAccounts, giveTo, makeAccount } from "./account.ts";
import { secret } from "./http.ts";
import { runProgram } from "./run-program.ts";
import { HOST, type Place, type Server } from "./server.ts";
import { OPENSSH } from "./versions.ts";

/** sshd under root wants this folder, and gives up some rights in it. */
const PRIVILEGE_SEPARATION = "/run/sshd";

export const sshd: Server<"sftp"> = {
  name: "sftp",
  recipe: OPENSSH,
  async prepare(place) {
    const { directory } = place;
    const port = await place.freePort();
    const data = join(directory, "data");
    mkdirSync(data);
    const hostKey = makeKey(join(directory, "host-key"));
    writeFileSync(
      join(directory, "authorized_keys"),
      `${makeKey(join(directory, "client-key"))}\n`,
      {
        mode: 0o600,
      },
    );
    const { username: user, uid } = userInfo();
    if (uid === 0) mkdirSync(PRIVILEGE_SEPARATION, { recursive: true, mode: 0o755 });
    const passwordLogin = canMakeAccounts() ? makePasswordLogin(place, port) : undefined;
    const config = join(directory, "sshd_config");
    writeFileSync(config, sshdConfig(directory, port, [user, passwordLogin?.user ?? []].flat()));
    const service: SftpService = {
      host: HOST,
      port,
      user,
      privateKeyPath: join(directory, "client-key"),
      hostKey: hostKey.split(" ").slice(0, 2).join(" "),
      directory: data,
      ...(passwordLogin === undefined ? {} : { passwordLogin }),
    };
    return { args: ["-D", "-e", "-f", config], port, service, ready: async () => logIn(service) };
  },
};

/** Makes a key pair; returns the public half. */
function makeKey(path: string): string {
  runProgram("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "millrace-test", "-f", path]);
  return readFileSync(`${path}.pub`, "utf8").trim();
}

function makePasswordLogin(place: Place, port: number): SftpPasswordLogin {
  const password = secret();
  const home = place.sharedDirectory();
  const account = makeAccount(place.directory, port, home);
  runProgram("/usr/sbin/chpasswd", [], { input: `${account.user}:${password}\n` });
  const directory = join(home, "data");
  mkdirSync(directory);
  giveTo(account, [directory]);
  return { user: account.user, password, directory };
}

function sshdConfig(directory: string, port: number, users: readonly string[]): string {
  return [
    `ListenAddress ${HOST}`,
    `Port ${port}`,
    `HostKey ${join(directory, "host-key")}`,
    "PidFile none",
    "UsePAM no",
    `AllowUsers ${users.join(" ")}`,
    `AuthorizedKeysFile ${join(directory, "authorized_keys")}`,
    "StrictModes no",
    "PermitRootLogin prohibit-password",
    "PasswordAuthentication yes",
    "KbdInteractiveAuthentication no",
    "AllowTcpForwarding no",
    "AllowAgentForwarding no",
    "X11Forwarding no",
    "MaxStartups 100:30:200",
    "LoginGraceTime 20",
    "Subsystem sftp internal-sftp",
    "ForceCommand internal-sftp",
    "",
  ].join("\n");
}

/** A whole session with the key: an open port alone says little about logins. */
function logIn({ port, user, privateKeyPath }: SftpService): void {
  const settings = {
    BatchMode: "yes",
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: "/dev/null",
    IdentitiesOnly: "yes",
    IdentityFile: privateKeyPath,
    Port: String(port),
    LogLevel: "ERROR",
    ConnectTimeout: "3",
  };
  const flags = Object.entries(settings).map(([name, value]) => `-o${name}=${value}`);
  runProgram("sftp", ["-F", "/dev/null", "-b", "-", ...flags, `${user}@${HOST}`], {
    input: "pwd\n",
    timeoutMs: 5_000,
  });
}
