/**
 * What a server is to the tool: where its program comes from, and how to launch it in an empty folder. One file each
 * beside this one; the loop that starts, waits and stops knows nothing of any of them.
 */
import type { ServiceName, Services } from "../../src/testing/services.ts";
import type { Recipe } from "./versions.ts";

/** The only address that servers listen on. */
export const HOST = "127.0.0.1";

/** What a server finds before its start. */
export interface Place {
  /** Its program, or the script that Node runs. */
  readonly program: string;
  /** Its own folder, empty. Only the current user may be able to reach it. */
  readonly directory: string;
  /** A port that nobody listens on. */
  readonly freePort: () => Promise<number>;
  /** Makes an empty folder that other users of the machine can reach; removed when the server stops. */
  readonly sharedDirectory: () => string;
}

/** A command that runs in the foreground until it is told to stop. */
export interface Launch<N extends ServiceName = ServiceName> {
  readonly args: readonly string[];
  /** Added to a bare environment: nothing of the caller's settings or secrets reaches a server. */
  readonly env?: Readonly<Record<string, string>>;
  /** True when `program` is a script for this very Node. */
  readonly isScript?: boolean;
  readonly port: number;
  readonly service: Services[N];
  /** Throws until the server does what tests will ask of it; makes the bucket they use. Called again and again. */
  readonly ready: () => Promise<void>;
}

export interface Server<N extends ServiceName = ServiceName> {
  readonly name: N;
  readonly recipe: Recipe;
  prepare(place: Place): Promise<Launch<N>>;
}
