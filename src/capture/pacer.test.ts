/** When capture looks: at once after a pause, paced while commits come, again while a commit may not be visible yet. */
import assert from "node:assert/strict";
import test from "node:test";
import { ManualClock } from "../testing/manual-clock.ts";
import { Pacer } from "./pacer.ts";

const INTERVAL_MS = 1000;

class Subject {
  readonly clock = new ManualClock();
  readonly looks: number[] = [];
  listeners = 0;
  readonly #start = this.clock.monotonic();
  /** What the next looks do; afterwards they find nothing. */
  readonly outcomes: (boolean | Error)[];
  readonly pacer: Pacer;

  constructor(...outcomes: (boolean | Error)[]) {
    this.outcomes = outcomes;
    this.pacer = new Pacer({
      clock: this.clock,
      random: () => 0,
      intervalMs: INTERVAL_MS,
      run: () => {
        this.looks.push(this.clock.monotonic() - this.#start);
        const outcome = this.outcomes.shift() ?? false;
        if (typeof outcome === "boolean") return outcome;
        throw outcome;
      },
      listen: () => {
        this.listeners += 1;
        return { [Symbol.dispose]: () => void (this.listeners -= 1) };
      },
    });
  }
}

test("the first hint captures at once, further ones wait for the interval", () => {
  const { clock, looks, pacer } = new Subject(true, true);
  pacer.hint();
  pacer.hint();
  clock.advance(INTERVAL_MS - 1);
  assert.deepEqual(looks, [0]);
  clock.advance(1);
  assert.deepEqual(looks, [0, INTERVAL_MS]);
});

test("a look that found nothing does not delay the next capture", () => {
  const { clock, looks, pacer } = new Subject(false, true);
  pacer.look();
  clock.advance(300);
  pacer.hint();
  assert.deepEqual(looks, [0, 300]);
});

test("a commit that becomes visible after its notification is found within milliseconds", () => {
  const { clock, looks, pacer } = new Subject(false, false, false, true);
  pacer.hint();
  clock.advance(INTERVAL_MS);
  assert.deepEqual(looks, [0, 1, 3, 7]);
});

test("looks after a hint end, and a new hint begins them anew", () => {
  const { clock, looks, pacer } = new Subject();
  pacer.hint();
  clock.advance(INTERVAL_MS);
  const first = looks.length;
  clock.advance(INTERVAL_MS);
  assert.equal(looks.length, first, "no more looks without a hint");
  assert.equal(clock.countTimers, 0);
  pacer.hint();
  clock.advance(INTERVAL_MS);
  assert.equal(looks.length, 2 * first);
});

test("a storm of hints leads to one look a millisecond", () => {
  const { clock, looks, pacer } = new Subject();
  for (let step = 0; step < 100; step += 1) {
    pacer.hint();
    clock.advance(0.1);
  }
  assert.ok(looks.length >= 10 && looks.length <= 11, `${looks.length} looks in 10 ms`);
});

test("the rhythm looks once and only where no look is due", () => {
  const { clock, looks, pacer } = new Subject(true);
  pacer.hint();
  pacer.hint();
  pacer.look();
  assert.equal(clock.countTimers, 1);
  clock.advance(2 * INTERVAL_MS);
  const after = looks.length;
  pacer.look();
  clock.advance(INTERVAL_MS);
  assert.equal(looks.length, after + 1);
});

test("after a failure hints wait for the backoff", () => {
  const { clock, looks, pacer } = new Subject(new Error("busy"), true);
  pacer.hint();
  pacer.hint();
  clock.advance(INTERVAL_MS / 2 - 1);
  assert.deepEqual(looks, [0]);
  clock.advance(1);
  assert.deepEqual(looks, [0, INTERVAL_MS / 2]);
});

test("while commits keep coming the clock looks and nobody listens to hints", () => {
  const subject = new Subject(true, true, true);
  const { clock, looks, pacer } = subject;
  assert.equal(subject.listeners, 1, "at rest from the start");
  pacer.hint();
  assert.equal(subject.listeners, 0);
  clock.advance(2 * INTERVAL_MS);
  assert.deepEqual(looks, [0, INTERVAL_MS, 2 * INTERVAL_MS]);
  assert.equal(subject.listeners, 0);
  clock.advance(INTERVAL_MS);
  assert.equal(subject.listeners, 1, "at rest after a look that found nothing");
});

test("what was written before anybody listened again is found within milliseconds", () => {
  const { clock, looks, pacer } = new Subject(true, false, true);
  pacer.hint();
  clock.advance(INTERVAL_MS + 1);
  assert.deepEqual(looks, [0, INTERVAL_MS, INTERVAL_MS + 1]);
});

test("while captures fail nobody listens, and disposing ends listening", () => {
  const subject = new Subject(new Error("busy"));
  subject.pacer.hint();
  assert.equal(subject.listeners, 0);
  subject.clock.advance(INTERVAL_MS);
  assert.equal(subject.listeners, 1);
  subject.pacer[Symbol.dispose]();
  assert.equal(subject.listeners, 0);
});
