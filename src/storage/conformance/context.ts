/** What passes between a backend under test, the conformance suite and its tests. */
import type { ObjectStore, StoreCapabilities } from "../contract.ts";

/** An empty place that disappears when disposed: a fresh directory, bucket or prefix. */
export interface ConformanceTarget extends AsyncDisposable {
  /** Opens a store on the place. Several may be open at once, as from several processes. */
  connect(): Promise<ObjectStore>;
}

export interface ConformanceOptions {
  /** Size of the largest body; beyond the backend's part size. Default 9 MiB and a byte. */
  readonly largeBytes?: number | undefined;
  /** Objects in the paging test; beyond the backend's page size. Default 1,203. */
  readonly countMany?: number | undefined;
  /** Bytes of the longest key that has room besides the place's own prefix. Default 1,024. */
  readonly maxKeyBytes?: number | undefined;
  /** Why the backend cannot be tested here, and what would help; it then counts as having run no test. */
  readonly unavailable?: string | undefined;
}

/** What a test has to work with. */
export interface Conformance {
  /** A store on this test's place; closed after the test. */
  readonly store: ObjectStore;
  /** Opens one more store on the same place; closed after the test. */
  readonly connect: () => Promise<ObjectStore>;
  readonly largeBytes: number;
  readonly countMany: number;
  readonly maxKeyBytes: number;
}

export interface CheckOptions {
  /** False for stores that the test has nothing to say about; it is then skipped and not counted. */
  readonly appliesTo?: ((capabilities: StoreCapabilities) => boolean) | undefined;
}

/** Registers one test; its title names the symbol and the condition. */
export type Check = (
  title: string,
  run: (context: Conformance) => Promise<void>,
  options?: CheckOptions,
) => void;
