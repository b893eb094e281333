/**
 * The application: an ordinary program on an ordinary connection, in a process of its own. It commits as its job says
 * and at the end tells when each commit began and returned. Each transaction also writes a number into one page,
 * by which the transaction is found again in the replica.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { Dice } from "../lib/dice.ts";
import { nowMs, sleepUntil } from "../lib/time.ts";
import { MARK_PREFIX, type WriterJob, type WriterReport } from "./writer.ts";

const SEQUENCE_DIGITS = 12;

class Application {
  readonly #database: DatabaseSync;
  readonly #frames: StatementSync;
  readonly #update: StatementSync;
  readonly #insert: StatementSync;
  readonly #mark: StatementSync;
  readonly #dice: Dice;
  readonly #people: number;
  readonly commits: {
    readonly sequence: number;
    readonly beganMs: number;
    readonly endedMs: number;
  }[] = [];
  #sequence: number;
  #lastFrames = 0;
  walFrames = 0;

  constructor(path: string, firstSequence: number) {
    this.#database = new DatabaseSync(path, { timeout: 10_000 });
    this.#database.exec("PRAGMA synchronous = NORMAL");
    this.#sequence = firstSequence;
    this.#dice = new Dice(firstSequence + 7);
    const row = this.#database.prepare("SELECT max(id) AS people FROM person").get();
    this.#people = Number(row?.["people"]);
    this.#frames = this.#database.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#update = this.#database.prepare("UPDATE person SET balance = ?, born = ? WHERE id = ?");
    this.#insert = this.#database.prepare("INSERT INTO visit (person, at, note) VALUES (?, ?, ?)");
    this.#mark = this.#database.prepare("UPDATE mark SET text = ?");
  }

  /** One transaction that changes `people` people. */
  commit(people: number): void {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const dice = this.#dice;
    const beganMs = nowMs();
    this.#database.exec("BEGIN IMMEDIATE");
    this.#mark.run(`${MARK_PREFIX}${String(sequence).padStart(SEQUENCE_DIGITS, "0")}`);
    for (let count = 0; count < people; count += 1) {
      const id = 1 + dice.below(this.#people);
      this.#update.run(dice.below(1e6) / 100, dice.date(), id);
      this.#insert.run(id, dice.date(), `${dice.word()} ${dice.word()} ${dice.uuid()}`);
    }
    this.#database.exec("COMMIT");
    this.commits.push({ sequence, beganMs, endedMs: nowMs() });
  }

  /** Counts the frames that the last commit added to the log. */
  countFrames(): void {
    const frames = Number(this.#frames.get()?.["log"]);
    this.walFrames += frames >= this.#lastFrames ? frames - this.#lastFrames : frames;
    this.#lastFrames = frames;
  }

  close(): void {
    this.#database.close();
  }
}

function work(application: Application, job: WriterJob): void {
  const dice = new Dice(3);
  let dueMs = nowMs();
  for (;;) {
    const { commits, walFrames } = application;
    if (job.maxCommits !== undefined && commits.length >= job.maxCommits) return;
    if (job.maxWalFrames !== undefined && walFrames >= job.maxWalFrames) return;
    // Not in step with anybody's timer.
    dueMs = Math.max(nowMs(), dueMs + job.gapMs * (0.75 + dice.below(500) / 1000));
    sleepUntil(dueMs);
    application.commit(job.people);
    if (job.maxWalFrames !== undefined) application.countFrames();
  }
}

process.on("message", (job: WriterJob) => {
  const application = new Application(job.path, job.firstSequence);
  work(application, job);
  const { commits, walFrames } = application;
  const report: WriterReport = { commits, walFrames };
  process.send?.(report, undefined, undefined, () => {
    application.close();
    process.disconnect();
  });
});
