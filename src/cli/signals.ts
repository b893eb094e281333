/** The signals that ask a process to end. Only commands listen to them. */

export type EndSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

const SIGNALS: readonly EndSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
const NUMBERS: Readonly<Record<EndSignal, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/** Calls `onSignal` with each signal and how many came before it, until disposed. */
export function onEndSignals(onSignal: (signal: EndSignal, before: number) => void): Disposable {
  let count = 0;
  const listen = (signal: NodeJS.Signals): void => onSignal(signal as EndSignal, count++);
  for (const signal of SIGNALS) process.on(signal, listen);
  return {
    [Symbol.dispose]: () => {
      for (const signal of SIGNALS) process.off(signal, listen);
    },
  };
}

/** What a shell shows for a process that `signal` ended. */
export function signalStatus(signal: EndSignal): number {
  return 128 + NUMBERS[signal];
}

/** Ended by a signal: not an error to explain. */
export class Interrupted extends Error {
  readonly signal: EndSignal;

  constructor(signal: EndSignal) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}

/** Aborts at the first signal with an `Interrupted`; the second ends the process at once. */
export class SignalAbort implements Disposable {
  readonly #controller = new AbortController();
  readonly #listening: Disposable;

  constructor() {
    this.#listening = onEndSignals((signal, before) => {
      if (before > 0) process.exit(signalStatus(signal));
      this.#controller.abort(new Interrupted(signal));
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}
