/**
 * A system user for one start of one server: for a login by password, or for workers that must not be root. It has
 * neither shell nor home of its own and is removed when the server stops. Only root can make one.
 */
import { chmodSync, chownSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "./run-program.ts";

export interface Account {
  /** Also the name of its group. */
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
}

const LIST = "account";
const NAME = /^millrace-\d{1,5}$/;

/** Whether accounts can be made here. */
export function canMakeAccounts(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/sbin/useradd");
}

/** Makes the account, named for the server's port, and remembers it in the server's folder. */
export function makeAccount(directory: string, port: number, home: string): Account {
  const user = `millrace-${port}`;
  writeFileSync(join(directory, LIST), user);
  const flags = ["--system", "--user-group", "--no-create-home", "--home-dir", home];
  runProgram("/usr/sbin/useradd", [...flags, "--shell", "/usr/sbin/nologin", user]);
  const [uid = 0, gid = 0] = ["-u", "-g"].map((flag) => Number(runProgram("id", [flag, user])));
  if (uid === 0 || gid === 0) throw new Error(`user "${user}": ids ${uid} and ${gid}`);
  return { user, uid, gid };
}

/** Files and folders become the account's own, closed to everybody else. */
export function giveTo({ uid, gid }: Account, paths: readonly string[]): void {
  for (const path of paths) {
    chmodSync(path, 0o700);
    chownSync(path, uid, gid);
  }
}

/** Removes the account that the folder remembers, if any. */
export function removeAccount(directory: string): void {
  const list = join(directory, LIST);
  if (!existsSync(list)) return;
  const user = readFileSync(list, "utf8").trim();
  if (!NAME.test(user)) throw new Error(`remove user "${user}": not one of ours (${list})`);
  // Forced, because a session that its client has not ended yet would keep the account.
  if (isUser(user)) runProgram("/usr/sbin/userdel", ["--force", user]);
  rmSync(list);
}

function isUser(name: string): boolean {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  return lines.some((line) => line.startsWith(`${name}:`));
}
